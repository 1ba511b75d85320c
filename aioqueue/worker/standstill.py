"""A worker all of whose tasks wait for tasks that can only run when one of them has ended: it is said, once. So is the
same of a queue of which it may run only so many at once.

Nothing can help them, but whoever reads the log is told what it is. Tasks that wait for no other cost nothing here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from aioqueue.brokers.protocol import Consumer, Delivery
from aioqueue.logs import logger
from aioqueue.worker.run import VOID, Run

# For so many seconds all have to wait before it is looked into, and between two looks the longer the more there were.
_A_WHILE = 1.0
_LONGEST = 30.0
# Of what one task waits for, so many are looked for: if nothing of it can run, the newest cannot.
_ENOUGH = 10


class _Full(NamedTuple):
    """Where no more can start, and all that run there wait.

    Attributes:
        queue: a queue that has a limit of its own; None is the whole worker.
        runs: what runs there.
    """

    queue: str | None
    runs: frozenset[Run]


class Standstill:
    """Knows which runs wait for the ends of other tasks.

    Args:
        running: the runs that have slots.
        ready: gives the deliveries that the worker holds and has not started.
        consumer: knows what waits in the queues.

    Attributes:
        limits: how many tasks of a queue may run at once, of those that have a limit.
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
        self.limits: Mapping[str, int] = {}
        self._running = running
        self._ready = ready
        self._consumer = consumer
        self._concurrency = concurrency
        self._hostname = hostname
        self._waits: dict[Run, Counter[str]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._pause = _A_WHILE
        self._told: set[str | None] = set()
        self._closed = False

    def mark(self, run: Run, subject: str, begins: bool) -> None:
        """A run begins to wait for a task or a workflow, or no longer waits for it."""
        waits = self._waits.get(run)
        if begins:
            if waits is None:
                if run.phase >= VOID:  # something that it has left behind waits
                    return
                waits = self._waits[run] = Counter()
            waits[subject] += 1
            if self._looking is None and not self._closed and self._full() is not None:
                self._looking = asyncio.get_running_loop().create_task(self._look())
        elif waits is not None:
            waits[subject] -= 1
            if not waits[subject]:
                del waits[subject]
            if not waits:
                del self._waits[run]

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()

    def _full(self) -> _Full | None:
        """Where it may stand still, and nothing was said of it yet."""
        running, waits = self._running, self._waits
        if len(running) == self._concurrency <= len(waits) and None not in self._told and running <= waits.keys():
            return _Full(None, frozenset(running))
        for queue, most in self.limits.items():
            runs = frozenset(run for run in running if run.delivery.queue == queue)
            if len(runs) == most and queue not in self._told and runs <= waits.keys():
                return _Full(queue, runs)
        return None

    async def _look(self) -> None:
        try:
            while (before := self._full()) is not None:
                await asyncio.sleep(self._pause)
                if before != self._full():
                    continue
                self._pause = min(_LONGEST, 2 * self._pause)
                if await self._nothing_can_run(before) and before == self._full():
                    self._tell(before)
        except Exception as error:  # the broker is away, and the next wait begins this again
            logger.debug("It could not be looked for what running tasks wait for: %s", error)
        finally:
            self._looking = None

    async def _nothing_can_run(self, full: _Full) -> bool:
        """Whether each waits for something that has not started and cannot, or that waits itself."""
        queue = full.queue
        waits = [list(self._waits[run])[-_ENOUGH:] for run in full.runs]
        subjects = list(dict.fromkeys(subject for some in waits for subject in some))
        ready = (delivery.id for delivery in self._ready() if queue is None or delivery.queue == queue)
        queued = _names(ready) & set(subjects)
        unknown = [subject for subject in subjects if subject not in queued]
        if unknown:
            flags = await self._consumer.queued(unknown, queue)
            queued |= {subject for subject, flag in zip(unknown, flags, strict=True) if flag}
        held = queued | {run.delivery.id for run in full.runs}
        return bool(queued) and all(any(subject in held for subject in some) for some in waits)

    def _tell(self, full: _Full) -> None:
        self._told.add(full.queue)
        names = Counter(run.task.name for run in full.runs)
        tasks = ", ".join(f"{name} ({many})" if many > 1 else name for name, many in sorted(names.items()))
        if full.queue is None:
            slots = f"all of its {self._concurrency} slots are" if self._concurrency > 1 else "its only slot is"
            what = f"stands still: {slots} taken by tasks that wait"
            which = "queued and need a slot"
        else:
            most = self.limits[full.queue]
            what = f"stands still in the queue {full.queue!r}: all {most} that it may run of it at once wait"
            which = "queued there"
        logger.warning(
            "Worker %s %s for results of tasks which are %s: %s. They wait for ever, or until their timeouts. Make it "
            "a canvas, in which no task waits for another, or give the tasks that are waited for a queue of their own, "
            "with workers of its own; see the guide, 'Tasks that wait for tasks'.",
            self._hostname,
            what,
            which,
            tasks,
        )


def _names(ids: Iterable[str]) -> set[str]:
    """Ids, and the workflows that they are of."""
    found = set(ids)
    return found | {workflow + "." for workflow, dot, _ in (id.partition(".") for id in found) if dot}
