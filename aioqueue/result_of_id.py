"""The result of an id, which may be a task's or a group's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, TypeVar, cast

from aioqueue.attributes import KnownResults
from aioqueue.awaiting import asked, awaited
from aioqueue.exceptions import AioQueueError, ResultIgnored
from aioqueue.group_result import GroupResult, group_at
from aioqueue.ids import is_new_id
from aioqueue.kinds import Seconds
from aioqueue.message import Record, State
from aioqueue.payload.handles import made_by
from aioqueue.result import AsyncResult
from aioqueue.shared import app_in_use
from aioqueue.task_info import TaskInfo

R = TypeVar("R")


class ResultOfId(AsyncResult[R]):
    """Made from an id alone: the broker is asked whether it is a task's or a group's. It may be neither, so far."""

    async def _group(self) -> GroupResult[Any] | None:
        """The group that it is; None where it is none, or none yet."""
        if await (await self._app.broker()).records([self.id]) != [None]:  # it is a task, also with a broken record
            return None
        place = await self.place()
        return await group_at(self._app, self.id, place, self._convert) if place is not None else None

    @awaited
    async def get(self, timeout: Seconds | None = None, *, propagate: bool = True) -> R:
        """Wait for its end and return its result; see `AsyncResult.get`."""

        async def group_or_end() -> list[Any] | Record:
            group = await self._group()
            return await (self._end() if group is None else group.get(propagate=propagate))

        found = await self._in_time(timeout, group_or_end)
        return self._value_or_error(found, propagate) if isinstance(found, Record) else cast("R", found)

    @property
    def _was_sent(self) -> bool:
        """Not known of an id of the sender's own: it may be waited for before it is sent."""
        return is_new_id(self._made)

    def _without_a_record(self) -> Record:
        """What is to be said of a task that has ended, and left nothing.

        Raises:
            ResultExpired: it is gone.
            ResultIgnored: it is not known to have kept a result.
        """
        if self._has_ended or self._forgotten or self._is_old:
            return super()._without_a_record()
        raise ResultIgnored(
            f"Nothing is known of task {self.id}{f' ({self.name})' if self.name else ''}, and no task waits or runs: "
            "if it was sent, it has ended, and its result was ignored (ignore_result) or forgotten."
        )

    @asked
    async def state(self) -> str:
        """Its state; PENDING when nothing is known of it."""
        record = await self._record()
        if record is None and (group := await self._group()) is not None:
            return await group.state()
        return record.state if record is not None else self.unknown_state

    @property
    def unknown_state(self) -> str:
        """Nobody knows here whether it was sent."""
        return str(State.PENDING)

    @asked
    async def info(self) -> TaskInfo:
        """All that is known of it."""
        record = await self._record()
        if record is None and (group := await self._group()) is not None:
            return await group.info()
        return self._info(record) if record is not None else await self._nothing_known()

    @asked
    async def ready(self) -> bool:
        """Whether it has ended."""
        record = await self._record()
        if record is None and (group := await self._group()) is not None:
            return await group.ready()
        return record is not None and record.final

    async def watch(self, timeout: Seconds | None = None) -> AsyncIterator[TaskInfo]:
        """Its changes, the present state first, until the final one; see `AsyncResult.watch`."""
        group = await self._group()
        changes = super().watch(timeout) if group is None else group.watch(timeout)
        async with aclosing(cast("AsyncGenerator[TaskInfo]", changes)) as infos:
            async for info in infos:
                yield info

    @awaited
    async def forget(self) -> None:
        """Drop what is known of it; see `AsyncResult.forget`."""
        if (group := await self._group()) is None:
            await super().forget()
        else:
            await group.forget()
            self.note_forgotten()

    @awaited
    async def group(self) -> GroupResult[Any]:
        """The group that has this id.

        Raises:
            AioQueueError: it is a task's id, or nothing is known of it (any more).
        """
        if (group := await self._group()) is not None:
            return group
        if await self._record() is not None:
            return await super().group()
        raise AioQueueError(
            f"Nothing is known of a group {self.id}: there is none, or its time (result_expires) is over; or it is the "
            "id of a task that has not run yet."
        )

    @property
    def children(self) -> KnownResults[AsyncResult[Any]]:
        """Awaited, the members of the group that it is, or the tasks that the task has sent while it ran."""
        behind = super().children

        async def ask() -> list[AsyncResult[Any]]:
            group = await self._group()
            return await (behind if group is None else group.children)

        return KnownResults(behind, ask)

    @asked
    async def completed_count(self) -> int:
        """How many members of the group that it is have ended well; of a task 1 or 0."""
        group = await self._group()
        return await (super().completed_count() if group is None else group.completed_count())

    @awaited
    async def revoke(self, terminate: bool = False, reason: str | None = None) -> bool:
        """End it now, unless it has ended; see `AsyncResult.revoke`."""
        group = await self._group()
        return await (super().revoke(terminate, reason) if group is None else group.revoke(terminate, reason))


def _arrived(id: str, name: str, members: Sequence[Any] | None) -> AsyncResult[Any]:
    """A result that has come as an argument, or as what a task has returned."""
    app = app_in_use()
    if members is None:
        return ResultOfId(app, id, name=name)
    return GroupResult(app, id, members)


made_by(_arrived)
