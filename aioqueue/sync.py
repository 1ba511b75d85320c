"""The same for threads and for programs without an event loop: Django, Flask, scripts.

The calls are carried out by an event loop in a thread of its own, one per app and process, started with the first.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, Unpack, cast, overload
from weakref import WeakSet

from aioqueue.awaiting import Spoken, asked
from aioqueue.exceptions import AioQueueError
from aioqueue.group_result import GroupResult
from aioqueue.kinds import Seconds
from aioqueue.lending import is_lent, lend
from aioqueue.options import SendOptions
from aioqueue.result import AsyncResult
from aioqueue.task_info import TaskInfo

if TYPE_CHECKING:
    from aioqueue.canvas.base import Canvas
    from aioqueue.core import Core
    from aioqueue.graph import Graph
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
    """An event loop in a thread, in which the app is open from its first use on."""

    def __init__(self, app: Core) -> None:
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


class SyncResult(Generic[R]):
    """An `AsyncResult` whose methods wait; what Celery's results have as properties, as `state`, are properties."""

    def __init__(self, portal: Portal, result: AsyncResult[R]) -> None:
        self._portal = portal
        self._result = result

    @staticmethod
    def of(portal: Portal, result: AsyncResult[T]) -> SyncResult[T]:
        """The same, but of a group a `SyncGroupResult`; and what a middleware has answered with, as it is."""
        if not isinstance(result, AsyncResult):  # pyright: ignore[reportUnnecessaryIsInstance]
            return result
        kind: Any = SyncGroupResult if isinstance(result, GroupResult) else SyncResult
        return kind(portal, result)

    @property
    def id(self) -> str:
        """The task's id."""
        return self._result.id

    @property
    def name(self) -> str:
        """The task's name, "" where it is not known."""
        return self._result.name

    @property
    def ignored(self) -> bool:
        """No result is kept."""
        return self._result.ignored

    def get(self, timeout: Seconds | None = None, *, propagate: bool = True) -> R:
        """Wait for the task's end and return its result; see `AsyncResult.get`."""
        return self._portal.run(self._result.get(timeout, propagate=propagate))

    @property
    def state(self) -> str:
        """The task's state."""
        return self._portal.run(self._result.state())

    @property
    def status(self) -> str:
        """Celery's other word for `state`."""
        return self.state

    @property
    def info(self) -> TaskInfo:
        """All that is known of the task. As in Celery, `info.get("current", 0)` reads what the task has told of its
        progress."""
        return self._portal.run(self._result.info())

    @property
    def result(self) -> Any:
        """What the task returned, or the exception that it raised; while it runs, what it has told of its progress, and
        before that None. `get` waits, raises, and is typed."""
        return self.info.outcome

    @property
    def traceback(self) -> str | None:
        """Where the task failed, as text."""
        return self.info.traceback

    @asked
    def ready(self) -> bool:
        """Whether the task has ended."""
        return self._portal.run(self._result.ready())

    @asked
    def successful(self) -> bool:
        """Whether the task has ended well."""
        return self._portal.run(self._result.successful())

    @asked
    def failed(self) -> bool:
        """Whether the task has ended with an error."""
        return self._portal.run(self._result.failed())

    def group(self) -> SyncGroupResult[Any]:
        """The group that has this id; see `AsyncResult.group`."""
        return SyncGroupResult(self._portal, self._portal.run(self._result.group()))

    @property
    def results(self) -> Sequence[SyncResult[Any]]:
        """The members' results of the group that has this id, in order; asks the broker for them."""
        return self.group().results

    @asked
    def completed_count(self) -> int:
        """How many members of the group that it is have ended well; of a task 1 or 0."""
        return self._portal.run(self._result.completed_count())

    def as_completed(self) -> Iterator[tuple[int, Any]]:
        """The results of the members of the group that it is, as they come; see `GroupResult.as_completed`."""
        return self._portal.each(self._result.as_completed())

    def watch(self, timeout: Seconds | None = None) -> Iterator[TaskInfo]:
        """The task's changes, the present state first, until the final one; see `AsyncResult.watch`."""
        return self._portal.each(self._result.watch(timeout))

    def forget(self) -> None:
        """Drop what is known of the task."""
        self._portal.run(self._result.forget())

    def revoke(self, terminate: bool = False, reason: str | None = None) -> bool:
        """End the task now, unless it has ended; see `AsyncResult.revoke`."""
        return self._portal.run(self._result.revoke(terminate, reason))

    # In a workflow

    @property
    def parent(self) -> SyncResult[Any] | Any:
        """The result of what came before it in its workflow, where that was sent by this process. None at the
        beginning. (The type lets you use it without asking.)"""
        parent = self._result.parent
        return None if parent is None else SyncResult.of(self._portal, parent)

    @property
    def children(self) -> list[SyncResult[Any]]:
        """The results of what comes directly after it in its workflow, where that was sent by this process, and of
        what the task has sent while it ran."""

        async def ask() -> Sequence[AsyncResult[Any]]:
            return await self._result.children

        return [SyncResult.of(self._portal, child) for child in self._portal.run(ask())]

    def graph(self) -> Graph:
        """The whole workflow as it is now; see `AsyncResult.graph`."""
        return self._portal.run(self._result.graph())

    def resume(self) -> Self:
        """Run again what failed or was revoked in its workflow; see `AsyncResult.resume`."""
        self._portal.run(self._result.resume())
        return self

    def _spoken(self) -> Spoken:
        return Spoken(f"task {self.id}", "result")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}{f' of {self.name}' if self.name else ''}>"


class SyncGroupResult(SyncResult[list[T]]):
    """A `GroupResult` whose methods wait."""

    @property
    def _group(self) -> GroupResult[T]:
        return cast("GroupResult[T]", self._result)

    @property
    def results(self) -> list[SyncResult[T]]:
        """The members' results, in order; those that joined the group later are not among them."""
        return [SyncResult.of(self._portal, member) for member in self._group]

    def __len__(self) -> int:
        return len(self._group)

    def __bool__(self) -> bool:
        """True, also of an empty group."""
        return True

    def __getitem__(self, index: int) -> SyncResult[T]:
        return SyncResult.of(self._portal, self._group[index])

    def __iter__(self) -> Iterator[SyncResult[T]]:
        return iter(self.results)

    def get(
        self, timeout: Seconds | None = None, return_exceptions: bool = False, *, propagate: bool = True
    ) -> list[T]:
        """Wait for all members and return their results, in order; see `GroupResult.get`."""
        return self._portal.run(self._group.get(timeout, return_exceptions, propagate=propagate))

    def as_completed(self) -> Iterator[tuple[int, T]]:
        """The members' results as they come: (index, value); see `GroupResult.as_completed`."""
        return self._portal.each(self._group.as_completed())

    def __repr__(self) -> str:
        return f"<SyncGroupResult {self.id} of {len(self)}>"


class SyncCanvas(Generic[R]):
    """A canvas whose methods wait; `canvas.sync`."""

    def __init__(self, canvas: Canvas[R]) -> None:
        self._canvas = canvas

    def send(self, *args: Any, **kwargs: Any) -> SyncResult[R]:
        """Send it; see `Canvas.send`."""
        portal = self._canvas.app.portal
        return SyncResult.of(portal, portal.run(self._canvas.send(*args, **kwargs)))

    delay = send

    def call(self, *args: Any, timeout: Seconds | None = None, **kwargs: Any) -> R:
        """Send it and wait for its result."""
        return self._canvas.app.portal.run(self._canvas.call(*args, timeout=timeout, **kwargs))

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> SyncResult[R]:
        """Send it with more arguments and options; see `Canvas.apply_async`."""
        portal = self._canvas.app.portal
        return SyncResult.of(portal, portal.run(self._canvas.apply_async(args, kwargs, **options)))


class SyncGroup(SyncCanvas[list[T]]):
    """A group whose methods wait; `group.sync`, `chunks.sync`."""

    def send(self, *args: Any, **kwargs: Any) -> SyncGroupResult[T]:
        """Send it; see `group.send`."""
        return cast("SyncGroupResult[T]", super().send(*args, **kwargs))

    delay = send

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> SyncGroupResult[T]:
        """Send it with more arguments and options; see `Canvas.apply_async`."""
        return cast("SyncGroupResult[T]", super().apply_async(args, kwargs, **options))


class SyncTask(Generic[P, R]):
    """A task whose methods wait; `task.sync`."""

    def __init__(self, task: Task[P, R]) -> None:
        self._task = task

    def send(self, *args: P.args, **kwargs: P.kwargs) -> SyncResult[R]:
        """Send the task; see `Task.send`."""
        portal = self._task.app.portal
        return SyncResult.of(portal, portal.run(self._task.send(*args, **kwargs)))

    delay = send

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> SyncResult[R]:
        """Send the task with options; see `Task.apply_async`."""
        portal = self._task.app.portal
        return SyncResult.of(portal, portal.run(self._task.apply_async(args, kwargs, **options)))

    @overload
    def call(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def call(self, *args: Any, timeout: Seconds | None, **kwargs: Any) -> R: ...
    def call(self, *args: Any, timeout: Seconds | None = None, **kwargs: Any) -> R:
        """Send the task and wait for its result; see `Task.call`."""
        return self._task.app.portal.run(self._task.call(*args, timeout=timeout, **kwargs))

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        throw: bool = False,
        **options: Unpack[SendOptions],
    ) -> SyncResult[R]:
        """Run the task here and now, and send nothing; see `Task.apply`. A plain function is called in this thread."""
        portal = self._task.app.portal
        return SyncResult.of(portal, portal.run(self._task.apply(args, kwargs, throw=throw, **options), lends=True))

    def AsyncResult(self, id: str) -> SyncResult[R]:
        """The result of a call of this task, from its id."""
        return SyncResult.of(self._task.app.portal, self._task.AsyncResult(id))

    def options(self, **options: Unpack[SendOptions]) -> SyncTask[P, R]:
        """This task, to be sent with these options."""
        return SyncTask(self._task.options(**options))
