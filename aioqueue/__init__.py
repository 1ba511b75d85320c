"""aioqueue: the task queue of Python's async world.

from aioqueue import AioQueue

app = AioQueue("shop")

@app.task
async def add(x: int, y: int) -> int:
    return x + y

result = await add.send(2, 3)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioqueue._version import __version__

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.canvas import Signature
    from aioqueue.context import TaskContext, current_context
    from aioqueue.exceptions import Ignore, Reject, Retry
    from aioqueue.result import AsyncResult, TaskInfo
    from aioqueue.shared import shared_task
    from aioqueue.task import Task
    from aioqueue.worker import Worker

__all__ = [
    "AioQueue",
    "AsyncResult",
    "Ignore",
    "Reject",
    "Retry",
    "Signature",
    "Task",
    "TaskContext",
    "TaskInfo",
    "Worker",
    "__version__",
    "current_context",
    "shared_task",
]

_HOMES = {
    "AioQueue": "app",
    "AsyncResult": "result",
    "Ignore": "exceptions",
    "Reject": "exceptions",
    "Retry": "exceptions",
    "Signature": "canvas",
    "Task": "task",
    "TaskContext": "context",
    "TaskInfo": "result",
    "Worker": "worker",
    "current_context": "context",
    "shared_task": "shared",
}


def __getattr__(name: str) -> object:
    # Imported when asked for: `aioqueue --help` needs none of it.
    if name not in _HOMES:
        raise AttributeError(f"module 'aioqueue' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"aioqueue.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
