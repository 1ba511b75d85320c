"""What a worker asks its queues for next: of all together or by turn, and without those that are paused."""

from __future__ import annotations

import asyncio

from aioqueue.brokers.protocol import Consumer, Delivery
from aioqueue.worker.pausing import Pauses
from aioqueue.worker.turns import Turns

# While a queue has all that it may have at once, so often is looked what the others have.
_LOOK_BESIDE = 0.05
# While some are paused: what a read waits for cannot be changed, and one that is resumed may be full.
_LOOK_FOR_RESUMED = 0.5


class Supply:
    """Fetches from a worker's queues.

    Args:
        turns: how much of which queue is next; None leaves that to the priorities.
        pauses: of which queues nothing is wanted.
        changed: set when there is more room.
    """

    def __init__(self, consumer: Consumer, turns: Turns | None, pauses: Pauses, changed: asyncio.Event) -> None:
        self._consumer = consumer
        self._turns = turns
        self._pauses = pauses
        self._changed = changed

    @property
    def takes_turns(self) -> bool:
        """What is fetched runs in the order in which it was fetched."""
        return self._turns is not None

    @property
    def is_full(self) -> bool:
        """A queue has all that it may have at once."""
        return self._turns is not None and self._turns.full

    async def fetch(self, room: int, wait: float) -> list[Delivery]:
        """Up to `room` messages; waits up to `wait` seconds for the first one."""
        pauses = self._pauses
        if not pauses.known:
            await pauses.look()
        if not pauses.queues:
            if self._turns is None:
                return await self._consumer.fetch(room, wait=wait)
            return await self._fetch_in_turn(self._turns, room, wait)
        if pauses.all:
            pauses.changed.clear()
            await _within(wait, pauses.changed)
            return []
        wait = min(wait, _LOOK_FOR_RESUMED)
        if self._turns is None:
            return await self._consumer.fetch(room, wait=wait, but=pauses.queues)
        return await self._fetch_in_turn(self._turns, room, wait)

    async def _fetch_in_turn(self, turns: Turns, room: int, wait: float) -> list[Delivery]:
        changed = self._changed
        changed.clear()
        portions = turns.portions(room, but=self._pauses.queues)
        found: list[Delivery] = []
        if portions:
            found = await self._consumer.fetch(room, wait=0 if turns.full else wait, portions=portions)
            turns.took(found)
        if turns.full and not found and wait > 0:
            # Of a full queue there is more to fetch as soon as one of its tasks has ended.
            await _within(_LOOK_BESIDE if portions else wait, changed)
        return found


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for it so long at most."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
