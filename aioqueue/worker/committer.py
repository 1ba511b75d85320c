"""Ends go to the broker in groups: whatever ended while the last group was on its way goes in the next (group commit).

One round trip then serves hundreds of tasks under load and one when there is no load, so latency is not traded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aioqueue.brokers.protocol import Consumer, Delivery, Settlement, Verdict
from aioqueue.logs import logger
from aioqueue.wording import counted

MOST = 1000
# By a name of its own: to look up a member of an enum takes longer.
_BLOCKED = Verdict.BLOCKED
# What the broker cannot apply for now is settled again after so many seconds, and later after more.
_TRY_AGAIN = 0.25
_TRY_AGAIN_AT_MOST = 2.0

Settled = Callable[[Settlement, Verdict], None]


class Committer:
    """What has ended, on its way to the broker. `run` must be running."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._waiting: list[tuple[Settlement, Settled]] = []
        self._under_way: list[tuple[Settlement, Settled]] = []
        self._blocked: list[tuple[Settlement, Settled]] = []
        self._again = _TRY_AGAIN
        self._wake = asyncio.Event()

    def add(self, settlement: Settlement, settled: Settled) -> None:
        """Settle; `settled` is called with what the broker made of it."""
        if not self._waiting:
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
        # Looked at in the order in which they go through them, so that a thread misses none.
        blocked, waiting, under_way = self._blocked, self._waiting, self._under_way
        return [settlement.delivery for settlement, _ in (*under_way, *waiting, *blocked)]

    async def run(self) -> None:
        """Settle what comes, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                self._under_way = batch
                verdicts = await self._settle([settlement for settlement, _ in batch])
                for (settlement, settled), verdict in zip(batch, verdicts, strict=True):
                    if verdict is _BLOCKED:
                        self._put_off(settlement, settled)
                        continue
                    try:
                        settled(settlement, verdict)
                    except Exception:  # those behind it are to hear of their ends
                        logger.exception(
                            "Task %s is settled, but whoever ended it failed at hearing of it", settlement.delivery.id
                        )
                self._under_way = []  # not before: what is put off, or settled otherwise, is always somewhere
            if not self._blocked:
                self._again = _TRY_AGAIN

    def _put_off(self, settlement: Settlement, settled: Settled) -> None:
        """It has to wait, and must not hold up those behind it."""
        if not self._blocked:
            asyncio.get_running_loop().call_later(self._again, self._try_blocked)
            self._again = min(_TRY_AGAIN_AT_MOST, 2 * self._again)
        self._blocked.append((settlement, settled))

    def _try_blocked(self) -> None:
        self._waiting, self._blocked = self._blocked + self._waiting, []
        self._wake.set()

    async def _settle(self, settlements: list[Settlement]) -> list[Verdict]:
        """Until it is done: the broker repeats what can be repeated, and nothing else may end this loop."""
        while True:
            try:
                return await self._consumer.settle(settlements)
            except Exception:
                logger.exception("The end of %s could not be settled; tried again", counted(len(settlements), "task"))
                await asyncio.sleep(1.0)
