"""aioqueue: the task queue of Python's async world.

from aioqueue import AioQueue

app = AioQueue("shop")

@app.task
async def add(x: int, y: int) -> int:
    return x + y

result = await add.send(2, 3)
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from aioqueue._version import __version__

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.around.depends import Depends
    from aioqueue.around.events import BeatEvent, ScheduleEvent, TaskEvent, WorkerEvent
    from aioqueue.around.leaving import OutgoingMessage
    from aioqueue.around.middleware import Middleware
    from aioqueue.canvas import Canvas, Signature, StampingVisitor, chain, chord, chunks, group, signature
    from aioqueue.context import TaskContext, current_context
    from aioqueue.exceptions import Ignore, Reject, Retry
    from aioqueue.graph import Graph
    from aioqueue.group_result import GroupResult
    from aioqueue.payload.serializers import register_serializer
    from aioqueue.result import AsyncResult
    from aioqueue.routing import Queue
    from aioqueue.schedules import Schedule, crontab, every, one_off, solar
    from aioqueue.shared import shared_task
    from aioqueue.task import Task
    from aioqueue.task_failure import TaskFailure
    from aioqueue.task_info import TaskInfo
    from aioqueue.task_logger import get_task_logger
    from aioqueue.task_status import TaskStatus, WaitReason
    from aioqueue.worker import Worker

__all__ = [
    "AioQueue",
    "AsyncResult",
    "BeatEvent",
    "Canvas",
    "Depends",
    "Graph",
    "GroupResult",
    "Ignore",
    "Middleware",
    "OutgoingMessage",
    "Queue",
    "Reject",
    "Retry",
    "Schedule",
    "ScheduleEvent",
    "Signature",
    "StampingVisitor",
    "Task",
    "TaskContext",
    "TaskEvent",
    "TaskFailure",
    "TaskInfo",
    "TaskStatus",
    "WaitReason",
    "Worker",
    "WorkerEvent",
    "__version__",
    "chain",
    "chord",
    "chunks",
    "crontab",
    "current_context",
    "every",
    "get_task_logger",
    "group",
    "one_off",
    "register_serializer",
    "shared_task",
    "signature",
    "solar",
]

_HOMES = {
    "AioQueue": "app",
    "AsyncResult": "result",
    "BeatEvent": "around.events",
    "Canvas": "canvas",
    "Depends": "around.depends",
    "Graph": "graph",
    "GroupResult": "group_result",
    "Ignore": "exceptions",
    "Middleware": "around.middleware",
    "OutgoingMessage": "around.leaving",
    "Queue": "routing",
    "Reject": "exceptions",
    "Retry": "exceptions",
    "Schedule": "schedules",
    "ScheduleEvent": "around.events",
    "Signature": "canvas",
    "StampingVisitor": "canvas",
    "Task": "task",
    "TaskContext": "context",
    "TaskEvent": "around.events",
    "TaskFailure": "task_failure",
    "TaskInfo": "task_info",
    "TaskStatus": "task_status",
    "WaitReason": "task_status",
    "Worker": "worker",
    "WorkerEvent": "around.events",
    "chain": "canvas",
    "chord": "canvas",
    "chunks": "canvas",
    "crontab": "schedules",
    "current_context": "context",
    "every": "schedules",
    "get_task_logger": "task_logger",
    "group": "canvas",
    "one_off": "schedules",
    "register_serializer": "payload.serializers",
    "shared_task": "shared",
    "signature": "canvas",
    "solar": "schedules",
}


class _OfCelerys:
    """The last of `sys.meta_path`: asked for what no other has found, as `aioqueue.utils.log`, it says what is here."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """None of anything.

        Raises:
            ModuleNotFoundError: it is a module of Celery's; with what is in its place.
        """
        if name.startswith("aioqueue."):
            from aioqueue.other_words import MODULES

            if words := MODULES.get(name.partition(".")[2]):
                raise ModuleNotFoundError(f"No module named {name!r}: of Celery's, {words}.", name=name)


sys.meta_path.append(_OfCelerys)


def __getattr__(name: str) -> object:
    # Imported when asked for: `aioqueue --help` needs none of it.
    if name not in _HOMES:
        from aioqueue.other_words import elsewhere

        raise elsewhere(__name__, name)
    from importlib import import_module

    value = getattr(import_module(f"aioqueue.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
