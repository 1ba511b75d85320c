"""A worker all of whose tasks wait for tasks that can only run when one of them has ended: it is said, once.

Nothing can help them, but whoever reads the log is told what it is. Tasks that wait for no other cost nothing here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from aioqueue.brokers.protocol import Consumer, Delivery
from aioqueue.logs import logger
from aioqueue.worker.run import VOID, Run

# For so many seconds all have to wait before it is looked into, and between two looks the longer the more there were.
_A_WHILE = 1.0
_LONGEST = 30.0
# Of what one task waits for, so many are looked for: if nothing of it can run, the newest cannot.
_ENOUGH = 10


class Standstill:
    """Knows which runs wait for the ends of other tasks.

    Args:
        running: the runs that have slots.
        ready: gives the deliveries that the worker holds and has not started.
        consumer: knows what waits in the queues.
    """

    def __init__(
        self,
        running: set[Run],
        ready: Callable[[], Sequence[Delivery]],
        consumer: Consumer,
        *,
        concurrency: int,
        hostname: str,
    ) -> None:
        self._running = running
        self._ready = ready
        self._consumer = consumer
        self._concurrency = concurrency
        self._hostname = hostname
        self._waits: dict[Run, Counter[str]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._pause = _A_WHILE
        self._told = False

    def mark(self, run: Run, subject: str, begins: bool) -> None:
        """A run begins to wait for a task or a workflow, or no longer waits for it."""
        waits = self._waits.get(run)
        if begins:
            if waits is None:
                if run.phase >= VOID:  # something that it has left behind waits
                    return
                waits = self._waits[run] = Counter()
            waits[subject] += 1
            if self._looking is None and not self._told and self._is_still():
                self._looking = asyncio.get_running_loop().create_task(self._look())
        elif waits is not None:
            waits[subject] -= 1
            if not waits[subject]:
                del waits[subject]
            if not waits:
                del self._waits[run]

    def close(self) -> None:
        """Look no more."""
        self._told = True
        if self._looking is not None:
            self._looking.cancel()

    def _is_still(self) -> bool:
        return len(self._running) == self._concurrency <= len(self._waits) and self._running <= self._waits.keys()

    async def _look(self) -> None:
        try:
            while self._is_still():
                before = self._running.copy()
                await asyncio.sleep(self._pause)
                if before != self._running or not self._is_still():
                    continue
                self._pause = min(_LONGEST, 2 * self._pause)
                if await self._nothing_can_run() and before == self._running and self._is_still():
                    self._tell()
                    return
        except Exception as error:  # the broker is away, and the next wait begins this again
            logger.debug("It could not be looked for what running tasks wait for: %s", error)
        finally:
            self._looking = None

    async def _nothing_can_run(self) -> bool:
        """Whether each waits for something that has not started, or that waits itself."""
        waits = [list(self._waits[run])[-_ENOUGH:] for run in self._running]
        subjects = list(dict.fromkeys(subject for some in waits for subject in some))
        queued = _names(delivery.id for delivery in self._ready()) & set(subjects)
        unknown = [subject for subject in subjects if subject not in queued]
        if unknown:
            flags = await self._consumer.queued(unknown)
            queued |= {subject for subject, flag in zip(unknown, flags, strict=True) if flag}
        held = queued | {run.delivery.id for run in self._running}
        return bool(queued) and all(any(subject in held for subject in some) for some in waits)

    def _tell(self) -> None:
        self._told = True
        names = Counter(run.task.name for run in self._running)
        logger.warning(
            "Worker %s stands still: all of its %d slots are taken by tasks that wait for results of tasks which are "
            "queued and need a slot: %s. They wait for ever, or until their timeouts. Make it a canvas, in which no "
            "task waits for another, or give the tasks that are waited for a queue of their own, with workers of its "
            "own; see the guide, 'Tasks that wait for tasks'.",
            self._hostname,
            self._concurrency,
            ", ".join(f"{name} ({many})" if many > 1 else name for name, many in sorted(names.items())),
        )


def _names(ids: Iterable[str]) -> set[str]:
    """Ids, and the workflows that they are of."""
    found = set(ids)
    return found | {workflow + "." for workflow, dot, _ in (id.partition(".") for id in found) if dot}
