"""Tasks of our own, which every worker knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aioqueue.task import Task

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

COLLECT = "aioqueue.collect"

_made: WeakKeyDictionary[AioQueue, dict[str, Task[..., Any]]] = WeakKeyDictionary()


async def _collect(results: list[Any]) -> list[Any]:
    """The results of a group, as the result of one task."""
    return results


def builtin(app: AioQueue, name: str) -> Task[..., Any] | None:
    """The task of ours that has this name."""
    if name != COLLECT:
        return None
    tasks = _made.setdefault(app, {})
    if name not in tasks:
        tasks[name] = Task(app, _collect, name, False, {})
    return tasks[name]
