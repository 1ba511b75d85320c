"""What is around the body of one task, as it was when its run began.

Put together when a task is registered and when something is added; a task around which there is nothing has none, and
pays for nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from aioqueue.around.dependencies import Dependencies
from aioqueue.around.middleware import Step, steps, through

if TYPE_CHECKING:
    from aioqueue.context import TaskContext
    from aioqueue.core import Core
    from aioqueue.task import Task

Body = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Calls the task's function, with these arguments by keyword beside its own."""

_NOTHING: Mapping[str, Any] = {}


class Surroundings:
    """What is around one task.

    Args:
        task: the task.
        middlewares: their `around_task`, the innermost first.
        dependencies: its dependencies, if it has any.
    """

    def __init__(
        self, task: Task[..., Any], middlewares: tuple[Step, ...] = (), dependencies: Dependencies | None = None
    ) -> None:
        self._task = task
        self._middlewares = middlewares
        self._dependencies = dependencies
        self._before_start = "before_start" in task.hooks

    async def run(self, context: TaskContext, body: Body) -> Any:
        """One run: all that is around its body, and the body; gives what comes of it, or raises that."""
        if not self._middlewares:
            return await self._inside(context, body)

        def innermost(context: TaskContext) -> Awaitable[Any]:
            return self._inside(context, body)

        return await through(self._middlewares, innermost)(context)

    async def _inside(self, context: TaskContext, body: Body) -> Any:
        """What the middlewares are around: the dependencies, and in them the body."""
        try:
            if self._dependencies is None:
                return await self._start(context, body, _NOTHING)
            return await self._dependencies.around(context, lambda given: self._start(context, body, given))
        except BaseException as error:
            if (
                error is context.asked
            ):  # it was raised, as it should be; what is made of it further out is another matter
                context.asked = None
            raise

    async def _start(self, context: TaskContext, body: Body, given: Mapping[str, Any]) -> Any:
        if self._before_start:
            done = self._task.before_start(context.id, context.args, context.kwargs)
            if inspect.isawaitable(done):
                await done
        return await body(given)


def surroundings_of(app: Core, task: Task[..., Any]) -> Surroundings | None:
    """What is around a task of an app now; None if there is nothing."""
    middlewares = steps((*app.middlewares, *task.middleware), "around_task")
    dependencies: Dependencies | None = task.dependencies
    if dependencies is not None:
        dependencies = dependencies.under(app.overrides)
    if middlewares or dependencies is not None or task.hooks:
        return Surroundings(task, middlewares, dependencies)
    return None
