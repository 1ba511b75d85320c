"""Ends go to the broker in groups: whatever ended while the last group was on its way goes in the next (group commit).

One round trip then serves hundreds of tasks under load and one when there is no load, so latency is not traded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aioqueue.brokers.protocol import Consumer, Delivery, Settlement, Verdict
from aioqueue.logs import logger

MOST = 1000

Settled = Callable[[Settlement, Verdict], None]


class Committer:
    """What has ended, on its way to the broker. `run` must be running."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._waiting: list[tuple[Settlement, Settled]] = []
        self._under_way: list[tuple[Settlement, Settled]] = []
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, settlement: Settlement, settled: Settled) -> None:
        """Settle; `settled` is called with what the broker made of it."""
        if not self._waiting:
            self._empty.clear()
            self._wake.set()
        self._waiting.append((settlement, settled))

    async def settle(self, settlement: Settlement) -> Verdict:
        """Settle, and wait for the verdict."""
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

        def settled(settlement: Settlement, verdict: Verdict) -> None:
            if not future.done():
                future.set_result(verdict)

        self.add(settlement, settled)
        return await future

    def deliveries(self) -> list[Delivery]:
        """What is not settled yet."""
        return [settlement.delivery for settlement, _ in (*self._under_way, *self._waiting)]

    async def run(self) -> None:
        """Settle what comes, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                self._under_way = batch
                verdicts = await self._settle([settlement for settlement, _ in batch])
                self._under_way = []
                for (settlement, settled), verdict in zip(batch, verdicts, strict=True):
                    settled(settlement, verdict)
            self._empty.set()

    async def _settle(self, settlements: list[Settlement]) -> list[Verdict]:
        """Until it is done: the broker repeats what can be repeated, and nothing else may end this loop."""
        while True:
            try:
                return await self._consumer.settle(settlements)
            except Exception:
                logger.exception("The ends of %d tasks could not be settled; tried again", len(settlements))
                await asyncio.sleep(1.0)

    async def flush(self) -> None:
        """Wait until everything is settled."""
        await self._empty.wait()
