"""Where a task is of which no record says anything yet: as workers and queues know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from aioqueue.exceptions import AioQueueError, BrokerUnavailable

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.questions import HeldTask
    from aioqueue.result import AsyncResult
    from aioqueue.task_info import TaskInfo

_WAITS: Final = "it waits: in a queue, for its time, or for its turn in a workflow"
_PATIENCE: Final = 0.5
"""Seconds in which workers are to say whether they have it."""
_UNRECORDED: Final = ("PENDING", "SENT")


async def looked_for(app: AioQueue, result: AsyncResult[Any], info: TaskInfo) -> tuple[TaskInfo, str]:
    """What is known of a task, and if it has no record, where it is.

    Args:
        app: whose task; its connection is open.
        result: the task.
        info: what its record says.

    Returns:
        The same; of a task without a record STARTED when a worker runs it, SENT when it waits, else PENDING. With it
        a sentence on where it is; "" when there is a record.
    """
    if info.state not in _UNRECORDED:
        return info, ""
    from msgspec.structs import replace

    holder, held = await _holder(app, result.id)
    if held is not None:
        runs = held.started is not None
        where = f"it runs in {holder}" if runs else f"{holder} has it, where it waits for a slot"
        timings = replace(info.timings, started=held.started)
        state = "STARTED" if runs else "SENT"
        about = {"name": held.name, "worker": holder, "args": held.args, "retries": held.retries}
        return replace(info, state=state, timings=timings, **about), where
    if result.id in await known_ids(app, [result.id]):
        # It may have ended, or begun to wait for others, while it was looked for.
        again = await result.info()
        silent = f", or runs in {holder}, which does not answer" if holder else ""
        return (again, "") if again.state not in _UNRECORDED else (replace(again, state="SENT"), _WAITS + silent)
    return replace(info, state="PENDING"), (
        "nothing is known of it: it was never sent to here, or its result was not kept, or not until now"
    )


async def _holder(app: AioQueue, id: str) -> tuple[str, HeldTask | None]:
    """The worker that has it in its hands, with what it says of it; else those that do not answer, and None."""
    try:
        replies = await app.inspect.query_task(id, timeout=_PATIENCE)
    except BrokerUnavailable:
        raise
    except AioQueueError:  # workers cannot be asked by way of this broker, or not by this user
        return "", None
    found = [(worker, said[id]) for worker, said in replies.items() if id in said]
    found.sort(key=lambda one: one[1].started is None)
    return found[0] if found else (", ".join(replies.silent), None)


async def known_ids(app: AioQueue, ids: Sequence[str]) -> set[str]:
    """Those of which anything is known: they wait or run, or have left a record, or are of a workflow."""
    broker = await app.broker()
    found: set[str] = set()
    try:
        found |= {id for id, record in zip(ids, await broker.records(ids), strict=True) if record is not None}
        rest = [id for id in ids if id not in found]
        found |= {id for id, there in zip(rest, await broker.holds(rest), strict=True) if there}
        for id in rest:
            if id not in found and (await broker.place(id) or await broker.workflow(id.partition(".")[0])):
                found.add(id)
    except BrokerUnavailable:
        raise
    except AioQueueError:  # something is stored, but cannot be read
        return set(ids)
    return found
