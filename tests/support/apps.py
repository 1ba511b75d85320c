"""Apps at work, and what their tasks come to. Each wait has an end: nothing here sleeps and hopes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as aioredis

from aioqueue import AioQueue, AsyncResult
from aioqueue.brokers.redis import RedisBroker
from aioqueue.exceptions import TimeoutError
from aioqueue.worker import Worker

from .waiting import PATIENCE, until

MakeApp = Callable[..., AioQueue]


@asynccontextmanager
async def working(app: AioQueue, **options: Any) -> AsyncIterator[Worker]:
    """The app, open, with a worker."""
    async with app, app.worker(**{"concurrency": 10, "shutdown_timeout": 2.0, **options}) as worker:
        yield worker


async def outcome(result: AsyncResult[Any], *, timeout: float = PATIENCE) -> Any:
    """What the task returned, or the exception that it ended with; whoever waits is answered."""
    try:
        return await result.get(timeout=timeout)
    except TimeoutError:
        raise
    except Exception as error:
        return error


async def registered(app: AioQueue) -> None:
    """Wait until the broker knows that somebody watches; a round trip behind the registration."""
    broker = await app.broker()
    if isinstance(broker, RedisBroker):
        async with aioredis.from_url(broker._server.url) as client:  # type: ignore[attr-defined]
            await until(lambda: client.keys("*waiters*"))
    else:
        await asyncio.sleep(0)


async def ended(result: AsyncResult[Any]) -> Any:
    """All that is known of the task, once it has ended."""
    await outcome(result)
    return await result.info()


async def lengths(app: AioQueue, queue: str = "default") -> tuple[int, int, int]:
    """How many messages of a queue wait, run, and are delayed."""
    for status in await (await app.broker()).queues():
        if status.name == queue:
            return status.waiting, status.running, status.delayed
    return 0, 0, 0


async def is_empty(app: AioQueue, queue: str = "default") -> bool:
    """Whether nothing is left in a queue."""
    return await lengths(app, queue) == (0, 0, 0)


class Gate:
    """Tasks wait at it until the test opens it; it knows who came."""

    def __init__(self) -> None:
        self.came: list[Any] = []
        self.inside = 0
        self.most = 0
        self._open = asyncio.Event()
        self._thread_open = threading.Event()
        self._lock = threading.Lock()

    async def wait(self, name: Any = None) -> None:
        self._enter(name)
        try:
            await self._open.wait()
        finally:
            self._leave()

    def block(self, name: Any = None) -> None:
        """The same from a thread; woken often, so that an interruption gets in."""
        self._enter(name)
        try:
            deadline = time.monotonic() + 3 * PATIENCE
            while not self._thread_open.wait(0.005) and time.monotonic() < deadline:
                pass
        finally:
            self._leave()

    def open(self) -> None:
        self._open.set()
        self._thread_open.set()

    def _enter(self, name: Any) -> None:
        with self._lock:
            self.came.append(name)
            self.inside += 1
            self.most = max(self.most, self.inside)

    def _leave(self) -> None:
        with self._lock:
            self.inside -= 1
