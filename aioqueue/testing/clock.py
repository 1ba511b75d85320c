"""The time, which a test moves."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from aioqueue.awaiting import Spoken, awaited
from aioqueue.brokers.protocol import Broker, Consumer
from aioqueue.testing.beating import Beat
from aioqueue.testing.running import Runs
from aioqueue.testing.stage import Stage


class Clock:
    """The clock that decides what is due: it goes on as any clock does, and `advance` moves it."""

    def __init__(
        self, broker: Broker, stage: Stage, runs: Runs, beat: Beat, consumer: Consumer, check: Callable[[], None]
    ) -> None:
        self._broker = broker
        self._beat = beat
        self._stage = stage
        self._runs = runs
        self._consumer = consumer
        self._check = check
        self._lock = asyncio.Lock()

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self._broker.now() / 1000, UTC)

    @awaited
    async def advance(
        self,
        by: timedelta | None = None,
        /,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        milliseconds: float = 0,
    ) -> None:
        """Move the clock on, from one moment at which something is due to the next, and run what is due then.

        Schedules fire, each due time at its own moment. Retries wait here for as long as their tasks say. What waits
        already is not run before the clock is moved, so that it can expire: `drain` first to run it now.

        Raises:
            ValueError: time only goes on.
        """
        more = timedelta(
            weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
        distance = (by or timedelta()) + more
        if distance < timedelta():
            raise ValueError(f"The clock of a test cannot be turned back (by {distance}).")
        self._check()
        async with self._lock:
            await self._beat.declare()
            target = self._broker.now() + round(distance / timedelta(milliseconds=1))
            wait = await self._next_due()
            while wait is not None and self._broker.now() + wait <= target:
                await self._stage.move_clock(wait)
                wait = await self._run_what_is_due(target)
            await self._stage.move_clock(max(0, target - self._broker.now()))
            await self._beat.fire()
            await self._runs.until_quiet(retry_now=False)

    def _spoken(self) -> Spoken:
        return Spoken("the clock of a test", "t.clock")

    async def _run_what_is_due(self, target: int) -> int | None:
        """Run what is due, all of it before the clock is moved on; for how many ms nothing will be due then."""
        await self._beat.fire()
        while True:
            await self._runs.until_quiet(retry_now=False)
            wait = await self._next_due()
            # That took its time, in which more may have come due: it is not for the next moment, which may be far.
            if self._broker.now() >= target or await self._runs.is_quiet():
                return wait

    async def _next_due(self) -> int | None:
        """Send what is due by a schedule; for how many ms nothing will be due then. None is for ever."""
        scheduled = await self._beat.fire()
        waits = [await self._next_delayed(), None if scheduled is None else max(0, scheduled - self._broker.now())]
        return min((wait for wait in waits if wait is not None), default=None)

    async def _next_delayed(self) -> int | None:
        while (seconds := await self._consumer.promote()) is not None:
            if seconds > 0:
                return math.ceil(round(seconds * 1000, 3))
        return None
