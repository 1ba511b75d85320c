"""Results for threads and for programs without an event loop: what `task.sync.send(...)` gives."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import msgspec

from aioqueue.attributes import Elsewhere
from aioqueue.awaiting import Spoken, asked
from aioqueue.group_result import GroupResult
from aioqueue.kinds import Seconds
from aioqueue.message import State
from aioqueue.other_words import OF_RESULTS, without_a_loop
from aioqueue.payload.handles import Handle
from aioqueue.result import AsyncResult, has_not
from aioqueue.task_info import TaskInfo

if TYPE_CHECKING:
    from aioqueue.graph import Graph
    from aioqueue.portal import Portal

R = TypeVar("R")
T = TypeVar("T")


class SyncResult(Handle, Generic[R]):
    """An `AsyncResult` whose methods wait; what Celery's results have as properties, as `state`, are properties.

    Results that a task has returned are of this kind, too, also in lists, tuples and dicts. A task may return such a
    one, or be given it.
    """

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

    def names(self) -> list[Any]:
        """What names it where it is an argument, or is returned by a task."""
        return self._result.names()

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

    @property
    def task_id(self) -> str:
        """Celery's word for `id`."""
        return self.id

    @property
    def queue(self) -> str:
        """To which it was sent, "" where that is not known."""
        return self._result.queue

    def get(
        self,
        timeout: Seconds | None = None,
        *,
        propagate: bool = True,
        interval: float | None = None,
        disable_sync_subtasks: bool | None = None,
    ) -> R:
        """Wait for the task's end and return its result; see `AsyncResult.get`.

        Args:
            timeout, propagate: as there.
            interval, disable_sync_subtasks: Celery's, of no effect: nothing is polled, and a task may wait for others.
        """
        return in_sync(self._portal, self._portal.run(self._result.get(timeout, propagate=propagate)))

    def wait(self, timeout: Seconds | None = None, *, propagate: bool = True, interval: float | None = None) -> R:
        """Celery's word for `get`."""
        return self.get(timeout, propagate=propagate)

    def maybe_throw(self, propagate: bool = True) -> Any:
        """Raise what the task has raised, if it has; else, without waiting, what `result` is: Celery's way to ask."""
        known = self.task_info()
        if propagate and known.exception is not None and known.ready:
            raise known.exception
        return known.outcome

    @property
    def state(self) -> str:
        """The task's state."""
        return self._portal.run(self._result.state())

    @property
    def status(self) -> str:
        """Celery's other word for `state`."""
        return self.state

    def task_info(self) -> TaskInfo:
        """All that is known of the task, as one record; see `AsyncResult.info`."""
        return _told(self._portal, self._portal.run(self._result.info()))

    @property
    def info(self) -> Any:
        """Celery's `info`: the same as `result`; but while the task has not ended and has told nothing, an empty dict,
        so that `result.info.get("current", 0)` can be asked. `task_info()` has all that is known of it."""
        known = self.task_info()
        goes_on = known.state != State.PENDING and not known.ready
        return {} if goes_on and known.outcome is None else known.outcome

    @property
    def result(self) -> Any:
        """What the task returned, or the exception that it raised; while it runs, what it has told of its progress, and
        before that None. `get` waits, raises, and is typed."""
        return self.task_info().outcome

    @property
    def traceback(self) -> str | None:
        """Where the task failed, as text."""
        return self.task_info().traceback

    @property
    def date_done(self) -> datetime | None:
        """When the task ended, in UTC."""
        return self.task_info().timings.ended

    @property
    def worker(self) -> str | None:
        """The name of the worker."""
        return self.task_info().worker or None

    @property
    def retries(self) -> int:
        """How often the task has been retried."""
        return self.task_info().retries

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
        for index, value in self._portal.each(self._result.as_completed()):
            yield index, in_sync(self._portal, value)

    def watch(self, timeout: Seconds | None = None) -> Iterator[TaskInfo]:
        """The task's changes, the present state first, until the final one; see `AsyncResult.watch`."""
        for info in self._portal.each(self._result.watch(timeout)):
            yield _told(self._portal, info)

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

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise has_not(self, name, without_a_loop)

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
        self,
        timeout: Seconds | None = None,
        *,
        return_exceptions: bool = False,
        propagate: bool = True,
        interval: float | None = None,
        disable_sync_subtasks: bool | None = None,
    ) -> list[T]:
        """Wait for all members and return their results, in order; see `GroupResult.get`.

        Args:
            timeout, return_exceptions, propagate: as there.
            interval, disable_sync_subtasks: as of `SyncResult.get`.
        """
        values = self._portal.run(self._group.get(timeout, return_exceptions=return_exceptions, propagate=propagate))
        return in_sync(self._portal, values)

    def join(
        self,
        timeout: Seconds | None = None,
        propagate: bool = True,
        *,
        interval: float | None = None,
        disable_sync_subtasks: bool | None = None,
    ) -> list[T]:
        """Celery's word for `get`, with its order of arguments."""
        return self.get(timeout, propagate=propagate)

    join_native = join

    @asked
    def waiting(self) -> bool:
        """Celery's way to ask whether a member has not ended."""
        return not self._portal.run(self._result.ready())

    def as_completed(self) -> Iterator[tuple[int, T]]:
        """The members' results as they come: (index, value); see `GroupResult.as_completed`."""
        for index, value in self._portal.each(self._group.as_completed()):
            yield index, in_sync(self._portal, value)

    if not TYPE_CHECKING:
        restore = Elsewhere(f"SyncGroupResult has no 'restore'. {without_a_loop(OF_RESULTS['restore'])}")

    def __repr__(self) -> str:
        return f"<SyncGroupResult {self.id} of {len(self)}>"


def in_sync(portal: Portal, value: T) -> T:
    """What a task has returned, as a program without an event loop is to have it: with results whose methods wait, also
    in lists, tuples and dicts."""
    given: Any = value
    if type(given) in (list, tuple):
        items = [in_sync(portal, item) for item in given]
        return value if all(map(operator.is_, items, given)) else type(given)(items)
    if type(given) is dict:
        before = cast("dict[Any, Any]", given)
        after = {key: in_sync(portal, item) for key, item in before.items()}
        return value if all(map(operator.is_, after.values(), before.values())) else cast("T", after)
    return cast("T", SyncResult.of(portal, given))


def _told(portal: Portal, info: TaskInfo) -> TaskInfo:
    result = in_sync(portal, info.result)
    return info if result is info.result else msgspec.structs.replace(info, result=result)
