"""Results: what stands for a task that was sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, cast

from aioqueue.attributes import AwaitedAttribute, KnownResults
from aioqueue.awaiting import Spoken, asked, awaited
from aioqueue.brokers.protocol import Broker, Watch
from aioqueue.context import waiting_for
from aioqueue.exceptions import AioQueueError, BrokerUnavailable, ConfigurationError, ResultExpired, TimeoutError
from aioqueue.graph import Graph
from aioqueue.ids import age, is_new_id
from aioqueue.kinds import TIMEOUT, Seconds
from aioqueue.logs import logger
from aioqueue.message import Record, State, read_record
from aioqueue.other_words import OF_RESULTS, elsewhere, instead
from aioqueue.payload.codec import decode, is_marked
from aioqueue.payload.handles import Handle
from aioqueue.revoking import revoke
from aioqueue.shape import Kinship
from aioqueue.shared import current_app, using
from aioqueue.task_info import TaskInfo, exception_of, info_of
from aioqueue.task_info import Timings as Timings  # version 0.1.0 has it here
from aioqueue.unconsumed import where_it_waits
from aioqueue.waiting import Allowance, OutOfTime, news, nothing_goes_on, within
from aioqueue.workflow import node_of

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.group_result import GroupResult
    from aioqueue.sync_results import SyncResult

R = TypeVar("R")
T = TypeVar("T")


async def value_of(sent: Any, timeout: Seconds | None = None) -> Any:
    """Wait for what was sent, and give its result. What a middleware has answered with, and was not sent, is that."""
    if not isinstance(sent, AsyncResult):
        return sent
    return await cast("AsyncResult[Any]", sent).get(timeout=timeout)


def has_not(result: object, name: str, put: Callable[[str], str] = str) -> AttributeError:
    """What is raised where a result is asked for what it has not; of what Celery's have, it says what to write.

    Args:
        result: that.
        name: of the attribute.
        put: puts what to write into other words.
    """
    own = getattr(type(result), name, None)
    if isinstance(own, property) and own.fget is not None:  # Python asks for what is there, too, if that raised this
        try:
            own.fget(result)
        except AttributeError as error:
            return error
    kind = type(result).__name__
    found = put(instead(OF_RESULTS, name))
    says = f"{kind} has no {name!r}.{found}" if found else f"{kind!r} object has no attribute {name!r}"
    return AttributeError(says, name=name, obj=result)


def _made_by_hand(of: Any, id: str) -> ConfigurationError:
    """What Celery's `AsyncResult(id)` meets, which does not say of which app."""
    if isinstance(of, str):
        return ConfigurationError(
            f"AsyncResult({of!r}) does not say of which app: write `app.result({of!r})`, or `app.AsyncResult({of!r})`."
        )
    return ConfigurationError(f"The id of a result is that of a task or a group, such as `send` gives, not {id!r}.")


class AsyncResult(Handle, Generic[R]):
    """A task that was sent: wait for it, look at it, revoke it.

    Attributes:
        id: the task's id.
        name: the task's name, "" where it is not known.
        queue: to which it was sent, "" where that is not known.
    """

    def __init__(
        self,
        of: Core | None,
        id: str = "",
        /,
        *,
        name: str = "",
        queue: str = "",
        convert: Callable[[Any], R] | None = None,
        ignored: bool = False,
        keeps_errors: bool = False,
        family: Kinship[AsyncResult[Any]] | None = None,
        node: int = 0,
        app: None = None,
    ) -> None:
        if not id or app is not None:
            raise _made_by_hand(of, id)
        self._own_app = of
        self.id = id
        self.name = name
        self.queue = queue
        self._convert = convert
        self._ignored = ignored
        self._keeps_errors = keeps_errors
        self._was_forgotten = False
        self._has_ended = False
        self._family = family
        self._node = node

    @property
    def _app(self) -> Core:
        """The app; of a result that has arrived where it was not known which, the current one when it is used."""
        if self._own_app is None:
            self._own_app = current_app()
        return self._own_app

    def names(self) -> list[Any]:
        """What names it where it is an argument, or is returned by a task."""
        return [self.id, self.name]

    @property
    def sync(self) -> SyncResult[R]:
        """The same for threads and programs without an event loop: `app.result(id).sync.get(timeout=10)`."""
        from aioqueue.sync_results import SyncResult

        return SyncResult.of(self._app.portal, self)

    @awaited
    async def get(self, timeout: Seconds | None = None, *, propagate: bool = True) -> R:
        """Wait for the task's end and return its result.

        Args:
            timeout: seconds, or a timedelta; None waits for as long as it takes.
            propagate: False returns what the task raised, in place of raising it.

        Raises:
            TimeoutError: it has not ended in that time; it goes on.
            TaskRevoked: it was revoked, or expired.
            ResultIgnored: it has ended, and no result of it is kept.
            ResultExpired: it has ended, and what was known of it is gone.
            Exception: what the task raised: its own type where that is known here, else `TaskFailed`.
        """
        if self.keeps_nothing:
            return None  # type: ignore[return-value]
        return self._value_or_error(await self._in_time(timeout, self._end), propagate)

    def _value_or_error(self, record: Record, propagate: bool) -> R:
        if not propagate and record.state != State.SUCCESS:
            return cast("R", exception_of(self.id, record, self.name))
        return self.value_of(record)

    async def _in_time(self, timeout: Seconds | None, work: Callable[[], Awaitable[T]]) -> T:
        """What it gives within the timeout of a `get()`."""
        patience: float | None = TIMEOUT.of("The timeout of get()", timeout)
        if patience is not None and patience <= 0 and await self.ready():
            patience = None  # what is there needs no waiting
        try:
            return await within(patience, work())
        except OutOfTime:
            raise await self._too_late(patience or 0) from None

    async def _too_late(self, after: float) -> TimeoutError:
        """What `get()` raises after so many seconds."""
        return self._not_ended(after, await where_it_waits(await self._app.broker(), self.queue))

    def _not_ended(self, after: float, why: str = " Is a worker running that consumes its queue?") -> TimeoutError:
        return TimeoutError(
            f"Task {self.id}{f' ({self.name})' if self.name else ''} has not ended after {after:g} s. It goes on; wait "
            f"again, or revoke it.{why}"
        )

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
        if record.state == State.SUCCESS:
            return self._result(record)
        raise exception_of(self.id, record, self.name)

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
        elif (found := await news(broker, self.id, watch, self.queue)) is None:
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
        # What only looks like a node may be a task that went to several queues: `id.2` is the one in the second.
        subjects = [] if place is not None and self._family is not None else [self.id]
        return [*subjects, workflow + "."] if workflow is not None else subjects

    @property
    def _was_sent(self) -> bool:
        """Whether it is known to have been sent, so that something can be told of it or nothing will."""
        return True

    @property
    def _made(self) -> str:
        """The id that was made for it, or for its workflow."""
        place = node_of(self.id)
        return self.id if place is None else place[0]

    @property
    def _forgotten(self) -> bool:
        return self._was_forgotten or (self._family is not None and self._family.is_forgotten(self._node))

    @property
    def _is_old(self) -> bool:
        """Whether what was known of it has expired, by the age of the id that was made for it."""
        keep = self._app.conf.result_expires
        return bool(keep) and is_new_id(self._made) and age(self._made) > (keep or 0)

    def _without_a_record(self) -> Record:
        """What is to be said of a task that has ended, and left nothing.

        Raises:
            ResultExpired: it is gone.
        """
        if self._ignored and not (self._has_ended or self._forgotten or self._is_old):
            return Record(state=State.SUCCESS)  # for its errors are kept
        raise ResultExpired(
            f"The result of task {self.id}{f' ({self.name})' if self.name else ''} is gone: it has ended, and "
            f"result_expires={self._app.conf.result_expires} s are over, or it was forgotten. No task waits or runs, "
            "so none is to come."
        )

    def __await__(self) -> Generator[Any, Any, R]:
        return self.get().__await__()

    def _result(self, record: Record) -> Any:
        if record.result is None:
            return None
        value = self._decoded(record.result, record.content)
        convert = self._convert or self._app.result_converter(record.task or self.name)
        if convert is None:
            return value
        try:
            return [convert(item) for item in value] if record.spread else convert(value)
        except Exception as error:  # the task said it returns something else: what it did return is better than nothing
            logger.warning("The result of task %s does not fit its annotation: %s", self.id, error)
            return value

    def _decoded(self, data: bytes, content: str) -> Any:
        accept = self._app.accepts(content)
        if not is_marked(content):
            return decode(data, content, max_size=2**31, accept=accept)
        with using(self._app):  # there may be results of tasks in it
            return decode(data, content, max_size=2**31, accept=accept)

    async def _record(self) -> Record | None:
        data = (await (await self._app.broker()).records([self.id]))[0]
        if data is None:
            return None
        record = read_record(self.id, data)
        self._note(record)
        return record

    @asked
    async def state(self) -> str:
        """The task's state: PENDING when nothing is known of it, SENT when this is what `send` returned and news of it
        may come."""
        record = await self._record()
        return record.state if record is not None else await self._unknown_now()

    @property
    def unknown_state(self) -> str:
        """Its state where the broker knows nothing of it."""
        is_over = self._ignored or self._forgotten or self._has_ended
        return str(State.PENDING if is_over else State.SENT)

    @asked
    async def info(self) -> TaskInfo:
        """All that is known of the task."""
        record = await self._record()
        return self._info(record) if record is not None else await self._nothing_known()

    @property
    def status(self) -> AwaitedAttribute[str]:
        """Celery's word for the state: `await result.status`."""
        return AwaitedAttribute("status", self.state)

    @property
    def result(self) -> AwaitedAttribute[Any]:
        """What it returned, or raised; while it runs, what it said of its progress: `await result.result`, as in
        Celery. `info` has all of it."""

        async def ask() -> Any:
            info = await self.info()
            return info.result if info.state == State.SUCCESS else info.exception or info.meta

        return AwaitedAttribute("result", ask)

    @property
    def traceback(self) -> AwaitedAttribute[str | None]:
        """Where it failed, as text: `await result.traceback`, as in Celery."""

        async def ask() -> str | None:
            return (await self.info()).traceback

        return AwaitedAttribute("traceback", ask)

    async def _unknown_now(self) -> str:
        """The same, asked for anew: others may have forgotten it, or its time is over."""
        if self.unknown_state == State.SENT and await nothing_goes_on(await self._app.broker(), self.id):
            return str(State.PENDING)
        return self.unknown_state

    async def _nothing_known(self) -> TaskInfo:
        return TaskInfo(id=self.id, state=await self._unknown_now(), name=self.name)

    def _info(self, record: Record) -> TaskInfo:
        return info_of(self.id, record, name=self.name, result=self._result(record))

    @asked
    async def ready(self) -> bool:
        """Whether the task has ended."""
        record = await self._record()
        return record is not None and record.final

    @asked
    async def successful(self) -> bool:
        """Whether the task has ended well."""
        return await self.state() == State.SUCCESS

    @asked
    async def failed(self) -> bool:
        """Whether the task has ended with an error."""
        return await self.state() == State.FAILURE

    async def watch(self, timeout: Seconds | None = None) -> AsyncIterator[TaskInfo]:
        """The task's changes, the present state first and at once, until the final one; or until nothing is to
        come, since nothing is known of the task, and no task waits or runs.

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
        broker = await self._app.broker()
        async with broker.watch(self.id) as watch:
            if await self._is_unheard_of(broker):  # there is nothing to be said, so that is said
                yield await self._nothing_known()
            data = await self._heard(allowed.to(news(broker, self.id, watch, self.queue)))
            while data is not None:
                record = read_record(self.id, data)
                yield self._info(record)
                data = None if record.final else await self._heard(allowed.to(watch.next()))

    async def _is_unheard_of(self, broker: Broker) -> bool:
        try:
            return (await broker.records([self.id]))[0] is None
        except BrokerUnavailable:  # whoever watches waits until it is back
            return True

    async def _heard(self, word: Awaitable[T]) -> T:
        """What comes of the task; a task that waits for it says so to its worker."""
        with waiting_for(self._subjects()):
            return await word

    @awaited
    async def forget(self) -> None:
        """Drop what is known of the task.

        The result of a canvas, which is that of its last task, stands for all of it: what has ended is forgotten now,
        and what still runs leaves nothing when all of it has ended. That of a step before the last one is forgotten
        alone.
        """
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

    @awaited
    async def group(self) -> GroupResult[Any]:
        """The group that has this id: `(await app.result(id).group()).results`.

        Raises:
            AioQueueError: it is a task's id, or nothing is known of it (any more).
        """
        raise AioQueueError(f"{self.id} is the id of a task, not of a group.")

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

    @asked
    async def completed_count(self) -> int:
        """How many members of the group that it is have ended well; of a task 1 or 0."""
        return int(await self.successful())

    async def as_completed(self) -> AsyncIterator[tuple[int, Any]]:
        """The results of the members of the group that it is, as they come; see `GroupResult.as_completed`.

        Raises:
            AioQueueError: as `group`.
            Exception: what a member raised, when it is its turn.
        """
        async with aclosing(cast("AsyncGenerator[tuple[int, Any]]", (await self.group()).as_completed())) as ends:
            async for end in ends:
                yield end

    @property
    def parent(self) -> AsyncResult[Any] | Any:
        """The result of what came before it in its workflow, where that was sent by this process; awaiting it gives
        its value. None at the beginning. (The type lets you await it without asking.) At the
        beginning, `info().parent_id` has the task that sent it."""
        family = self._family
        before = family.before(self._node) if family is not None else 0
        return family.result(before) if family is not None and before else None

    @property
    def children(self) -> KnownResults[AsyncResult[Any]]:
        """The results of what comes directly after it in its workflow, where that was sent by this process; and
        awaited, `await result.children`, those of the tasks that it has sent while it ran, too."""
        family = self._family
        behind = [family.result(node) for node in family.behind(self._node)] if family is not None else []

        async def ask() -> list[AsyncResult[Any]]:
            known = {one.id for one in behind}
            return [*behind, *(self._app.result(id) for id in (await self.info()).children if id not in known)]

        return KnownResults(behind, ask)

    @awaited
    async def place(self) -> tuple[str, int] | None:
        """The workflow that the task belongs to, and its node there; None when it belongs to none."""
        if self._family is not None:
            return self._family.workflow, self._node
        found = node_of(self.id)
        if found is not None and found[1].isdigit():
            return found[0], int(found[1])
        return await (await self._app.broker()).place(self.id)

    @awaited
    async def graph(self) -> Graph:
        """The whole workflow as it is now: nodes, edges, states. A task that is in none is a workflow of its own.

        Raises:
            AioQueueError: nothing is known of the workflow (any more).
        """
        place = await self.place()
        broker = await self._app.broker()
        if place is None:
            return Graph.of_task(self.id, await self.info())
        try:
            return await Graph.load(broker, place[0])
        except AioQueueError:
            # What only looks like a node is a task of its own: `id.2` is the one in the second queue of a topic.
            if self._family is not None or await self._record() is None:
                raise
            return Graph.of_task(self.id, await self.info())

    @awaited
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

    @awaited
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
        broker = await self._app.broker()
        # What ends with it has names of its own.
        name = "" if self._family is not None and self._family.end == self._node else self.name
        return (await revoke(broker, self._app.conf, [self.id], self.id, name, terminate, reason))[0]

    def _spoken(self) -> Spoken:
        return Spoken(f"task {self.id}{f' ({self.name})' if self.name else ''}", "result", "result.sync")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise has_not(self, name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<AsyncResult {self.id}{f' of {self.name}' if self.name else ''}>"


def __getattr__(name: str) -> NoReturn:
    raise elsewhere(__name__, name, "aioqueue" if name == "GroupResult" else "")
