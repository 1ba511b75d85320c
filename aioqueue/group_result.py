"""Results of groups."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aioqueue.exceptions import AioQueueError, ChordError, TimeoutError, UpstreamFailed
from aioqueue.message import Record, State, decode_record
from aioqueue.result import AsyncResult, TaskInfo, exception_of, revoke
from aioqueue.workflow import TASK, Node, node_of

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.canvas.plan import Plan
    from aioqueue.sync import SyncGroupResult

T = TypeVar("T")

# How many members are waited for at once.
_AT_ONCE = 1000


class GroupResult(AsyncResult[list[T]]):
    """A group that was sent: the results of its members, in order.

    Attributes:
        id: the group's id, `ctx.group_id` of its members; or the `task_id` that it was sent with.
    """

    def __init__(
        self,
        app: AioQueue,
        id: str,
        results: Sequence[AsyncResult[T]] | None = None,
        *,
        family: PlanFamily | None = None,
        node: int = 0,
    ) -> None:
        super().__init__(app, id, name="group", sent=True, family=family, node=node)
        self._results = results

    @property
    def results(self) -> Sequence[AsyncResult[T]]:
        """The members' results, in order; those that joined the group later are not among them."""
        if self._results is None:
            family = cast("PlanFamily", self._family)
            self._results = [family.result(number) for number in family.plan.joins[self._node]]
        return self._results

    def __len__(self) -> int:
        return len(self.results)

    def __bool__(self) -> bool:
        """True, also of an empty group."""
        return True

    def __getitem__(self, index: int) -> AsyncResult[T]:
        return self.results[index]

    def __iter__(self) -> Iterator[AsyncResult[T]]:
        return iter(self.results)

    async def get(self, timeout: float | None = None, return_exceptions: bool = False) -> list[T]:
        """Wait for all members and return their results, in order.

        Args:
            timeout: seconds for all of them; None waits for as long as it takes.
            return_exceptions: put what members raised into the places of their results.

        Raises:
            TimeoutError: not all have ended in that time; they go on.
            Exception: what a member raised.
        """
        values: list[Any] = []
        if timeout is not None and timeout <= 0 and await self.ready():
            timeout = None  # what is there needs no waiting
        try:
            async with asyncio.timeout(timeout):
                if not return_exceptions:
                    await self._wait_before()
                async for results in self._all_members():
                    for start in range(0, len(results), _AT_ONCE):
                        values += await _values(results[start : start + _AT_ONCE], return_exceptions)
        except builtins.TimeoutError as error:
            if isinstance(error, AioQueueError):
                raise
            done = await self.completed_count()
            raise TimeoutError(
                f"{done} of the {len(self.results)} tasks of group {self.id} have ended well after {timeout:g} s. The "
                "others go on; wait again, or revoke them."
            ) from None
        return values

    async def _all_members(self) -> AsyncIterator[Sequence[AsyncResult[T]]]:
        """The members known here, and when those have ended, those that they have added to the group."""
        known = list(self.results)
        yield known
        while (place := await self.place()) is not None:
            nodes = await (await self._app.broker()).members(*place) or ()
            more = [await member_of(self._app, node) for node in nodes[len(known) :]]
            if not more:
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
            raise kind(f"{before!r} failed ({type(error).__name__}: {error}); this group comes after it.") from error

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

    async def completed_count(self) -> int:
        """How many members have ended well."""
        return sum(
            all(record is not None and record.state == State.SUCCESS for record in records)
            for records in await self._records_by_member()
        )

    async def ready(self) -> bool:
        """Whether all members have ended."""
        return all(record is not None and record.final for record in await self._records())

    async def successful(self) -> bool:
        """Whether all members have ended well."""
        return all(record is not None and record.state == State.SUCCESS for record in await self._records())

    async def failed(self) -> bool:
        """Whether a member has failed."""
        return any(record is not None and record.state == State.FAILURE for record in await self._records())

    async def state(self) -> str:
        """SUCCESS when all members have it; else FAILURE or REVOKED when one has; else SENT."""
        return _state_of(await self._records())

    async def info(self) -> TaskInfo:
        """What is known of it as of a task: `result` when all members have ended well, `exception` of one that has not,
        `meta` how many have, `children` their ids."""
        records = await self._records()
        state = _state_of(records)
        bad = next((one for one in records if one is not None and one.state == state != State.SUCCESS), None)
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

    async def watch(self) -> AsyncIterator[TaskInfo]:
        """How it is now, and at each end of a member, until it is known how the group ends."""
        yield (info := await self.info())
        if info.ready:
            return
        if not self.results:
            with suppress(Exception):
                await self._wait_before()
            yield await self.info()
        async with aclosing(self._ends()) as ends:
            async for _ in ends:
                yield (info := await self.info())
                if info.ready:
                    return

    async def _records(self) -> list[Record | None]:
        if not self.results and self.parent is not None:
            records = await _records_of(self._app, _leaves(self.parent))
            if _is_lenient(self.parent):
                return [record for record in records if record is None or not record.final]
            return records
        return [record for records in await self._records_by_member() for record in records]

    async def _records_by_member(self) -> list[list[Record | None]]:
        found: list[list[Record | None]] = []
        async for members in self._all_members():
            leaves = [_leaves(member) for member in members]
            records = iter(await _records_of(self._app, [leaf for some in leaves for leaf in some]))
            found += [[next(records) for _ in some] for some in leaves]
        return found

    async def forget(self) -> None:
        """Drop what is known of the members."""
        await (await self._app.broker()).forget([one.id for member in self.results for one in _leaves(member)])

    async def revoke(self, terminate: bool = False, reason: str | None = None) -> bool:
        """Revoke all members that have not ended, and all that comes after them; see `AsyncResult.revoke`.

        Returns:
            Whether anything was ended by this.
        """
        broker = await self._app.broker()
        ids = [self.id] if await self._is_whole() else [one.id for member in self.results for one in _leaves(member)]
        return any(await revoke(self._app, broker, ids, self.id, "", terminate, reason)) if ids else False

    async def _is_whole(self) -> bool:
        """Whether it is the result of the whole workflow."""
        if self._family is not None:
            return self._family.end == self._node
        return (await self.graph()).end == self.id

    @property
    def sync(self) -> SyncGroupResult[T]:
        """The same for threads and programs without an event loop."""
        from aioqueue.sync import SyncGroupResult

        return SyncGroupResult(self._app.portal, self)

    def __repr__(self) -> str:
        return f"<GroupResult {self.id} of {len(self.results)}>"


async def group_at(
    app: AioQueue, id: str, place: tuple[str, int], convert: Callable[[Any], Any] | None = None
) -> GroupResult[Any] | None:
    """The group whose join is there; None when it is no join, or nothing is known of it (any more)."""
    nodes = await (await app.broker()).members(*place)
    return None if nodes is None else GroupResult(app, id, [await member_of(app, node, convert) for node in nodes])


async def member_of(app: AioQueue, node: Node, convert: Callable[[Any], Any] | None = None) -> AsyncResult[Any]:
    """The result of a member, which may be a group itself."""
    if node.kind != TASK:
        found = node_of(node.id)
        place = (found[0], int(found[1])) if found is not None else await (await app.broker()).place(node.id)
        group = await group_at(app, node.id, place, convert) if place is not None else None
        if group is not None:
            return group
    return AsyncResult(app, node.id, name=node.task, convert=convert, sent=True)


async def _records_of(app: AioQueue, results: Sequence[AsyncResult[Any]]) -> list[Record | None]:
    found = await (await app.broker()).records([result.id for result in results])
    return [decode_record(data) if data is not None else None for data in found]


def _state_of(records: Sequence[Record | None]) -> str:
    states = {record.state if record is not None else State.SENT for record in records}
    for state in (State.FAILURE, State.REVOKED):
        if state in states:
            return str(state)
    return str(State.SUCCESS if states <= {State.SUCCESS} else State.SENT)


async def _values(results: Sequence[AsyncResult[Any]], return_exceptions: bool) -> list[Any]:
    """What these give; without `return_exceptions` the first error is raised as soon as it is known."""
    values: list[Any] = [None] * len(results)
    if not results:
        return values
    plain = [
        index for index, result in enumerate(results) if not isinstance(result, GroupResult) and not result.ignored
    ]
    broker = await results[0].app.broker()
    found = await broker.records([results[index].id for index in plain])
    open_ones = [index for index, result in enumerate(results) if isinstance(result, GroupResult)]
    for index, data in zip(plain, found, strict=True):
        record = decode_record(data) if data is not None else None
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
    family = cast("PlanFamily | None", result._family)  # pyright: ignore[reportPrivateUsage]
    return family is not None and result._node in family.plan.lenient  # pyright: ignore[reportPrivateUsage]


class PlanFamily:
    """How the results of a workflow belong together, as its plan says."""

    def __init__(self, app: AioQueue, plan: Plan) -> None:
        self._app = app
        self.plan = plan

    @property
    def workflow(self) -> str:
        """The workflow's id."""
        return self.plan.id

    @property
    def end(self) -> int:
        """The node at its end."""
        return self.plan.end

    def result(self, node: int) -> AsyncResult[Any]:
        """The result of a node."""
        plan = self.plan
        if node in plan.joins:
            group: GroupResult[Any] = GroupResult(self._app, plan.id_of(node), family=self, node=node)
            return group
        return AsyncResult(
            self._app,
            plan.id_of(node),
            name=plan.tasks[node],
            sent=True,
            ignored=node in plan.ignored,
            family=self,
            node=node,
        )

    def before(self, node: int) -> int:
        """The node before it."""
        return self.plan.after[node]

    def behind(self, node: int) -> list[int]:
        """The nodes that come directly after it."""
        return [number for number, before in enumerate(self.plan.after) if before == node and number]


def result_of(app: AioQueue, plan: Plan, node: int) -> AsyncResult[Any]:
    """The result of a node of a workflow that was sent."""
    return PlanFamily(app, plan).result(node)
