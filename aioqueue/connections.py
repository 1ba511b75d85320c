"""An app's connections: one in each event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from weakref import WeakKeyDictionary

from aioqueue.brokers.protocol import Broker
from aioqueue.exceptions import ConfigurationError

Connect = Callable[[AsyncExitStack], Awaitable[Broker]]


def running_loop() -> asyncio.AbstractEventLoop:
    """The event loop.

    Raises:
        ConfigurationError: what runs here is none of asyncio's.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise _no_loop() from None


def _no_loop() -> ConfigurationError:
    return ConfigurationError(
        "aioqueue runs on asyncio's event loop, and this code does not, but perhaps on trio's. With anyio choose its "
        "asyncio backend (in tests a fixture anyio_backend that returns 'asyncio'); from trio send in a thread: "
        "`await trio.to_thread.run_sync(task.sync.send, ...)`. Nothing was sent."
    )


_refused = ""
"""Why nothing is connected in this process now; "" if it may be."""


@contextmanager
def unconnected(why: str) -> Generator[None]:
    """No app of this process connects while this lasts: who tries is told why not."""
    global _refused
    before, _refused = _refused, why
    try:
        yield
    finally:
        _refused = before


class Session:
    """An open broker, shared by all who use the app in this loop, closed with the last of them."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._stack: AsyncExitStack | None = None
        self._users = 0
        self._lock = asyncio.Lock()
        self.broker: Broker | None = None

    async def enter(self) -> Broker:
        """Count one more user, and connect for the first.

        Raises:
            ConfigurationError: nothing is connected now (`unconnected`).
        """
        async with self._lock:
            if self.broker is None:
                if _refused:
                    raise ConfigurationError(_refused)
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
            self._users = max(0, self._users - 1)
            if self._users > 0:
                return False
            stack, self._stack, self.broker = self._stack, None, None
            if stack is not None:
                await stack.aclose()
            return True

    async def end(self) -> None:
        """Disconnect, whoever still uses it."""
        self._users = 1
        await self.leave()


class Connections:
    """How an app connects, and where it has: replaced as a whole for tests."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, Session] = WeakKeyDictionary()

    @property
    def broker(self) -> Broker | None:
        """The open broker of this event loop."""
        try:
            session = self._sessions.get(asyncio.get_running_loop())
        except RuntimeError:
            raise _no_loop() from None
        return session.broker if session is not None else None

    async def enter(self) -> Broker:
        """Connect in this event loop, or count one more user.

        Raises:
            ConfigurationError: it is not one of asyncio's.
        """
        loop = running_loop()
        session = self._sessions.get(loop)
        if session is None:
            # A session knows its loop, so weak keys alone do not let go of what asyncio.run() left behind.
            for over in [known for known in self._sessions if known.is_closed()]:
                del self._sessions[over]
            session = self._sessions[loop] = Session(self._connect)
        return await session.enter()

    async def leave(self) -> None:
        """Undo one `enter`."""
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is not None:
            await session.leave()  # it stays known: somebody may be entering it again right now

    async def end_here(self) -> None:
        """Disconnect in this event loop, whoever still uses it."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.end()

    async def end(self) -> None:
        """Disconnect in all event loops that run."""
        here = asyncio.get_running_loop()
        for loop, session in list(self._sessions.items()):
            if loop is here:
                await session.end()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(session.end(), loop))
        self._sessions.clear()
