"""Queues that are paused: what a worker has not started of them goes back, and it fetches nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from aioqueue.brokers.protocol import Consumer, Delivery
from aioqueue.logs import logger
from aioqueue.worker.slots import Slots
from aioqueue.worker.withdrawal import Withdrawal


class Pauses:
    """Which of a worker's queues are paused.

    Args:
        consumer: knows which of all are.
        slots: what has not started.
        withdrawal: sees to it that what cannot be given back now is handed back later.
        names: the worker's queues.
        hostname: its name.

    Attributes:
        queues: those that are paused. Until `known`, some may be missing.
        known: nothing has changed since that was looked up.
        changed: set when there are others.
    """

    def __init__(
        self, consumer: Consumer, slots: Slots, withdrawal: Withdrawal, names: Collection[str], hostname: str
    ) -> None:
        self._consumer = consumer
        self._slots = slots
        self._withdrawal = withdrawal
        self._names = names
        self._hostname = hostname
        self._looking = asyncio.Lock()
        self.queues: frozenset[str] = frozenset()
        self.known = False
        self.changed = asyncio.Event()

    @property
    def all(self) -> bool:
        """None of the worker's queues gives anything."""
        return len(self.queues) == len(self._names)

    async def look(self) -> None:
        """Look up which queues are paused. When it returns, nothing starts any more that came from one of them."""
        self.known = False
        async with self._looking:  # one after the other: what was read last is what is so
            paused = frozenset(await self._consumer.paused()).intersection(self._names)
            self.known = True
            if paused == self.queues:
                return
            self._tell(paused)
            self.queues = paused
            self.changed.set()
            if waiting := self._slots.drop_ready_of(paused):
                try:
                    await self._consumer.give_back(waiting)
                except Exception as error:
                    logger.debug("Worker %s cannot give back what is paused: %s", self._hostname, error)
                    self._withdrawal.again()

    async def sort_out(self, deliveries: list[Delivery]) -> list[Delivery]:
        """What may be started of what was fetched; the rest goes back. What had been asked for before a queue was
        paused comes all the same."""
        while back := [one for one in deliveries if one.queue in self.queues]:
            deliveries = [one for one in deliveries if one.queue not in self.queues]
            await self._consumer.give_back(back)
        return deliveries

    def _tell(self, paused: frozenset[str]) -> None:
        if new := paused - self.queues:
            logger.warning("Worker %s takes nothing from %s: paused", self._hostname, _named(new))
        if resumed := self.queues - paused:
            logger.info("Worker %s takes from %s again: resumed", self._hostname, _named(resumed))


def _named(queues: Collection[str]) -> str:
    names: Sequence[str] = sorted(queues)
    return f"the queue {names[0]!r}" if len(names) == 1 else f"the queues {', '.join(map(repr, names))}"
