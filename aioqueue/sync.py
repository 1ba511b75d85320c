"""The same for threads and for programs without an event loop: Django, Flask, scripts.

The calls are carried out by an event loop in a thread of its own, one per app and process, started with the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, Unpack, cast, overload

from aioqueue.attributes import Elsewhere
from aioqueue.kinds import Seconds
from aioqueue.options import SendOptions
from aioqueue.other_words import ON_COMMIT
from aioqueue.sync_results import SyncGroupResult, SyncResult, in_sync

if TYPE_CHECKING:
    from aioqueue.canvas.base import Canvas
    from aioqueue.canvas.signatures import Signature
    from aioqueue.task import Task

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class SyncCanvas(Generic[R]):
    """A canvas whose methods wait; `canvas.sync`."""

    def __init__(self, canvas: Canvas[R]) -> None:
        self._canvas = canvas

    def send(self, *args: Any, **kwargs: Any) -> SyncResult[R]:
        """Send it; see `Canvas.send`."""
        portal = self._canvas.app.portal
        return SyncResult.of(portal, portal.run(self._canvas.send(*args, **kwargs)))

    delay = send

    def __call__(self, *args: Any, **kwargs: Any) -> SyncResult[R]:
        """Celery's way to send it: `chain(...).sync()`, `chord(header).sync(body)`."""
        canvas: Any = self._canvas
        portal = canvas.app.portal
        sent: Any = canvas(*args, **kwargs)
        return SyncResult.of(portal, portal.run(sent.send() if hasattr(sent, "options") else sent))

    def call(self, *args: Any, timeout: Seconds | None = None, **kwargs: Any) -> R:
        """Send it and wait for its result."""
        portal = self._canvas.app.portal
        return in_sync(portal, portal.run(self._canvas.call(*args, timeout=timeout, **kwargs)))

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> SyncResult[R]:
        """Send it with more arguments and options; see `Canvas.apply_async`."""
        portal = self._canvas.app.portal
        return SyncResult.of(portal, portal.run(self._canvas.apply_async(args, kwargs, **options)))


class SyncSignature(SyncCanvas[R]):
    """A signature whose methods wait; `task.s(...).sync`."""

    def __init__(self, signature: Signature[R]) -> None:
        super().__init__(signature)
        self._signature = signature

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: it would not be sent, as compositions are.

        Raises:
            TypeError: always; it says what to write.
        """
        raise TypeError(
            f"A single signature that is called runs its function here and now: write {self._signature!r}() for that, "
            "without .sync, and .sync.send(...) to send it. Nothing was sent."
        )

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        throw: bool = False,
        **options: Unpack[SendOptions],
    ) -> SyncResult[R]:
        """Run the task here and now, and send nothing; see `Task.apply`. A plain function is called in this thread."""
        portal = self._canvas.app.portal
        result = portal.run(self._signature.apply(args, kwargs, throw=throw, **options), lends=True)
        return SyncResult.of(portal, result)


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
        portal = self._task.app.portal
        return in_sync(portal, portal.run(self._task.call(*args, timeout=timeout, **kwargs)))

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


Elsewhere.put(SyncTask, ON_COMMIT)
