"""Events on their way to the broker, many at a time: who tells of something waits for nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from aioqueue.brokers.protocol import Broker
from aioqueue.events.infos import EventInfo, encode
from aioqueue.logs import logger
from aioqueue.wording import counted

# What comes within so many seconds goes together, and so many at once at most.
_TOGETHER = 0.1
_AT_ONCE = 200
# While the broker is away, so many wait; then the oldest make room.
_MOST = 20_000
# For so many seconds it is tried to tell the rest when the connection is closed.
_LAST_WORDS = 2.0
# So often it is asked whether events are to be told.
_LOOK_EVERY = 60.0
_AFTER_ERROR = 1.0


class Flow:
    """The events of one event loop. `run` must be running.

    Args:
        broker: where they go.
        keep: gives how many are kept there.
        look: asks the broker whether they are to be told.
    """

    def __init__(self, broker: Broker, keep: Callable[[], int], look: Callable[[], Awaitable[None]]) -> None:
        self._broker = broker
        self._keep = keep
        self._look = look
        self._waiting: deque[EventInfo] = deque()
        self._wake = asyncio.Event()
        self._dropped = 0
        self._failing = False
        self.now = broker.now

    def put(self, event: EventInfo) -> None:
        """Tell of it soon."""
        if not self._waiting:
            self._wake.set()
        elif len(self._waiting) >= _MOST:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(event)

    async def run(self) -> None:
        """Tell what comes, until cancelled."""
        loop = asyncio.get_running_loop()
        look_at = loop.time() + _LOOK_EVERY
        while True:
            try:
                async with asyncio.timeout_at(look_at):
                    await self._wake.wait()
            except TimeoutError:
                look_at = loop.time() + _LOOK_EVERY
                await self._look()
                continue
            await asyncio.sleep(_TOGETHER)
            self._wake.clear()
            while self._waiting:
                if not await self._tell_some():
                    await asyncio.sleep(_AFTER_ERROR)

    async def _tell_some(self) -> bool:
        """Tell some of what waits; False if that failed: they go on waiting."""
        events = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
        try:
            await self._broker.put_events([encode(event) for event in events], keep=self._keep())
        except asyncio.CancelledError:
            self._waiting.extendleft(reversed(events))
            raise
        except Exception as error:
            self._waiting.extendleft(reversed(events))
            if not self._failing:
                self._failing = True
                logger.warning("Events cannot be told (%s); it is tried again, and nothing else changes", error)
            return False
        if self._dropped:
            logger.warning("The broker was away for long: %s of that time never told", _were(self._dropped))
        self._failing, self._dropped = False, 0
        return True

    async def end(self, running: asyncio.Task[None]) -> None:
        """Tell the rest, but not for long; `running` is what `run` runs in."""
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        try:
            async with asyncio.timeout(_LAST_WORDS):
                while self._waiting and await self._tell_some():
                    pass
        except TimeoutError:
            pass


def _were(count: int) -> str:
    return f"{counted(count, 'event')} {'was' if count == 1 else 'were'}"
