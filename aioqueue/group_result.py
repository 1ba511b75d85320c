"""Results of groups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from aioqueue.attributes import Elsewhere, KnownResults
from aioqueue.awaiting import asked, awaited
from aioqueue.brokers.protocol import Broker
from aioqueue.exceptions import AioQueueError, ChordError, TimeoutError, UpstreamFailed
from aioqueue.graph import Graph
from aioqueue.kinds import Seconds
from aioqueue.message import FINAL_STATES, Record, State, read_record
from aioqueue.other_words import OF_RESULTS
from aioqueue.payload.upstream import as_its_cause
from aioqueue.result import AsyncResult
from aioqueue.revoking import revoke
from aioqueue.shape import Kinship
from aioqueue.task_info import TaskInfo, exception_of
from aioqueue.unconsumed import where_it_waits
from aioqueue.waiting import Allowance, nothing_goes_on
from aioqueue.workflow import TASK, Node, node_of

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.sync_results import SyncGroupResult

T = TypeVar("T")

# How many members are waited for at once.
_AT_ONCE = 1000


class _Leaf(NamedTuple):
    """A task in a group, and what is known of it."""

    result: AsyncResult[Any]
    record: Record | None


class GroupResult(AsyncResult[list[T]]):
    """A group that was sent: the results of its members, in order.

    Attributes:
        id: the group's id, `ctx.group_id` of its members; or the `task_id` that it was sent with.
    """

    def __init__(
        self,
        app: Core | None,
        id: str,
        results: Sequence[AsyncResult[T]] | None = None,
        *,
        family: Kinship[AsyncResult[Any]] | None = None,
        node: int = 0,
    ) -> None:
        super().__init__(app, id, name="group", family=family, node=node)
        self._results = results

    @property
    def results(self) -> Sequence[AsyncResult[T]]:
        """The members' results, in order; those that joined the group later are not among them."""
        if self._results is None:
            family = cast("Kinship[AsyncResult[T]]", self._family)
            self._results = [family.result(number) for number in family.shape.joins[self._node]]
        return self._results

    @property
    def children(self) -> KnownResults[AsyncResult[Any]]:
        """Its members; awaited, those that joined it later as well."""

        async def ask() -> list[AsyncResult[Any]]:
            return [member async for members in self._all_members() for member in members]

        return KnownResults(self.results, ask)

    def names(self) -> list[Any]:
        """What names it where it is an argument, or is returned by a task."""
        return [*super().names(), [member.names() for member in self.results]]

    def __len__(self) -> int:
        return len(self.results)

    def __bool__(self) -> bool:
        """True, also of an empty group."""
        return True

    def __getitem__(self, index: int) -> AsyncResult[T]:
        return self.results[index]

    def __iter__(self) -> Iterator[AsyncResult[T]]:
        return iter(self.results)

    @awaited
    async def get(
        self, timeout: Seconds | None = None, *, return_exceptions: bool = False, propagate: bool = True
    ) -> list[T]:
        """Wait for all members and return their results, in order.

        Args:
            timeout: seconds, or a timedelta, for all of them; None waits for as long as it takes.
            return_exceptions: put what members raised into the places of their results.
            propagate: False is the same, in Celery's word.

        Raises:
            TimeoutError: not all have ended in that time; they go on.
            Exception: what a member raised.
        """
        lenient = return_exceptions or not propagate
        return await self._in_time(timeout, lambda: self._gathered(lenient))

    async def _too_late(self, after: float) -> TimeoutError:
        done = await self.completed_count()
        return TimeoutError(
            f"{done} of the {len(self.results)} tasks of group {self.id} have ended well after {after:g} s. The others "
            f"go on; wait again, or revoke them.{await where_it_waits(await self._app.broker(), self.queue)}"
        )

    def _not_ended(self, after: float, why: str = " Is a worker running that consumes its queues?") -> TimeoutError:
        return TimeoutError(
            f"Group {self.id} has not ended after {after:g} s. It goes on; wait again, or revoke it.{why}"
        )

    async def _gathered(self, return_exceptions: bool) -> list[T]:
        values: list[Any] = []
        if not return_exceptions:
            await self._wait_before()
        async for results in self._all_members():
            for start in range(0, len(results), _AT_ONCE):
                values += await _values(results[start : start + _AT_ONCE], return_exceptions)
        return values

    @awaited
    async def group(self) -> GroupResult[T]:
        """This one."""
        return self

    async def _all_members(self) -> AsyncIterator[Sequence[AsyncResult[T]]]:
        """The members known here, and when those have ended, those that they have added to the group."""
        known = list(self.results)
        yield known
        while (place := await self.place()) is not None:
            nodes = await (await self._app.broker()).members(*place) or ()
            found = [await member_of(self._app, node) for node in nodes[len(known) :]]
            more = [member for member in found if member is not None]
            if not more or len(more) < len(found):  # of what has expired meanwhile nothing is left to be waited for
                return
            yield more
            known += more

    async def _wait_before(self) -> None:
        """A group without members ends when what comes before it has ended; there is no member to tell that."""
        before = self.parent
        if self.results or before is None:
            return
        try:
            if _is_lenient(before):
                await cast("GroupResult[Any]", before).get(return_exceptions=True)
            else:
                await before.get()
        except UpstreamFailed:
            raise
        except Exception as error:
            kind = ChordError if isinstance(before, GroupResult) else UpstreamFailed
            what = f"{before!r} failed ({type(error).__name__}: {error}); this group comes after it."
            raise as_its_cause(kind(what), error) from error

    async def as_completed(self) -> AsyncIterator[tuple[int, T]]:
        """The members' results as they come: (index, value). Those that joined the group later come last.

        Raises:
            Exception: what a member raised, when it is its turn.
        """
        await self._wait_before()
        async with aclosing(self._ends()) as ends:
            async for index, value in ends:
                if isinstance(value, BaseException):
                    raise value
                yield index, value

    async def _ends(self) -> AsyncGenerator[tuple[int, T | Exception], None]:
        """Each member's result or error, as it comes."""
        ended: asyncio.Queue[tuple[int, T | Exception]] = asyncio.Queue()

        async def wait(index: int, result: AsyncResult[T]) -> None:
            try:
                ended.put_nowait((index, await result.get()))
            except Exception as error:
                ended.put_nowait((index, error))

        first = 0
        async for results in self._all_members():
            # No task group: it would wrap what a member raised, and the end of a loop that is left early.
            tasks = [asyncio.create_task(wait(index, result)) for index, result in enumerate(results, first)]
            first += len(results)
            try:
                for _ in results:
                    yield await ended.get()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @asked
    async def completed_count(self) -> int:
        """How many members have ended well."""
        return sum(all(_is(State.SUCCESS, leaf) for leaf in leaves) for leaves in await self._leaves_by_member())

    @asked
    async def ready(self) -> bool:
        """Whether all members have ended."""
        return all(leaf.record is not None and leaf.record.final for leaf in await self._leaves())

    @asked
    async def successful(self) -> bool:
        """Whether all members have ended well."""
        return all(_is(State.SUCCESS, leaf) for leaf in await self._leaves())

    @asked
    async def failed(self) -> bool:
        """Whether a member has failed."""
        return any(_is(State.FAILURE, leaf) for leaf in await self._leaves())

    @asked
    async def state(self) -> str:
        """SUCCESS when all members have it; else FAILURE or REVOKED when one has; else SENT, or PENDING when nothing is
        known of those that have none of these, and nothing will be."""
        return (await self._state_and_leaves())[0]

    async def _state_and_leaves(self) -> tuple[str, list[_Leaf]]:
        leaves = await self._leaves()
        state = _state_of(leaves)
        if state == State.SENT and await nothing_goes_on(await self._app.broker(), self.id):
            leaves = await self._leaves()  # the last of them may have ended meanwhile
            state = _state_of(leaves)
            return str(State.PENDING) if state == State.SENT else state, leaves
        return state, leaves

    @asked
    async def info(self) -> TaskInfo:
        """What is known of it as of a task: `result` when all members have ended well, `exception` of one that has not,
        `meta` how many have, `children` their ids."""
        state, leaves = await self._state_and_leaves()
        bad = next((leaf.record for leaf in leaves if state != State.SUCCESS and _is(state, leaf)), None)
        return TaskInfo(
            id=self.id,
            state=state,
            name=self.name,
            result=await self.get() if state == State.SUCCESS else None,
            exception=exception_of(self.id, bad) if bad is not None else None,
            traceback=bad.failure.report() if bad is not None and bad.failure is not None else None,
            meta={"done": await self.completed_count(), "total": len(self.results)},
            children=[member.id for member in self.results],
            reason=bad.reason if bad is not None else None,
        )

    async def watch(self, timeout: Seconds | None = None) -> AsyncIterator[TaskInfo]:
        """How it is now, and at each end of a member, until it is known how the group ends; see `AsyncResult.watch`."""
        allowed = Allowance(timeout, self._not_ended)
        yield (info := await self.info())
        if info.ready:
            return
        if not self.results:
            with suppress(Exception):
                await allowed.to(self._wait_before())
            yield await self.info()
        async with aclosing(self._ends()) as ends:
            while await allowed.to(anext(ends, None)) is not None:
                yield (info := await self.info())
                if info.ready:
                    return

    async def _leaves(self) -> list[_Leaf]:
        if not self.results and self.parent is not None:
            leaves = await _looked_at(self._app, _leaves(self.parent))
            if _is_lenient(self.parent):
                return [leaf for leaf in leaves if leaf.record is None or not leaf.record.final]
            return leaves
        return [leaf for leaves in await self._leaves_by_member() for leaf in leaves]

    async def _leaves_by_member(self) -> list[list[_Leaf]]:
        found: list[list[_Leaf]] = []
        async for members in self._all_members():
            results = [_leaves(member) for member in members]
            leaves = iter(await _looked_at(self._app, [result for some in results for result in some]))
            found += [[next(leaves) for _ in some] for some in results]
        return found

    @awaited
    async def forget(self) -> None:
        """Drop what is known of the members; and of all of the workflow, when the group is the end of it. What still
        runs then leaves nothing when all of it has ended."""
        broker = await self._app.broker()
        if not any(await broker.forget(self._names())):
            await broker.forget([one.id for member in self.results for one in _leaves(member)])
        self.note_forgotten()

    def note_forgotten(self) -> None:
        """Note that it was forgotten, and its members."""
        super().note_forgotten()
        for member in self.results:
            member.note_forgotten()

    @awaited
    async def revoke(self, terminate: bool = False, reason: str | None = None) -> bool:
        """Revoke all members that have not ended, and all that comes after them; see `AsyncResult.revoke`.

        Returns:
            Whether anything was ended by this.
        """
        broker = await self._app.broker()
        ids = [self.id] if await self._is_whole() else [one.id for member in self.results for one in _leaves(member)]
        return any(await revoke(broker, self._app.conf, ids, self.id, "", terminate, reason)) if ids else False

    async def _is_whole(self) -> bool:
        """Whether it is the result of the whole workflow."""
        if self._family is not None:
            return self._family.end == self._node
        return (await self.graph()).end == self.id

    @property
    def sync(self) -> SyncGroupResult[T]:
        """The same for threads and programs without an event loop."""
        from aioqueue.sync_results import SyncGroupResult

        return SyncGroupResult(self._app.portal, self)

    if not TYPE_CHECKING:
        restore = Elsewhere(f"GroupResult has no 'restore'. {OF_RESULTS['restore']}")

    def __repr__(self) -> str:
        return f"<GroupResult {self.id} of {len(self.results)}>"


async def group_at(
    app: Core, id: str, place: tuple[str, int], convert: Callable[[Any], Any] | None = None
) -> GroupResult[Any] | None:
    """The group whose join is there; None when it is no join, or nothing is known of it (any more)."""
    nodes = await (await app.broker()).members(*place)
    if nodes is None:
        return None
    members: list[AsyncResult[Any]] = []
    for node in nodes:
        member = await member_of(app, node, convert)
        if member is None:
            return None
        members.append(member)
    return GroupResult(app, id, members)


async def member_of(app: Core, node: Node, convert: Callable[[Any], Any] | None = None) -> AsyncResult[Any] | None:
    """The result of a member, which may be a group itself; None when it is one of which nothing is known any more."""
    if node.kind != TASK:
        found = node_of(node.id)
        place = (found[0], int(found[1])) if found is not None else await (await app.broker()).place(node.id)
        return await group_at(app, node.id, place, convert) if place is not None else None
    return AsyncResult(app, node.id, name=node.task, convert=convert)


async def _looked_at(app: Core, results: Sequence[AsyncResult[Any]]) -> list[_Leaf]:
    broker = await app.broker()
    found = await broker.records([result.id for result in results])
    leaves = [
        _Leaf(result, None if data is None else read_record(result.id, data))
        for result, data in zip(results, found, strict=True)
    ]
    unkept = [leaf.result for leaf in leaves if leaf.record is None and leaf.result.ignored]
    if not unkept:
        return leaves
    ended = await _ends_of(broker, unkept)
    return [leaf if leaf.record is not None else _Leaf(leaf.result, ended.get(leaf.result.id)) for leaf in leaves]


async def _ends_of(broker: Broker, results: Sequence[AsyncResult[Any]]) -> dict[str, Record]:
    """How those have ended of which no record is kept: their workflow knows, for as long as it is there."""
    workflows = {place[0] for result in results if (place := await result.place()) is not None}
    ended: dict[str, Record] = {}
    for workflow in workflows:
        with suppress(AioQueueError):  # it has expired
            for node in (await Graph.load(broker, workflow)).nodes:
                if node.state in FINAL_STATES:
                    ended[node.id] = Record(state=node.state, task=node.name)
    return ended


def _is(state: str, leaf: _Leaf) -> bool:
    return leaf.record is not None and leaf.record.state == state


def _state_of(leaves: Sequence[_Leaf]) -> str:
    states = {leaf.result.unknown_state if leaf.record is None else leaf.record.state for leaf in leaves}
    for state in (State.FAILURE, State.REVOKED):
        if state in states:
            return str(state)
    if states <= {State.SUCCESS}:
        return str(State.SUCCESS)
    return str(State.PENDING if states <= {State.SUCCESS, State.PENDING} else State.SENT)


async def _values(results: Sequence[AsyncResult[Any]], return_exceptions: bool) -> list[Any]:
    """What these give; without `return_exceptions` the first error is raised as soon as it is known."""
    values: list[Any] = [None] * len(results)
    if not results:
        return values
    plain = [
        index
        for index, result in enumerate(results)
        if not isinstance(result, GroupResult) and not result.keeps_nothing
    ]
    broker = await results[0].app.broker()
    found = await broker.records([results[index].id for index in plain])
    open_ones = [index for index, result in enumerate(results) if isinstance(result, GroupResult)]
    for index, data in zip(plain, found, strict=True):
        record = read_record(results[index].id, data) if data is not None else None
        if record is None or not record.final:
            open_ones.append(index)
        elif record.state == State.SUCCESS or not return_exceptions:
            values[index] = results[index].value_of(record)
        else:
            values[index] = exception_of(results[index].id, record)
    async with AsyncExitStack() as stack:
        waits = {asyncio.create_task(results[index].get()): index for index in open_ones}
        stack.callback(lambda: [wait.cancel() for wait in waits])
        pending = set(waits)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for wait in done:
                error = wait.exception()
                if error is not None and not (return_exceptions and isinstance(error, Exception)):
                    raise error
                values[waits[wait]] = error if error is not None else wait.result()
    return values


def _leaves(result: AsyncResult[Any]) -> list[AsyncResult[Any]]:
    """The tasks in a group, those of groups in it included; of an empty group what comes before it."""
    found: list[AsyncResult[Any]] = []
    pending = [result]
    while pending:
        one = pending.pop()
        if isinstance(one, GroupResult):
            group = cast("GroupResult[Any]", one)
            pending += reversed(group.results or ([group.parent] if group.parent is not None else []))
        else:
            found.append(one)
    return found


def _is_lenient(result: AsyncResult[Any]) -> bool:
    """It is a header whose failures are let through."""
    family = result._family  # pyright: ignore[reportPrivateUsage]
    return family is not None and result._node in family.shape.lenient  # pyright: ignore[reportPrivateUsage]
