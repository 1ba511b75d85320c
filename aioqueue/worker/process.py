"""What a worker process has open for its tasks: the app's lifespan, and the dependencies that they share."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from aioqueue.around.scopes import WorkerScope
from aioqueue.lending import lent_thread
from aioqueue.threads import Threads

if TYPE_CHECKING:
    from aioqueue.core import Core

_AT_LEAST = 1.0


class Process(NamedTuple):
    """What tasks find in it.

    Attributes:
        state: what the lifespan yielded.
        scope: what they share.
        threads: where dependencies that may block are called.
    """

    state: Any
    scope: WorkerScope
    threads: Threads


@asynccontextmanager
async def living(app: Core, cold: asyncio.Event, patience: float) -> AsyncGenerator[Process]:
    """Enter the lifespan, and leave it when what was opened inside is closed.

    Args:
        app: the app.
        cold: set when the worker is to leave at once.
        patience: seconds for closing dependencies.
    """
    async with AsyncExitStack() as stack:
        state = await stack.enter_async_context(app.lifespan(app)) if app.lifespan is not None else None
        threads = Threads("aioqueue-dependency", lent=lent_thread())
        stack.callback(threads.close)
        scope = app.scope
        if scope is None:
            scope = shared_scope(threads)
            stack.push_async_callback(_close, scope, cold, patience)
        yield Process(state, scope, threads)


def shared_scope(threads: Threads) -> WorkerScope:
    """A scope whose plain functions are called in these threads."""

    async def in_thread(call: Callable[[], Any], variables: contextvars.Context) -> Any:
        return await threads.start(call, variables).future

    return WorkerScope(in_thread)


async def _close(scope: WorkerScope, cold: asyncio.Event, patience: float) -> None:
    if not scope.is_used:
        return

    async def over() -> None:
        await asyncio.sleep(_AT_LEAST)
        try:
            async with asyncio.timeout(max(0.0, patience - _AT_LEAST)):
                await cold.wait()
        except TimeoutError:
            pass

    await scope.close(over())
