"""Getting as much work as there is room for, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aioqueue.brokers.protocol import Broker, Consumer, Delivery
from aioqueue.exceptions import LeaseLost
from aioqueue.logs import logger
from aioqueue.worker.burst import Burst
from aioqueue.worker.ends import Ends
from aioqueue.worker.intake import take_in
from aioqueue.worker.pausing import Pauses
from aioqueue.worker.runner import Runner
from aioqueue.worker.supply import Supply

if TYPE_CHECKING:
    from aioqueue.core import Core

_WAIT = 5.0
_BURST_LOOKS = 0.05
_AFTER_ERROR = 1.0
_MOST_PREFETCH = 1000
# Where queues take turns, what is held comes before all that is fetched later, of whichever queue: so it is not much.
_MOST_IN_TURN = 100
# Prefetched work is what runs in this time, so that little of it waits here while another worker is idle.
_PREFETCH_SECONDS = 0.1
# The third worker to be given a message is careful with it, and waits so long for its other tasks to end.
_SUSPECT_FROM = 3
_ALONE_WITHIN = 30.0


class Fetcher:
    """Asks the broker for work until it is told to stop.

    Args:
        prefetch: deliveries held beyond the concurrency; None follows the rate at which tasks end.
        burst: says when to stop, if it is to stop when there is nothing left to do.
        supply: what is asked of which queue.
        pauses: which queues are paused.
        max_deliveries: of queues that have a word of their own.
    """

    def __init__(
        self,
        app: Core,
        broker: Broker,
        consumer: Consumer,
        ends: Ends,
        runner: Runner,
        *,
        concurrency: int,
        prefetch: int | None,
        hostname: str,
        burst: Burst | None,
        supply: Supply,
        pauses: Pauses,
        max_deliveries: Mapping[str, int] | None = None,
    ) -> None:
        self._app = app
        self._broker = broker
        self._consumer = consumer
        self._ends = ends
        self._runner = runner
        self._concurrency = concurrency
        self._prefetch = prefetch
        self._hostname = hostname
        self._burst = burst
        self._supply = supply
        self._pauses = pauses
        self._most = max_deliveries or {}
        self._rate = 0.0
        self._quiet = False
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
        withdrawal = self._runner.withdrawal
        withdrawn = withdrawal.count
        while True:
            room = await self._room()
            suspect: Delivery | None = None
            wait = 0 if self._burst is not None or failures else _WAIT
            try:
                if withdrawn != withdrawal.count:  # what had been asked for until then was dropped
                    withdrawn = await withdrawal.until_over()
                    await self._consumer.hand_back(self._runner.held() + self._runner.ready())
                deliveries = await self._supply.fetch(room, wait)
                if failures:
                    # A read whose answer was lost has lent us messages that we have never seen.
                    await self._consumer.hand_back(self._runner.held() + self._runner.ready() + deliveries)
                    logger.info("Worker %s is connected again", self._hostname)
                    failures = 0
                if suspect := self._suspect(deliveries):
                    await self._clear_for(suspect)
                    deliveries = [suspect]
                if self._pauses.queues:
                    deliveries = await self._pauses.sort_out(deliveries)
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
                self._quiet = False
                if self._burst is not None:
                    self._burst.goes_on()
                with self._runner.moving:
                    if withdrawn != withdrawal.count:
                        continue
                    take_in(self._app, self._runner, self._ends, deliveries, self._broker.now(), self._most)
                self._runner.start_ready()
                if suspect is not None:
                    await self._settled()
            elif self._burst is not None and await self._is_done() and await self._burst.is_over():
                if self._runner.stuck and self._supply.is_full:
                    logger.warning(
                        "Worker %s leaves: tasks that were given up go on, and count towards the concurrency of their "
                        "queues; what else is in their queues stays there",
                        self._hostname,
                    )
                return

    def _suspect(self, deliveries: list[Delivery]) -> Delivery | None:
        """A message whose workers have died again and again, perhaps of it."""
        return next((one for one in deliveries if one.deliveries > 1 and self._is_suspect(one)), None)

    def _is_suspect(self, one: Delivery) -> bool:
        last = self._most.get(one.queue, self._app.conf.max_deliveries)
        return min(_SUSPECT_FROM, last) <= one.deliveries <= last

    async def _clear_for(self, suspect: Delivery) -> None:
        """See to it that nothing is held beside it: what a worker holds when it dies uses up a delivery (D5)."""
        self._runner.drop_ready()
        await self._consumer.hand_back([*self._runner.held(), suspect])
        try:
            async with asyncio.timeout(_ALONE_WITHIN):
                while self._runner.unsettled:
                    self._runner.changed.clear()
                    await self._runner.changed.wait()
        except TimeoutError:
            logger.warning(
                "Task %s has been delivered %d times and should run alone, but others have not ended in %g s",
                suspect.id,
                suspect.deliveries,
                _ALONE_WITHIN,
            )

    async def _settled(self) -> None:
        """Wait until it has ended, for a while: what kills its worker does so soon, and a long one may go on beside."""
        try:
            async with asyncio.timeout(_ALONE_WITHIN):
                while self._runner.unsettled:  # what was given up does not count any more
                    self._runner.changed.clear()
                    await self._runner.changed.wait()
        except TimeoutError:
            pass

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
            ended = self._runner.ended_count
            self._rate += ((ended - self._measured) / elapsed - self._rate) * min(1.0, elapsed * 5)
            self._measured, self._measured_at = ended, now
        most = _MOST_IN_TURN if self._supply.takes_turns else _MOST_PREFETCH
        return min(most, int(self._rate * _PREFETCH_SECONDS))

    async def _is_done(self) -> bool:
        """Whether a burst that has just found the queues empty has nothing left to do."""
        runner = self._runner
        if runner.unsettled or len(runner.beside):
            runner.changed.clear()
            try:
                # Look again meanwhile: what runs may wait for what it has sent.
                async with asyncio.timeout(_BURST_LOOKS):
                    await runner.changed.wait()
            except TimeoutError:
                pass
            self._quiet = False
            return False
        # What was promoted or retried since the last look is in the queues by now: done is to find nothing twice.
        try:
            due = await self._consumer.promote()
        except Exception as error:  # something may wait there, so it is no end
            logger.warning("Worker %s cannot look for delayed tasks (%s); it tries again", self._hostname, error)
            await asyncio.sleep(_AFTER_ERROR)
            return False
        if due is not None and due <= 0:
            return False
        was_quiet, self._quiet = self._quiet, True
        return was_quiet
