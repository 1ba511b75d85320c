"""Results: what stands for a task that was sent."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Callable, Generator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from aioqueue.exceptions import AioQueueError, TaskFailed, TaskRevoked, TimeoutError
from aioqueue.logs import logger
from aioqueue.message import Record, State, decode_record, encode_record
from aioqueue.options import moment
from aioqueue.payload.codec import decode

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

R = TypeVar("R")


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """When things happened, by the clocks of the sender and of the worker.

    Attributes:
        sent, started, ended: when; None where it has not, or is not known.
        wait: seconds from sending to starting.
        run: seconds from starting to ending.
    """

    sent: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    wait: float | None = None
    run: float | None = None


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a task.

    Attributes:
        id: its id.
        state: PENDING when nothing is known of it.
        name: the task's name.
        result: what it returned.
        exception: what it raised.
        traceback: where, as text.
        meta: what it said of its progress.
        retries: how often it has been retried.
        timings: when things happened.
        worker: the name of the worker.
        args: its arguments as short text, the hidden ones left out.
        children: ids of the tasks that it sent.
        reason: why it was revoked, or put among the dead letters.
        dead: it lies among the dead letters.
        parent_id, root_id, group_id: what it belongs to.
    """

    id: str
    state: str = State.PENDING
    name: str = ""
    result: Any = None
    exception: BaseException | None = None
    traceback: str | None = None
    meta: Any = None
    retries: int = 0
    timings: Timings = Timings()
    worker: str = ""
    args: str = ""
    children: list[str] = []
    reason: str | None = None
    dead: bool = False
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the task has ended."""
        return self.state in (State.SUCCESS, State.FAILURE, State.REVOKED)


class AsyncResult(Generic[R]):
    """A task that was sent: wait for it, look at it, revoke it.

    Attributes:
        id: the task's id.
        name: the task's name, "" where it is not known.
    """

    def __init__(
        self,
        app: AioQueue,
        id: str,
        *,
        name: str = "",
        convert: Callable[[Any], R] | None = None,
        sent: bool = False,
        ignored: bool = False,
    ) -> None:
        self._app = app
        self.id = id
        self.name = name
        self._convert = convert
        self._sent = sent
        self._ignored = ignored

    async def get(self, timeout: float | None = None) -> R:
        """Wait for the task's end and return its result.

        Args:
            timeout: seconds; None waits for as long as it takes.

        Raises:
            TimeoutError: it has not ended in that time; it goes on.
            TaskRevoked: it was revoked, or expired.
            Exception: what the task raised: its own type where that is known here, else `TaskFailed`.
        """
        if self._ignored:
            return None  # type: ignore[return-value]
        try:
            async with asyncio.timeout(timeout):
                record = await self._end()
        except builtins.TimeoutError as error:
            if isinstance(error, AioQueueError):
                raise
            raise TimeoutError(
                f"Task {self.id}{f' ({self.name})' if self.name else ''} has not ended after {timeout:g} s. It goes "
                "on; wait again, or revoke it. Is a worker running that consumes its queue?"
            ) from None
        return self._value(record)

    async def _end(self) -> Record:
        async with (await self._app.broker()).watch(self.id) as watch:
            while True:
                record = decode_record(await watch.next())
                if record.final:
                    return record

    def __await__(self) -> Generator[Any, Any, R]:
        return self.get().__await__()

    def _value(self, record: Record) -> R:
        if record.state == State.SUCCESS:
            return self._result(record)
        raise exception_of(self.id, record)

    def _result(self, record: Record) -> Any:
        if record.result is None:
            return None
        value = decode(record.result, record.content, max_size=2**31)
        convert = self._convert or self._app.result_converter(self.name or record.task)
        if convert is None:
            return value
        try:
            return convert(value)
        except Exception as error:  # the task said it returns something else: what it did return is better than nothing
            logger.warning("The result of task %s does not fit its annotation: %s", self.id, error)
            return value

    async def _record(self) -> Record | None:
        data = (await (await self._app.broker()).records([self.id]))[0]
        return decode_record(data) if data is not None else None

    async def state(self) -> str:
        """The task's state: PENDING when nothing is known of it, SENT when this is what `send` returned."""
        record = await self._record()
        return record.state if record is not None else self._unknown

    @property
    def _unknown(self) -> str:
        return str(State.SENT if self._sent else State.PENDING)

    async def info(self) -> TaskInfo:
        """All that is known of the task."""
        record = await self._record()
        return self._info(record) if record is not None else TaskInfo(id=self.id, state=self._unknown, name=self.name)

    def _info(self, record: Record) -> TaskInfo:
        failed = record.failure is not None or record.state == State.REVOKED
        return TaskInfo(
            id=self.id,
            state=record.state,
            name=record.task or self.name,
            result=self._result(record),
            exception=exception_of(self.id, record) if failed else None,
            traceback=record.failure.report() if record.failure else None,
            meta=record.meta,
            retries=record.retries,
            timings=_timings(record),
            worker=record.worker,
            args=record.arguments,
            children=record.children,
            reason=record.reason,
            dead=record.dead,
            parent_id=record.parent_id,
            root_id=record.root_id,
            group_id=record.group_id,
        )

    async def ready(self) -> bool:
        """Whether the task has ended."""
        record = await self._record()
        return record is not None and record.final

    async def successful(self) -> bool:
        """Whether the task has ended well."""
        return await self.state() == State.SUCCESS

    async def failed(self) -> bool:
        """Whether the task has ended with an error."""
        return await self.state() == State.FAILURE

    async def watch(self) -> AsyncIterator[TaskInfo]:
        """The task's changes, the present state first, until the final one."""
        async with (await self._app.broker()).watch(self.id) as watch:
            while True:
                record = decode_record(await watch.next())
                yield self._info(record)
                if record.final:
                    return

    async def forget(self) -> None:
        """Drop what is known of the task."""
        await (await self._app.broker()).forget([self.id])

    async def revoke(self, terminate: bool = False, reason: str | None = None) -> bool:
        """End the task now, as REVOKED, unless it has ended: it will not start, and nothing comes of it.

        Args:
            terminate: if it is running, cancel it; else it runs on unheard.
            reason: kept with the record.

        Returns:
            Whether the task was ended by this; False when it had ended before.
        """
        broker = await self._app.broker()
        record = Record(state=State.REVOKED, task=self.name, reason=reason or "revoked", ended=broker.now())
        keep = int((self._app.conf.result_expires or 0) * 1000)
        return (await broker.revoke([self.id], encode_record(record), expires=keep, terminate=terminate))[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<AsyncResult {self.id}{f' of {self.name}' if self.name else ''}>"


def exception_of(id: str, record: Record) -> BaseException:
    """What `get` raises for a record of a task that did not end well."""
    if record.state == State.REVOKED:
        return TaskRevoked(f"Task {id}{f' ({record.task})' if record.task else ''} was revoked: {record.reason}.")
    if record.failure is None:
        return TaskFailed(f"Task {id} failed: {record.reason or 'nothing more is known'}.")
    return record.failure.rebuild()


def _timings(record: Record) -> Timings:
    return Timings(
        sent=moment(record.sent or None),
        started=moment(record.started or None),
        ended=moment(record.ended or None),
        wait=max(0, record.started - record.sent) / 1000 if record.started and record.sent else None,
        run=max(0, record.ended - record.started) / 1000 if record.ended and record.started else None,
    )
