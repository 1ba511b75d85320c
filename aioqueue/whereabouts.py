"""Finding out why a task does not run yet: from its record, the queues, its workflow, and the worker that has it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from aioqueue.brokers.protocol import Broker, Whereabouts, WorkerStatus
from aioqueue.exceptions import AioQueueError
from aioqueue.graph import GraphNode
from aioqueue.inquiry import Meant, ask_these
from aioqueue.message import FINAL_STATES, Message, Record, State, read_record, readable_message
from aioqueue.options import moment
from aioqueue.questions import Found, HeldTask
from aioqueue.result import AsyncResult
from aioqueue.task_status import TaskStatus, WaitReason
from aioqueue.wording import counted, few

if TYPE_CHECKING:
    from aioqueue.core import Core

# What moves while it is looked for is looked for again.
_LOOKS = 3


async def status_of(app: Core, id: str, *, stack: bool, patience: float) -> TaskStatus:
    """Why a task does not run yet.

    Args:
        app: whose.
        id: the task's.
        stack: ask the worker where it is, if it runs.
        patience: seconds to wait for that worker.

    Raises:
        BrokerUnavailable: the broker is away.
    """
    broker = await app.broker()
    record: Record | None = None
    for _ in range(_LOOKS):
        [data] = await broker.records([id])
        record = read_record(id, data) if data is not None else None
        if record is not None and record.final:
            return _ended(id, record)
        if (found := await broker.find(id)) is not None:
            return await _Look(broker, id, record, stack, patience).at(found)
        if (status := await _in_workflow(app, id)) is not None:
            return status
        if record is None:
            break
    if record is not None:
        detail = "Its message is in no queue, and no worker has it: it is moving just now, or somebody has removed it."
        return TaskStatus(id=id, state=record.state, name=record.task, worker=record.worker, detail=detail)
    detail = (
        "Nothing is known of it: it was never sent here, or it has ended and its result was not kept, has expired or "
        "was forgotten."
    )
    return TaskStatus(id=id, state=str(State.PENDING), detail=detail)


class _Look:
    """What is to be said of a task that is in a queue, waits for its time, or is with a worker."""

    def __init__(self, broker: Broker, id: str, record: Record | None, stack: bool, patience: float) -> None:
        self._broker = broker
        self._id = id
        self._record = record
        self._stack = stack
        self._patience = patience

    async def at(self, found: Whereabouts) -> TaskStatus:
        message = readable_message(found.data)
        status = TaskStatus(
            id=self._id,
            state=self._record.state if self._record is not None else str(State.SENT),
            name=message.task if message is not None else "",
            queue=found.queue,
        )
        alive = await self._broker.workers()
        if found.worker:
            return await self._held(status, found.worker, alive)
        held, _ = obstacle = await self._obstacle(found.queue, alive)
        if found.delayed:
            return self._delayed(status, found, message, obstacle)
        reason, why = obstacle
        if held is None:
            consumers = [worker for worker in alive if found.queue in worker.queues]
            slots = sum(worker.concurrency for worker in consumers)
            ahead = counted(found.ahead, "task is", "tasks are")
            before = f"{ahead} before it" if found.ahead else "It is the next one"
            reason = WaitReason.POSITION
            why = (
                f"{before} in the queue {found.queue!r}, which {counted(len(consumers), 'worker')} with "
                f"{counted(slots, 'slot')} "
            ) + ("consumes." if len(consumers) == 1 else "consume.")
        if message is not None and message.expires is not None and message.expires <= self._broker.now():
            why += " It has expired: a worker that takes it does not run it."
        return _with(status, waits_for=reason, detail=why, ahead=found.ahead, since=moment(found.at))

    async def _obstacle(self, queue: str, alive: Sequence[WorkerStatus]) -> tuple[WaitReason | None, str]:
        """Why nothing of a queue is run; None where it is."""
        if queue in await self._broker.paused_queues():
            return WaitReason.PAUSED_QUEUE, f"The queue {queue!r} is paused: `aioqueue queues resume` lets it go on."
        if not any(queue in worker.queues for worker in alive):
            return WaitReason.NO_WORKER, f"No living worker consumes the queue {queue!r}: `aioqueue worker -Q` does."
        return None, ""

    def _delayed(
        self,
        status: TaskStatus,
        found: Whereabouts,
        message: Message | None,
        obstacle: tuple[WaitReason | None, str],
    ) -> TaskStatus:
        until = moment(found.at)
        reason, what = WaitReason.ETA, "It waits for its time"
        if message is not None and message.retries:
            reason, what = WaitReason.RETRY, f"It waits for its retry, number {message.retries}"
            if self._record is not None and self._record.failure is not None:
                what += f", after {self._record.failure.summary}"
        late = "; that is over, and a worker has to move it to its queue" if found.at <= self._broker.now() else ""
        detail = f"{what}: {_text(until)}{late}."
        if obstacle[1]:
            detail += f" After that: {obstacle[1][0].lower()}{obstacle[1][1:]}"
        return _with(status, waits_for=reason, detail=detail, until=until)

    async def _held(self, status: TaskStatus, worker: str, alive: Sequence[WorkerStatus]) -> TaskStatus:
        has_it = [one for one in alive if one.id == worker]
        if not has_it:
            detail = (
                "The worker that had it is gone, or was silent for longer than its lease: another one takes it over."
            )
            return _with(status, waits_for=WaitReason.RESERVED, detail=detail)
        name = has_it[0].name
        status = _with(status, worker=name)
        answer: HeldTask | None = None
        if self._broker.capabilities.asked:
            meant = Meant(self._broker, has_it, (name,), self._patience)
            asked = Found(ids=[self._id], stack=self._stack)
            replies = await ask_these(meant, "query_task", dict[str, HeldTask], asked)
            if replies.silent:
                detail = f"Worker {name} has it, and does not answer: its event loop is blocked, or it is out of reach."
                return _with(status, waits_for=WaitReason.RESERVED, detail=detail)
            answer = next((said.get(self._id) for said in replies.values()), None)
        if answer is None:
            detail = f"Worker {name} has it, and is about to begin or to end it."
            return _with(status, waits_for=WaitReason.RESERVED, detail=detail)
        status = _with(status, args=answer.args)
        if answer.started is None:
            detail = f"Worker {name} has fetched it, and starts it when one of its slots is free."
            return _with(status, waits_for=WaitReason.RESERVED, detail=detail)
        state = status.state if status.state not in (State.SENT, State.RETRY) else str(State.STARTED)
        return _with(
            status,
            state=state,
            detail=f"It runs in worker {name} since {_text(answer.started)}.",
            since=answer.started,
            stack=answer.stack,
        )


def _ended(id: str, record: Record) -> TaskStatus:
    ended = moment(record.ended or None)
    ends = {"SUCCESS": "It has ended well", "REVOKED": "It was revoked"}.get(record.state, "It has failed")
    detail = ends + (f": {record.failure.summary}" if record.failure is not None else "")
    if record.state == State.REVOKED and record.reason:
        detail += f" ({record.reason})"
    detail += f", {_text(ended)}." if ended is not None else "."
    return TaskStatus(id=id, state=record.state, name=record.task, detail=detail, worker=record.worker, since=ended)


async def _in_workflow(app: Core, id: str) -> TaskStatus | None:
    """What is to be said of a node of a workflow that is in no queue; None where it is no node of one."""
    result: AsyncResult[object] = AsyncResult(app, id)
    if await result.place() is None:
        return None
    try:
        graph = await result.graph()
        node = graph[id]
    except (AioQueueError, KeyError):
        return None
    if node.state in FINAL_STATES:
        return TaskStatus(id=id, state=node.state, name=node.name, detail="It has ended, and no result of it is kept.")
    if node.state != State.PENDING:
        return None  # it is its turn: it moves just now
    before = {one for one, after in graph.edges if after == id}
    if node.kind == "group":
        before |= {one.id for one in graph.nodes if one.group == id}
    open = [one for one in graph.nodes if one.id in before and one.state not in FINAL_STATES]
    ended = len(before) - len(open)
    behind = f"; {counted(ended, 'other')} of {len(before)} ended" if ended else ""
    detail = f"It is not its turn in its workflow: it waits for {few([_named(one) for one in open])}{behind}."
    return TaskStatus(id=id, state=str(State.PENDING), name=node.name, waits_for=WaitReason.WORKFLOW, detail=detail)


def _named(node: GraphNode) -> str:
    return f"{node.name}[{node.id}] ({node.state})"


def _text(at: datetime | None) -> str:
    return at.isoformat(" ", "seconds") if at is not None else "a time that is not known"


_with = msgspec.structs.replace
