"""What a worker has not started goes to others while something blocks its event loop.

The thread that renews hands it back. The loop may turn again in any moment of that, so each delivery has to be in one
hand: what is ready is taken out under a lock, and what the loop gets of a fetch that was under way is dropped if
anything has been handed back since it was asked for (D3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from aioqueue.brokers.protocol import Consumer, Delivery
from aioqueue.logs import logger
from aioqueue.wording import counted
from aioqueue.worker.slots import Slots

_PATIENCE = 0.1


class Withdrawal:
    """Hands back from a thread.

    Args:
        slots: what is ready.
        held: gives what has started, and what is not settled yet.
        consumer: whose thread it is.
        hostname: the worker's name.

    Attributes:
        count: how often it was begun. What was fetched under another count is not to be started.
    """

    def __init__(self, slots: Slots, held: Callable[[], Sequence[Delivery]], consumer: Consumer, hostname: str) -> None:
        self._slots = slots
        self._held = held
        self._consumer = consumer
        self._hostname = hostname
        self._loop = asyncio.get_running_loop()
        self._under_way = False
        self._over = asyncio.Event()
        self.count = 0

    def withdraw(self) -> bool:
        """Hand back all that has not started; called in the thread that renews. Returns whether there was any."""
        self._under_way = True
        self.count += 1  # before it is taken out: what the loop puts there from now on, it has fetched under this
        taken = 0
        try:
            taken = self._slots.take_ready(_PATIENCE)
            # Twice: what moves while it is looked at is seen at one of both.
            moved = self._consumer.withdraw([*self._held(), *self._held()])
        finally:
            self._under_way = False
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._is_over, taken)
        if moved:
            logger.warning(
                "Worker %s hands back %s that it has not started, since its event loop is blocked: other workers may "
                "run them",
                self._hostname,
                counted(moved, "task"),
            )
        return bool(moved)

    def again(self) -> None:
        """What is fetched now is dropped, and handed back with all else that is lent and is in no hand."""
        self.count += 1

    async def until_over(self) -> int:
        """Wait until none is under way; returns the count then."""
        while True:
            self._over.clear()
            count = self.count
            if not self._under_way:
                return count
            await self._over.wait()

    def _is_over(self, taken: int) -> None:
        self._slots.taken(taken)
        self._over.set()
