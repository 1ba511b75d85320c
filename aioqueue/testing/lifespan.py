"""The app's lifespan, once for all workers of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aioqueue.app import AioQueue, Lifespan


class SharedLifespan:
    """Enters a lifespan when it is first asked for, and leaves it at the end.

    It is entered and left in one asyncio task of its own, as `anyio` wants it: fixtures are often set up in one task
    and torn down in another.
    """

    def __init__(self, lifespan: Lifespan) -> None:
        self._lifespan = lifespan
        self._end = asyncio.Event()
        self._state: asyncio.Future[Any] | None = None
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def enter(self, app: AioQueue) -> AsyncGenerator[Any]:
        """In place of the app's own: gives the state that all share."""
        if self._state is None or (self._state.done() and (self._state.cancelled() or self._state.exception())):
            self._state = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._live(app, self._state), name=f"lifespan of {app.name}")
        yield await asyncio.shield(self._state)

    async def close(self) -> None:
        """Leave it."""
        self._end.set()
        if self._task is not None:
            await self._task

    async def _live(self, app: AioQueue, state: asyncio.Future[Any]) -> None:
        entered = False
        try:
            async with self._lifespan(app) as value:
                entered = True
                state.set_result(value)
                await self._end.wait()
        except BaseException as error:
            if entered or not isinstance(error, Exception):
                state.cancel()
                raise
            state.set_exception(error)
