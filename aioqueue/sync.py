"""The same for threads and for programs without an event loop: Django, Flask, scripts.

The calls are carried out by an event loop in a thread of its own, one per app and process, started with the first.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack
from weakref import WeakSet

from aioqueue.exceptions import AioQueueError
from aioqueue.options import SendOptions
from aioqueue.result import AsyncResult, TaskInfo

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.canvas.base import Canvas
    from aioqueue.task import Task

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


_portals: WeakSet[Portal] = WeakSet()


def _after_fork() -> None:
    for portal in list(_portals):
        portal._lock = threading.Lock()  # pyright: ignore[reportPrivateUsage]  # a thread of the parent may hold it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Portal:
    """An event loop in a thread, in which the app is open."""

    def __init__(self, app: AioQueue) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        _portals.add(self)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Carry out a coroutine and wait for it.

        Raises:
            AioQueueError: in a thread whose own event loop is running, which this would block.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            coroutine.close()
            raise AioQueueError(
                "task.sync is for threads without an event loop: here it would block the loop. Await the same "
                "without .sync. Nothing was sent."
            )
        return asyncio.run_coroutine_threadsafe(coroutine, self._started()).result()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():  # a forked child has the loop, but not its thread
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=loop.run_forever, name=f"aioqueue-sync-{self._app.name}", daemon=True)
                thread.start()
                try:
                    asyncio.run_coroutine_threadsafe(self._app.open(), loop).result()
                except BaseException:
                    loop.call_soon_threadsafe(loop.stop)
                    thread.join()
                    loop.close()
                    raise
                self._loop, self._pid = loop, os.getpid()
                atexit.register(self.close)
            return self._loop

    def close(self) -> None:
        """Disconnect and stop the thread; a later call would start them again."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._pid == os.getpid():
            atexit.unregister(self.close)
            asyncio.run_coroutine_threadsafe(self._app.close(), loop).result()
            loop.call_soon_threadsafe(loop.stop)


class SyncResult(Generic[R]):
    """An `AsyncResult` whose methods wait."""

    def __init__(self, portal: Portal, result: AsyncResult[R]) -> None:
        self._portal = portal
        self._result = result

    @property
    def id(self) -> str:
        """The task's id."""
        return self._result.id

    def get(self, timeout: float | None = None) -> R:
        """Wait for the task's end and return its result; see `AsyncResult.get`."""
        return self._portal.run(self._result.get(timeout))

    def state(self) -> str:
        """The task's state."""
        return self._portal.run(self._result.state())

    def info(self) -> TaskInfo:
        """All that is known of the task."""
        return self._portal.run(self._result.info())

    def ready(self) -> bool:
        """Whether the task has ended."""
        return self._portal.run(self._result.ready())

    def successful(self) -> bool:
        """Whether the task has ended well."""
        return self._portal.run(self._result.successful())

    def failed(self) -> bool:
        """Whether the task has ended with an error."""
        return self._portal.run(self._result.failed())

    def forget(self) -> None:
        """Drop what is known of the task."""
        self._portal.run(self._result.forget())

    def revoke(self, terminate: bool = False, reason: str | None = None) -> bool:
        """End the task now, unless it has ended; see `AsyncResult.revoke`."""
        return self._portal.run(self._result.revoke(terminate, reason))

    def __repr__(self) -> str:
        return f"<SyncResult {self.id}>"


class SyncCanvas(Generic[R]):
    """A canvas whose methods wait; `canvas.sync`."""

    def __init__(self, canvas: Canvas[R]) -> None:
        self._canvas = canvas

    def send(self, *args: Any, **kwargs: Any) -> SyncResult[R]:
        """Send it; see `Canvas.send`."""
        portal = self._canvas.app.portal
        return SyncResult(portal, portal.run(self._canvas.send(*args, **kwargs)))

    delay = send

    def call(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> R:
        """Send it and wait for its result."""
        return self._canvas.app.portal.run(self._canvas.call(*args, timeout=timeout, **kwargs))


class SyncTask(Generic[P, R]):
    """A task whose methods wait; `task.sync`."""

    def __init__(self, task: Task[P, R]) -> None:
        self._task = task

    def send(self, *args: P.args, **kwargs: P.kwargs) -> SyncResult[R]:
        """Send the task; see `Task.send`."""
        portal = self._task.app.portal
        return SyncResult(portal, portal.run(self._task.send(*args, **kwargs)))

    delay = send

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> SyncResult[R]:
        """Send the task with options; see `Task.apply_async`."""
        portal = self._task.app.portal
        return SyncResult(portal, portal.run(self._task.apply_async(args, kwargs, **options)))

    def call(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> R:
        """Send the task and wait for its result; see `Task.call`."""
        return self._task.app.portal.run(self._task.call(*args, timeout=timeout, **kwargs))

    def options(self, **options: Unpack[SendOptions]) -> SyncTask[P, R]:
        """This task, to be sent with these options."""
        return SyncTask(self._task.options(**options))
