"""From any thread into an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class Inbox(Generic[V]):
    """What was put into it, in order, for one reader in the event loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[V] = asyncio.Queue()

    def put(self, item: V) -> None:
        """Add something, from any thread."""
        call_in(self._loop, self._items.put_nowait, item)

    async def get(self) -> V:
        """Take out the next, wait for it if needed."""
        return await self._items.get()


def call_in(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: Any) -> None:
    """Call a function now if `loop` is the one that runs here, else in that loop, soon."""
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here is loop:
        function(*arguments)
        return
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:  # it is closed: nobody waits there any more
        pass
