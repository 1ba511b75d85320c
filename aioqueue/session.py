"""An app's connection in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from aioqueue.brokers.protocol import Broker

Connect = Callable[[AsyncExitStack], Awaitable[Broker]]


class Session:
    """An open broker, shared by all who use the app in this loop, closed with the last of them."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._stack: AsyncExitStack | None = None
        self._users = 0
        self._lock = asyncio.Lock()
        self.broker: Broker | None = None

    async def enter(self) -> Broker:
        """Count one more user, and connect for the first."""
        async with self._lock:
            if self.broker is None:
                stack = AsyncExitStack()
                try:
                    self.broker = await self._connect(stack)
                except BaseException:
                    await stack.aclose()
                    raise
                self._stack = stack
            self._users += 1
            return self.broker

    async def leave(self) -> bool:
        """Count one user less, and disconnect after the last. Returns whether it is closed now."""
        async with self._lock:
            self._users -= 1
            if self._users > 0:
                return False
            stack, self._stack, self.broker = self._stack, None, None
            if stack is not None:
                await stack.aclose()
            return True
