"""Tasks of our own, which every worker knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aioqueue.canvas.carried import CARRIER, COLLECT, headed
from aioqueue.canvas.dicts import signature
from aioqueue.task import Task, build

if TYPE_CHECKING:
    from aioqueue.context import TaskContext
    from aioqueue.core import Core

_made: WeakKeyDictionary[Core, dict[str, Task[..., Any]]] = WeakKeyDictionary()


async def _collect(results: list[Any]) -> list[Any]:
    """The results of a group, as the result of one task."""
    return results


async def _carry(ctx: TaskContext, canvas: dict[str, Any]) -> Any:
    """A canvas, as what `to_dict` gave, goes on in the place of this task; its tasks have the headers of this one."""
    raise ctx.replace(headed(signature(canvas, app=ctx.task.app), ctx.headers))


_OURS = {COLLECT: (_collect, False), CARRIER: (_carry, True)}


def builtin(app: Core, name: str) -> Task[..., Any] | None:
    """The task of ours that has this name."""
    if name not in _OURS:
        return None
    tasks = _made.setdefault(app, {})
    if name not in tasks:
        function, bind = _OURS[name]
        tasks[name] = build(Task, app, function, name, bind, {})
    return tasks[name]
