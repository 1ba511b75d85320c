"""Results of groups."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aioqueue.exceptions import AioQueueError, TimeoutError
from aioqueue.message import Record, State, decode_record
from aioqueue.result import AsyncResult, exception_of, revoke

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.canvas.plan import Plan

T = TypeVar("T")

# How many members are waited for at once.
_AT_ONCE = 1000


class GroupResult(AsyncResult[list[T]]):
    """A group that was sent: the results of its members, in order.

    Attributes:
        id: the group's id, `ctx.group_id` of its members.
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

    def __getitem__(self, index: int) -> AsyncResult[T]:
        return self.results[index]

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
        try:
            async with asyncio.timeout(timeout):
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
            ids = await (await self._app.broker()).members(*place)
            more = [self._app.result(id) for id in ids[len(known) :]]
            if not more:
                return
            yield more
            known += more

    async def as_completed(self) -> AsyncIterator[tuple[int, T]]:
        """The members' results as they come: (index, value).

        Raises:
            Exception: what a member raised, when it is its turn.
        """
        ended: asyncio.Queue[tuple[int, AsyncResult[T], Record | BaseException]] = asyncio.Queue()

        async def wait(index: int, result: AsyncResult[T]) -> None:
            try:
                ended.put_nowait((index, result, await result.end_record()))
            except Exception as error:
                ended.put_nowait((index, result, error))

        results = self.results
        # No task group: it would wrap what a member raised, and the end of a loop that is left early.
        tasks = [asyncio.create_task(wait(index, result)) for index, result in enumerate(results)]
        try:
            for _ in results:
                index, result, record = await ended.get()
                if isinstance(record, BaseException):
                    raise record
                yield index, result.value_of(record)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def completed_count(self) -> int:
        """How many members have ended well."""
        return sum(record is not None and record.state == State.SUCCESS for record in await self._records())

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
        states = {record.state if record is not None else State.SENT for record in await self._records()}
        for state in (State.FAILURE, State.REVOKED):
            if state in states:
                return str(state)
        return str(State.SUCCESS if states <= {State.SUCCESS} else State.SENT)

    async def _records(self) -> list[Record | None]:
        flat = [result for member in self.results for result in _leaves(member)]
        found = await (await self._app.broker()).records([result.id for result in flat])
        return [decode_record(data) if data is not None else None for data in found]

    async def forget(self) -> None:
        """Drop what is known of the members."""
        await (await self._app.broker()).forget([one.id for member in self.results for one in _leaves(member)])

    async def revoke(self, terminate: bool = False, reason: str | None = None) -> bool:
        """Revoke all members that have not ended, and all that comes after them; see `AsyncResult.revoke`.

        Returns:
            Whether anything was ended by this.
        """
        broker = await self._app.broker()
        family = cast("PlanFamily | None", self._family)
        whole = family is not None and family.plan.end == self._node
        ids = [self.id] if whole else [one.id for member in self.results for one in _leaves(member)]
        return any(await revoke(self._app, broker, ids, "", terminate, reason)) if ids else False

    def __repr__(self) -> str:
        return f"<GroupResult {self.id} of {len(self.results)}>"


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
    if isinstance(result, GroupResult):
        return [leaf for member in cast("GroupResult[Any]", result).results for leaf in _leaves(member)]
    return [result]


class PlanFamily:
    """How the results of a workflow belong together, as its plan says."""

    def __init__(self, app: AioQueue, plan: Plan) -> None:
        self._app = app
        self.plan = plan

    @property
    def workflow(self) -> str:
        """The workflow's id."""
        return self.plan.id

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
