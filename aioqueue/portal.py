"""An event loop in a thread of its own, one per app and process: for threads and programs without one."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from aioqueue.exceptions import AioQueueError
from aioqueue.lending import is_lent, lend
from aioqueue.settings import Settings

T = TypeVar("T")


class Connects(Protocol):
    """An app, as it is used here.

    Attributes:
        name: its name.
        conf: its settings.
    """

    name: str
    conf: Settings

    async def disconnect(self) -> None:
        """Disconnect, in this event loop."""
        ...


_portals: WeakSet[Portal] = WeakSet()


def _after_fork() -> None:
    for portal in list(_portals):
        portal._lock = threading.Lock()  # pyright: ignore[reportPrivateUsage]  # a thread of the parent may hold it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Portal:
    """An event loop in a thread, in which the app is open from its first use on."""

    def __init__(self, app: Connects) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        _portals.add(self)

    def run(self, coroutine: Coroutine[Any, Any, T], *, lends: bool = False) -> T:
        """Carry out a coroutine and wait for it.

        Args:
            coroutine: what is to be done.
            lends: it may run tasks, whose plain functions are called in this thread; so are those that are run where
                they are sent (`task_always_eager`).

        Raises:
            AioQueueError: in a thread whose own event loop is running, which this would block.
        """
        if lends or self._app.conf.task_always_eager or is_lent():
            with lend() as thread:
                return thread.work_until(self._begin(coroutine))
        return self._begin(coroutine).result()

    def each(self, items: AsyncIterator[T]) -> Iterator[T]:
        """What an asynchronous iterator gives, each as it comes.

        Raises:
            AioQueueError: as `run`, with the first.
        """
        found: SimpleQueue[tuple[T] | None] = SimpleQueue()

        async def read() -> None:
            try:
                async for item in items:
                    found.put((item,))
            finally:
                found.put(None)

        reading = self._begin(read())
        try:
            while (item := found.get()) is not None:
                yield item[0]
            reading.result()
        finally:
            reading.cancel()

    def _begin(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            coroutine.close()
            raise AioQueueError(
                "task.sync is for threads without an event loop: here it would block the loop. Await the same "
                "without .sync. Nothing was sent. Where synchronous code is called from a coroutine, as a Flask view "
                'by an asynchronous test, call it in a thread: `await asyncio.to_thread(client.post, "/")`.'
            )
        return asyncio.run_coroutine_threadsafe(coroutine, self._started())

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():  # a forked child has the loop, but not its thread
                loop = asyncio.new_event_loop()
                name = f"aioqueue-sync-{self._app.name}"
                self._thread = threading.Thread(target=_serve, args=(loop,), name=name, daemon=True)
                self._thread.start()
                self._loop, self._pid = loop, os.getpid()
                atexit.register(self.close)
            return self._loop

    def close(self) -> None:
        """Disconnect and stop the thread; a later call would start them again."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._pid == os.getpid():
            atexit.unregister(self.close)
            asyncio.run_coroutine_threadsafe(self._app.disconnect(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            if self._thread is not None:
                self._thread.join()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
