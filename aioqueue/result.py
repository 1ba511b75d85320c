"""Results: what stands for a task that was sent."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import msgspec

from aioqueue.brokers.protocol import Broker
from aioqueue.exceptions import AioQueueError, TaskFailed, TaskRevoked, TimeoutError
from aioqueue.graph import Graph
from aioqueue.logs import logger
from aioqueue.message import Record, State, decode_record, encode_record
from aioqueue.options import moment
from aioqueue.payload.codec import decode
from aioqueue.workflow import Step, failed_step, node_of, revoked_call

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.group_result import GroupResult
    from aioqueue.sync import SyncResult

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


class Family(Protocol):
    """What the sender of a workflow knows of how its results belong together."""

    @property
    def workflow(self) -> str:
        """The workflow's id."""
        ...

    @property
    def end(self) -> int:
        """The node at its end."""
        ...

    def result(self, node: int) -> AsyncResult[Any]:
        """The result of a node."""
        ...

    def before(self, node: int) -> int:
        """The node before it; 0 is none."""
        ...

    def behind(self, node: int) -> list[int]:
        """The nodes that come directly after it."""
        ...


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
        family: Family | None = None,
        node: int = 0,
    ) -> None:
        self._app = app
        self.id = id
        self.name = name
        self._convert = convert
        self._sent = sent
        self._ignored = ignored
        self._family = family
        self._node = node

    @property
    def sync(self) -> SyncResult[R]:
        """The same for threads and programs without an event loop: `app.result(id).sync.get(timeout=10)`."""
        from aioqueue.sync import SyncResult

        return SyncResult.of(self._app.portal, self)

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
        if timeout is not None and timeout <= 0 and await self.ready():
            timeout = None  # what is there needs no waiting
        try:
            async with asyncio.timeout(timeout):
                if (group := await self._group()) is not None:
                    return await group.get()  # type: ignore[return-value]
                record = await self._end()
        except builtins.TimeoutError as error:
            if isinstance(error, AioQueueError):
                raise
            raise TimeoutError(
                f"Task {self.id}{f' ({self.name})' if self.name else ''} has not ended after {timeout:g} s. It goes "
                "on; wait again, or revoke it. Is a worker running that consumes its queue?"
            ) from None
        return self._value(record)

    @property
    def app(self) -> AioQueue:
        """The app that it was sent through."""
        return self._app

    @property
    def ignored(self) -> bool:
        """No result is kept."""
        return self._ignored

    def value_of(self, record: Record) -> R:
        """What a record of its end says that it gave; raises what it raised."""
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
        raise exception_of(self.id, record, self.name)

    def _result(self, record: Record) -> Any:
        if record.result is None:
            return None
        value = decode(record.result, record.content, max_size=2**31)
        convert = self._convert or self._app.result_converter(record.task or self.name)
        if convert is None:
            return value
        try:
            return [convert(item) for item in value] if record.spread else convert(value)
        except Exception as error:  # the task said it returns something else: what it did return is better than nothing
            logger.warning("The result of task %s does not fit its annotation: %s", self.id, error)
            return value

    async def _record(self) -> Record | None:
        data = (await (await self._app.broker()).records([self.id]))[0]
        return decode_record(data) if data is not None else None

    async def state(self) -> str:
        """The task's state: PENDING when nothing is known of it, SENT when this is what `send` returned."""
        record = await self._record()
        if record is None and (group := await self._group()) is not None:
            return await group.state()
        return record.state if record is not None else self._unknown

    @property
    def _unknown(self) -> str:
        return str(State.SENT if self._sent else State.PENDING)

    async def info(self) -> TaskInfo:
        """All that is known of the task."""
        record = await self._record()
        if record is None and (group := await self._group()) is not None:
            return await group.info()
        return self._info(record) if record is not None else TaskInfo(id=self.id, state=self._unknown, name=self.name)

    def _info(self, record: Record) -> TaskInfo:
        failed = record.failure is not None or record.state == State.REVOKED
        return TaskInfo(
            id=self.id,
            state=record.state,
            name=record.task or self.name,
            result=self._result(record),
            exception=exception_of(self.id, record, self.name) if failed else None,
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
        if record is None and (group := await self._group()) is not None:
            return await group.ready()
        return record is not None and record.final

    async def successful(self) -> bool:
        """Whether the task has ended well."""
        return await self.state() == State.SUCCESS

    async def failed(self) -> bool:
        """Whether the task has ended with an error."""
        return await self.state() == State.FAILURE

    async def watch(self) -> AsyncIterator[TaskInfo]:
        """The task's changes, the present state first, until the final one. Of a task whose result is ignored nothing
        will be known: only how it is now."""
        if self._ignored:
            yield await self.info()
            return
        if (group := await self._group()) is not None:
            async for info in group.watch():
                yield info
            return
        async with (await self._app.broker()).watch(self.id) as watch:
            while True:
                record = decode_record(await watch.next())
                yield self._info(record)
                if record.final:
                    return

    async def forget(self) -> None:
        """Drop what is known of the task."""
        if (group := await self._group()) is not None:
            await group.forget()
        else:
            await (await self._app.broker()).forget([self.id])

    # In a workflow

    async def _group(self) -> GroupResult[Any] | None:
        """The group that it is, when all that was given here is the id of one."""
        if self._sent or await self._record() is not None:
            return None
        from aioqueue.group_result import group_at

        place = await self.place()
        return await group_at(self._app, self.id, place, self._convert) if place is not None else None

    @property
    def parent(self) -> AsyncResult[Any] | Any:
        """The result of what came before it in its workflow, where that was sent by this process; awaiting it gives
        its value. None at the beginning. (The type lets you await it without asking.)"""
        family = self._family
        before = family.before(self._node) if family is not None else 0
        return family.result(before) if family is not None and before else None

    @property
    def children(self) -> list[AsyncResult[Any]]:
        """The results of what comes directly after it in its workflow, where that was sent by this process."""
        family = self._family
        return [family.result(node) for node in family.behind(self._node)] if family is not None else []

    async def place(self) -> tuple[str, int] | None:
        """The workflow that the task belongs to, and its node there; None when it belongs to none."""
        if self._family is not None:
            return self._family.workflow, self._node
        found = node_of(self.id)
        if found is not None and found[1].isdigit():
            return found[0], int(found[1])
        return await (await self._app.broker()).place(self.id)

    async def graph(self) -> Graph:
        """The whole workflow as it is now: nodes, edges, states. A task that is in none is a workflow of its own.

        Raises:
            AioQueueError: nothing is known of the workflow (any more).
        """
        place = await self.place()
        broker = await self._app.broker()
        if place is None:
            return Graph.of_task(self.id, await self.info())
        return await Graph.load(broker, place[0])

    async def resume(self) -> Self:
        """Run again what failed or was revoked in its workflow, and what was to come after that; the results of all
        others are kept.

        Returns:
            This result, to be waited for anew.

        Raises:
            AioQueueError: there is nothing to resume.
        """
        place = await self.place()
        resumed = await (await self._app.broker()).resume(place[0]) if place is not None else 0
        if not resumed:
            raise AioQueueError(
                f"Nothing of the workflow of {self.id} can be resumed: nothing in it has failed or was revoked, or its "
                "time (result_expires) is over. Nothing was changed."
            )
        return self

    async def revoke(self, terminate: bool = False, reason: str | None = None) -> bool:
        """End the task now, as REVOKED, unless it has ended: it will not start, and nothing comes of it.

        What comes after it in its workflow ends with it, as `UpstreamFailed`. The result of a canvas, which is that of
        its last task, stands for all of it: everything that has not ended is revoked.

        Args:
            terminate: if it is running, cancel it; else it runs on unheard.
            reason: kept with the record.

        Returns:
            Whether the task was ended by this; False when it had ended before.
        """
        if (group := await self._group()) is not None:
            return await group.revoke(terminate, reason)
        broker = await self._app.broker()
        # What ends with it has names of its own.
        name = "" if self._family is not None and self._family.end == self._node else self.name
        return (await revoke(self._app, broker, [self.id], self.id, name, terminate, reason))[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<AsyncResult {self.id}{f' of {self.name}' if self.name else ''}>"


async def revoke(
    app: AioQueue, broker: Broker, ids: Sequence[str], about: str, name: str, terminate: bool, reason: str | None
) -> list[bool]:
    """End tasks as revoked; see `AsyncResult.revoke`. `about` is the id that those after them are told of."""
    record, keep, step = _revocation(app, broker, about, name, reason or "revoked")
    return await broker.revoke(ids, record, expires=keep, terminate=terminate, step=step)


async def purge(app: AioQueue, queue: str) -> int:
    """Drop what waits in a queue, and end its tasks as revoked, so that nobody waits for them; returns how many."""
    broker = await app.broker()
    record, keep, step = _revocation(app, broker, "", "", "purged")
    return await broker.purge(queue, record, expires=keep, step=step)


def _revocation(app: AioQueue, broker: Broker, id: str, name: str, why: str) -> tuple[bytes, int, Step]:
    """The record of a revoked task, for how long it is kept, and what those hear that come after the task."""
    now = broker.now()
    record = Record(state=State.REVOKED, task=name, reason=why, ended=now)
    step = failed_step(Step("", ""), revoked_call(id, name, why), now=now)
    return encode_record(record), int((app.conf.result_expires or 0) * 1000), step


def exception_of(id: str, record: Record, name: str = "") -> BaseException:
    """What `get` raises for a record of a task that did not end well."""
    if record.state == State.REVOKED:
        name = record.task or name
        return TaskRevoked(f"Task {id}{f' ({name})' if name else ''} was revoked: {record.reason}.")
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
