"""The steps that the tests are made of. Each wait has an end: nothing here sleeps and hopes."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

from aioqueue import AioQueue, AsyncResult
from aioqueue.exceptions import TimeoutError
from aioqueue.worker import Worker

T = TypeVar("T")
MakeApp = Callable[..., AioQueue]

PATIENCE = 10.0
"""Seconds after which something that should happen at once will not happen any more."""
A_MOMENT = 0.15
"""Seconds for which something that should not happen is watched."""


@asynccontextmanager
async def working(app: AioQueue, **options: Any) -> AsyncIterator[Worker]:
    """The app, open, with a worker."""
    async with app, app.worker(**{"concurrency": 10, "shutdown_timeout": 2.0, **options}) as worker:
        yield worker


async def until(condition: Callable[[], T | Awaitable[T]], what: str = "") -> T:
    """Wait until the condition is true; returns what it gave."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = condition()
        value = cast("T", await found if inspect.isawaitable(found) else found)
        if value:
            return value
        assert time.monotonic() < deadline, f"{what or condition} has not come true in {PATIENCE:g} s"
        await asyncio.sleep(0.005)


async def outcome(result: AsyncResult[Any]) -> Any:
    """What the task returned, or the exception that it ended with."""
    try:
        return await result.get(timeout=PATIENCE)
    except TimeoutError:
        raise
    except Exception as error:
        return error


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


class Fault(Exception):
    """What tasks of these tests raise."""


class Other(Exception):
    """Something else."""


class WithCode(Exception):
    """An exception whose constructor takes more than a message."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
