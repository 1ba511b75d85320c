"""Results: what stands for a task that was sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, cast

import msgspec

from aioqueue.brokers.protocol import Broker, Watch
from aioqueue.context import waiting_for
from aioqueue.exceptions import (
    AioQueueError,
    ResultExpired,
    ResultIgnored,
    TaskFailed,
    TaskRevoked,
    TimeoutError,
)
from aioqueue.graph import Graph
from aioqueue.ids import age, is_new_id
from aioqueue.kinds import TIMEOUT, Seconds
from aioqueue.logs import logger
from aioqueue.message import Record, State, encode_record, meta_of, read_record
from aioqueue.options import moment
from aioqueue.payload.codec import decode
from aioqueue.waiting import A_MOMENT, Allowance, OutOfTime, news, nothing_goes_on, within
from aioqueue.workflow import Told, node_of, revoked_call, told

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.group_result import GroupResult
    from aioqueue.sync import SyncResult

R = TypeVar("R")
T = TypeVar("T")


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

    def forget(self, node: int) -> None:
        """Note that a node's result was forgotten; with that at the end, those of all nodes."""
        ...

    def is_forgotten(self, node: int) -> bool:
        """Whether it was, by this process."""
        ...


class AsyncResult(Generic[R]):
    """A task that was sent: wait for it, look at it, revoke it.

    Attributes:
        id: the task's id.
        name: the task's name, "" where it is not known.
    """

    def __init__(
        self,
        app: Core,
        id: str,
        *,
        name: str = "",
        convert: Callable[[Any], R] | None = None,
        sent: bool = False,
        ignored: bool = False,
        keeps_errors: bool = False,
        family: Family | None = None,
        node: int = 0,
    ) -> None:
        self._app = app
        self.id = id
        self.name = name
        self._convert = convert
        self._sent = sent
        self._ignored = ignored
        self._keeps_errors = keeps_errors
        self._was_forgotten = False
        self._has_ended = False
        self._family = family
        self._node = node

    @property
    def sync(self) -> SyncResult[R]:
        """The same for threads and programs without an event loop: `app.result(id).sync.get(timeout=10)`."""
        from aioqueue.sync import SyncResult

        return SyncResult.of(self._app.portal, self)

    async def get(self, timeout: Seconds | None = None) -> R:
        """Wait for the task's end and return its result.

        Args:
            timeout: seconds, or a timedelta; None waits for as long as it takes.

        Raises:
            TimeoutError: it has not ended in that time; it goes on.
            TaskRevoked: it was revoked, or expired.
            ResultIgnored: it has ended, and no result of it is kept.
            ResultExpired: it has ended, and what was known of it is gone.
            Exception: what the task raised: its own type where that is known here, else `TaskFailed`.
        """
        if self.keeps_nothing:
            return None  # type: ignore[return-value]
        patience: float | None = TIMEOUT.of("The timeout of get()", timeout)
        if patience is not None and patience <= 0 and await self.ready():
            patience = None  # what is there needs no waiting
        try:
            found = await within(patience, self._group_or_end())
        except OutOfTime:
            raise self._not_ended(patience or 0) from None
        return self._value(found) if isinstance(found, Record) else cast("R", found)

    def _not_ended(self, after: float) -> TimeoutError:
        return TimeoutError(
            f"Task {self.id}{f' ({self.name})' if self.name else ''} has not ended after {after:g} s. It goes on; wait "
            "again, or revoke it. Is a worker running that consumes its queue?"
        )

    async def _group_or_end(self) -> list[Any] | Record:
        """What the group gave that it is, or else the record of the task's end."""
        group = await self._group()
        return await (self._end() if group is None else group.get())

    @property
    def app(self) -> Core:
        """The app that it was sent through."""
        return self._app

    @property
    def ignored(self) -> bool:
        """No result is kept."""
        return self._ignored

    @property
    def keeps_nothing(self) -> bool:
        """Nothing of its end is kept: no result, and no error."""
        return self._ignored and not self._keeps_errors

    def value_of(self, record: Record) -> R:
        """What a record of its end says that it gave; raises what it raised."""
        return self._value(record)

    async def _end(self) -> Record:
        if (self._has_ended or self._forgotten) and await self._record() is None:
            return self._without_a_record()
        broker = await self._app.broker()
        async with broker.watch(self.id) as watch:
            with waiting_for(self._subjects()):
                return await self._final(broker, watch)

    async def _final(self, broker: Broker, watch: Watch) -> Record:
        if not self._was_sent:
            data = await watch.next()
        elif (found := await news(broker, self.id, watch)) is None:
            return self._without_a_record()
        else:
            data = found
        while True:
            record = read_record(self.id, data)
            if record.final:
                self._note(record)
                return record
            data = await watch.next()

    def _note(self, record: Record) -> None:
        """Remember an end after which there is no other: not one that may be resumed or requeued, nor that of an id
        which may be given to another task."""
        if record.final and not record.dead and self._family is None and is_new_id(self.id):
            self._has_ended = True

    def _subjects(self) -> list[str]:
        """What has to run for its end to come: the task, and the workflow that it may be of."""
        place = node_of(self.id)
        workflow = self._family.workflow if self._family is not None else place[0] if place is not None else None
        subjects = [] if place is not None else [self.id]
        return [*subjects, workflow + "."] if workflow is not None else subjects

    @property
    def _was_sent(self) -> bool:
        """Whether it is known to have been sent: an id of the sender's own may be waited for before that."""
        return self._sent or is_new_id(self._made)

    @property
    def _made(self) -> str:
        """The id that was made for it, or for its workflow."""
        place = node_of(self.id)
        return self.id if place is None else place[0]

    @property
    def _forgotten(self) -> bool:
        return self._was_forgotten or (self._family is not None and self._family.is_forgotten(self._node))

    def _without_a_record(self) -> Record:
        """What is to be said of a task that has ended, and left nothing.

        Raises:
            ResultIgnored: it is not known to have kept a result.
            ResultExpired: it is gone.
        """
        keep = self._app.conf.result_expires
        is_old = bool(keep) and is_new_id(self._made) and age(self._made) > (keep or 0)
        if self._ignored and not (self._has_ended or self._forgotten or is_old):
            return Record(state=State.SUCCESS)  # for its errors are kept
        name = f" ({self.name})" if self.name else ""
        if self._has_ended or self._forgotten or self._sent or is_old:
            raise ResultExpired(
                f"The result of task {self.id}{name} is gone: it has ended, and result_expires={keep} s are over, or "
                "it was forgotten. No task waits or runs, so none is to come."
            )
        raise ResultIgnored(
            f"Nothing is known of task {self.id}{name}, and no task waits or runs: if it was sent, it has ended, and "
            "its result was ignored (ignore_result) or forgotten."
        )

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
        if data is None:
            return None
        record = read_record(self.id, data)
        self._note(record)
        return record

    async def state(self) -> str:
        """The task's state: PENDING when nothing is known of it, SENT when this is what `send` returned and news of it
        may come."""
        record = await self._record()
        if record is None and (group := await self._group()) is not None:
            return await group.state()
        return record.state if record is not None else await self._unknown_now()

    @property
    def unknown(self) -> str:
        """Its state where the broker knows nothing of it."""
        is_over = self._ignored or self._forgotten or self._has_ended
        return str(State.SENT if self._sent and not is_over else State.PENDING)

    async def info(self) -> TaskInfo:
        """All that is known of the task."""
        record = await self._record()
        if record is None and (group := await self._group()) is not None:
            return await group.info()
        return self._info(record) if record is not None else await self._nothing_known()

    async def _unknown_now(self) -> str:
        """The same, asked for anew: others may have forgotten it, or its time is over."""
        if self.unknown == State.SENT and await nothing_goes_on(await self._app.broker(), self.id):
            return str(State.PENDING)
        return self.unknown

    async def _nothing_known(self) -> TaskInfo:
        return TaskInfo(id=self.id, state=await self._unknown_now(), name=self.name)

    def _info(self, record: Record) -> TaskInfo:
        failed = record.failure is not None or record.state == State.REVOKED
        return TaskInfo(
            id=self.id,
            state=record.state,
            name=record.task or self.name,
            result=self._result(record),
            exception=exception_of(self.id, record, self.name) if failed else None,
            traceback=record.failure.report() if record.failure else None,
            meta=meta_of(record),
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

    async def watch(self, timeout: Seconds | None = None) -> AsyncIterator[TaskInfo]:
        """The task's changes, the present state first, until the final one; or until nothing is to come, since nothing
        is known of the task, and no task waits or runs.

        Of a task whose result is ignored nothing will be known: only how it is now.

        Args:
            timeout: seconds, or a timedelta, for all of it; None is for as long as it takes.

        Raises:
            TimeoutError: it has not ended in that time; it goes on.
        """
        allowed = Allowance(timeout, self._not_ended)
        if self.keeps_nothing:
            yield await self.info()
            return
        if (group := await self._group()) is not None:
            async for info in group.watch(timeout):
                yield info
            return
        broker = await self._app.broker()
        async with broker.watch(self.id) as watch:
            data: bytes | None = None
            with suppress(OutOfTime):
                data = await allowed.to(within(A_MOMENT, watch.next()))
            if data is None:  # there is nothing to be said, so that is said
                yield await self._nothing_known()
                data = await self._told(allowed.to(news(broker, self.id, watch)))
            while data is not None:
                record = read_record(self.id, data)
                yield self._info(record)
                data = None if record.final else await self._told(allowed.to(watch.next()))

    async def _told(self, news: Awaitable[T]) -> T:
        """What comes of the task; a task that waits for it says so to its worker."""
        with waiting_for(self._subjects()):
            return await news

    async def forget(self) -> None:
        """Drop what is known of the task.

        The result of a canvas, which is that of its last task, stands for all of it: what has ended is forgotten now,
        and what still runs leaves nothing when all of it has ended. That of a step before the last one is forgotten
        alone.
        """
        if (group := await self._group()) is not None:
            await group.forget()
        else:
            await (await self._app.broker()).forget(self._names())
        self.note_forgotten()

    def note_forgotten(self) -> None:
        """Note that what is known of it was dropped."""
        self._was_forgotten = True
        if self._family is not None:
            self._family.forget(self._node)

    def _names(self) -> list[str]:
        """Its id, and the one that its place in its workflow gives it, under which it is found after its end, too."""
        if self._family is None:
            return [self.id]
        return list({self.id: None, f"{self._family.workflow}.{self._node}": None})

    # In a workflow

    async def group(self) -> GroupResult[Any]:
        """The group that has this id: `(await app.result(id).group()).results`.

        Raises:
            AioQueueError: it is a task's id, or nothing is known of it (any more).
        """
        if (group := await self._group()) is not None:
            return group
        if self._sent or await self._record() is not None:
            raise AioQueueError(f"{self.id} is the id of a task, not of a group.")
        raise AioQueueError(
            f"Nothing is known of a group {self.id}: there is none, or its time (result_expires) is over; or it is the "
            "id of a task that has not run yet."
        )

    @property
    def results(self) -> Sequence[AsyncResult[Any]]:
        """The members' results, of a group that this process sent. From an id alone they have to be asked for.

        Raises:
            AttributeError: they are not known here.
        """
        raise AttributeError(
            f"{self!r} has no members that are known here. Of a group's id, `group = await app.result(id).group()` "
            "asks the broker for them; then `group.results` has them."
        )

    async def completed_count(self) -> int:
        """How many members of the group that it is have ended well; of a task 1 or 0."""
        group = await self._group()
        return int(await self.successful()) if group is None else await group.completed_count()

    async def as_completed(self) -> AsyncIterator[tuple[int, Any]]:
        """The results of the members of the group that it is, as they come; see `GroupResult.as_completed`.

        Raises:
            AioQueueError: as `group`.
            Exception: what a member raised, when it is its turn.
        """
        async with aclosing(cast("AsyncGenerator[tuple[int, Any]]", (await self.group()).as_completed())) as ends:
            async for end in ends:
                yield end

    async def _group(self) -> GroupResult[Any] | None:
        """The group that it is, when all that was given here is the id of one."""
        if self._sent or await (await self._app.broker()).records([self.id]) != [None]:  # also one that is broken
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
    app: Core, broker: Broker, ids: Sequence[str], about: str, name: str, terminate: bool, reason: str | None
) -> list[bool]:
    """End tasks as revoked; see `AsyncResult.revoke`. `about` is the id that those after them are told of."""
    record, keep, hear = _revocation(app, broker, about, name, reason or "revoked")
    return await broker.revoke(ids, record, expires=keep, terminate=terminate, told=hear)


async def purge(app: Core, queue: str) -> int:
    """Drop what waits in a queue, and end its tasks as revoked, so that nobody waits for them; returns how many."""
    broker = await app.broker()
    record, keep, hear = _revocation(app, broker, "", "", "purged")
    return await broker.purge(queue, record, expires=keep, told=hear)


def _revocation(app: Core, broker: Broker, id: str, name: str, why: str) -> tuple[bytes, int, Told]:
    """The record of a revoked task, for how long it is kept, and what those hear that come after the task."""
    now = broker.now()
    record = Record(state=State.REVOKED, task=name, reason=why, ended=now)
    hear = told(revoked_call(id, name, why), now=now)
    return encode_record(record), int((app.conf.result_expires or 0) * 1000), hear


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
