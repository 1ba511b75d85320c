"""Getting as much work as there is room for, and no more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aioqueue.brokers.protocol import Broker, Consumer, Settlement
from aioqueue.exceptions import LeaseLost
from aioqueue.logs import logger
from aioqueue.worker.admission import admit
from aioqueue.worker.runner import Runner

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

_WAIT = 5.0
_MOST_PREFETCH = 1000
# Prefetched work is what runs in this time, so that little of it waits here while another worker is idle.
_PREFETCH_SECONDS = 0.1


class Fetcher:
    """Asks the broker for work until it is told to stop.

    Args:
        prefetch: deliveries held beyond the concurrency; None follows the rate at which tasks end.
        burst: stop when there is nothing left to do.
    """

    def __init__(
        self,
        app: AioQueue,
        broker: Broker,
        consumer: Consumer,
        runner: Runner,
        *,
        concurrency: int,
        prefetch: int | None,
        hostname: str,
        burst: bool,
    ) -> None:
        self._app = app
        self._broker = broker
        self._consumer = consumer
        self._runner = runner
        self._concurrency = concurrency
        self._prefetch = prefetch
        self._hostname = hostname
        self._burst = burst
        self._rate = 0.0
        self._measured_at = asyncio.get_running_loop().time()
        self._measured = 0
        self.fetched_at = self._measured_at
        """When the broker last answered, by the loop's clock."""

    async def run(self) -> None:
        """Fetch until cancelled, or in a burst until the queues are empty.

        Raises:
            LeaseLost: what is held belongs to others.
        """
        failures = 0
        while True:
            room = await self._room()
            try:
                deliveries = await self._consumer.fetch(room, wait=0 if self._burst or failures else _WAIT)
                if failures:
                    # A read whose answer was lost has lent us messages that we have never seen.
                    await self._consumer.hand_back(self._runner.held() + self._runner.ready() + deliveries)
                    logger.info("Worker %s is connected again", self._hostname)
                    failures = 0
            except LeaseLost:
                raise
            except Exception as error:
                # Whatever it is, it is no reason to stop working for good.
                failures += 1
                if failures in (1, 10) or failures % 60 == 0:
                    logger.warning(
                        "Worker %s cannot fetch (%s); it goes on trying. What it runs is not disturbed.",
                        self._hostname,
                        error,
                    )
                await asyncio.sleep(min(2.0, 0.05 * 2 ** min(failures, 6)))
                continue
            self.fetched_at = asyncio.get_running_loop().time()
            if deliveries:
                now = self._broker.now()
                for delivery in deliveries:
                    admitted = admit(self._app, delivery, now, self._hostname)
                    if isinstance(admitted, Settlement):
                        self._runner.settle(admitted)
                    else:
                        self._runner.put(admitted)
                self._runner.start_ready()
            elif self._burst and await self._is_done():
                return

    async def _room(self) -> int:
        """Wait until fetching is worth a round trip; returns for how many there is room."""
        runner = self._runner
        while True:
            capacity = self._concurrency + self._allowance()
            room = capacity - runner.unsettled
            if room > 0 and (not runner.waiting or room >= capacity // 4):
                return room
            runner.changed.clear()
            await runner.changed.wait()

    def _allowance(self) -> int:
        if self._prefetch is not None:
            return self._prefetch
        now = asyncio.get_running_loop().time()
        elapsed = now - self._measured_at
        if elapsed > 0.02:
            ended = self._runner.ended
            self._rate += ((ended - self._measured) / elapsed - self._rate) * min(1.0, elapsed * 5)
            self._measured, self._measured_at = ended, now
        return min(_MOST_PREFETCH, int(self._rate * _PREFETCH_SECONDS))

    async def _is_done(self) -> bool:
        runner = self._runner
        if runner.unsettled:
            runner.changed.clear()
            if runner.unsettled:
                await runner.changed.wait()
            return False
        due = await self._consumer.promote()
        return due is None or due > 0
