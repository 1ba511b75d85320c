"""When a worker that is to stop when there is nothing left to do has nothing left to do."""

from __future__ import annotations

import asyncio
import logging

from aioqueue.brokers.protocol import Consumer, Left
from aioqueue.logs import logger
from aioqueue.wording import counted, span
from aioqueue.worker.supervised import LEFT

_LOOK_AGAIN = 0.25
_AFTER_ERROR = 1.0


class Burst:
    """The end of a burst, for a worker whose queues are empty and that runs nothing.

    A patient one stays for what waits for its retry, and for what dead workers hold, until that can be taken over. A
    worker may be dead until it has renewed its lease; what the living hold is theirs.

    Attributes:
        left: what there was left when it ended.
    """

    def __init__(self, consumer: Consumer, *, patient: bool) -> None:
        self._consumer = consumer
        self._patient = patient
        self._ends: dict[str, int] = {}
        self._alive: set[str] = set()
        self._said = False
        self._is_clear = False
        self.left = Left()

    async def is_over(self) -> bool:
        """Whether to stop; waits a moment where that depends on others."""
        try:
            left = await self._consumer.left()
        except Exception as error:  # something may be left, so it is no end
            logger.warning("What is left cannot be looked at (%s); it is tried again", error)
            await asyncio.sleep(_AFTER_ERROR)
            return False
        waits_for = self._waits_for(left) if self._patient else []
        if not waits_for:
            # What was waited for until now may have come into the queues just before: over is when they are empty then.
            was_clear, self._is_clear, self.left = self._is_clear, True, left
            return was_clear
        self._is_clear = False
        if not self._said:
            logger.info("Nothing else is to be done; the burst waits for %s", " and ".join(waits_for))
            self._said = True
        await asyncio.sleep(min(_LOOK_AGAIN, max(0.01, left.due)) if left.retries else _LOOK_AGAIN)
        return False

    def goes_on(self) -> None:
        """Something was in the queues."""
        self._is_clear = False

    def _waits_for(self, left: Left) -> list[str]:
        for worker, end in left.holders.items():
            if end > self._ends.setdefault(worker, end):
                self._alive.add(worker)
        silent = left.holders.keys() - self._alive
        found = [f"{_retries(left)}, the first in {span(left.due)}"] if left.retries else []
        if silent:
            found.append(f"the tasks of {counted(len(silent), 'worker')} that may be dead")
        return found

    def code(self, hostname: str) -> int:
        """The exit code of a worker that leaves: 3 where it has left what it did not wait for; what is left is said."""
        left = self.left
        if not (left.retries or left.delayed or left.held):
            return 0
        impatient = not self._patient and bool(left.retries or left.held)
        logger.log(
            logging.WARNING if impatient else logging.INFO,
            "Worker %s leaves in its queues: %s",
            hostname,
            ", ".join(
                [
                    *([_retries(left)] if left.retries else []),
                    *([f"{counted(left.delayed, 'task')} for later"] if left.delayed else []),
                    *([f"{counted(left.held, 'task')} in the hands of other workers"] if left.held else []),
                ]
            ),
        )
        return LEFT if impatient else 0


def _retries(left: Left) -> str:
    return counted(left.retries, "retry", "retries")
