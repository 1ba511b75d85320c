"""Where a task is of which no record says anything yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aioqueue.exceptions import AioQueueError, BrokerUnavailable

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.result import AsyncResult
    from aioqueue.task_info import TaskInfo

_PATIENCE: Final = 0.5
"""Seconds in which the worker that has it is to say what it does with it."""
_UNRECORDED: Final = ("PENDING", "SENT")


async def looked_for(app: AioQueue, result: AsyncResult[Any], info: TaskInfo) -> tuple[TaskInfo, str]:
    """What is known of a task, and if it has no record, where it is.

    Args:
        app: whose task; its connection is open.
        result: the task.
        info: what its record says.

    Returns:
        The same, of a task without a record with what `app.inspect.task` knows; and what that says of it, to stand
        within a sentence, or "" when there is a record.
    """
    if info.state not in _UNRECORDED:
        return info, ""
    from msgspec.structs import replace

    try:
        status = await app.inspect.task(result.id, timeout=_PATIENCE)
    except BrokerUnavailable:
        raise
    except AioQueueError:  # something is stored, but cannot be read
        return info, ""
    if status.state not in (*_UNRECORDED, "STARTED"):  # it has a record by now
        return await result.info(), ""
    started = status.since if status.state == "STARTED" else None
    about = {"state": status.state, "name": status.name or info.name, "worker": status.worker, "args": status.args}
    where = f"{status.detail[:1].lower()}{status.detail[1:].removesuffix('.')}"
    return replace(info, timings=replace(info.timings, started=started), **about), where
