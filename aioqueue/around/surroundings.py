"""What is around the runs of one task, as it is when a run begins.

Put together when a task is registered and when something is added; a task around which there is nothing has none, and
pays for nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from aioqueue.around.calling import Handler, are_prompt, called
from aioqueue.around.dependencies import Dependencies
from aioqueue.around.events import END_MOMENTS, TaskEvent
from aioqueue.around.nesting import Step, steps, through

if TYPE_CHECKING:
    from aioqueue.context import Runtime, TaskContext
    from aioqueue.core import Core
    from aioqueue.task import Task

Body = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Calls the task's function, with these arguments by keyword beside its own."""

_NOTHING: Mapping[str, Any] = {}
_AFTER_HOOKS = frozenset(("on_success", "on_failure", "on_retry", "after_return"))


class Surroundings:
    """What is around the runs of one task.

    Attributes:
        hears_ends: something is to be called after its ends.
        is_prompt: all of that takes no time.
    """

    def __init__(self, app: Core, task: Task[..., Any]) -> None:
        self._app = app
        self._task = task
        self._middlewares: tuple[Step, ...] = steps((*app.middlewares, *task.middleware), "around_task")
        dependencies: Dependencies | None = task.dependencies
        self._dependencies = dependencies.under(app.overrides) if dependencies is not None else None
        self._before_start = "before_start" in task.hooks
        hooks: frozenset[str] = _AFTER_HOOKS & task.hooks
        self._hooks = {name: Handler(getattr(task, name), f"The hook {name}", may_be_left_out=False) for name in hooks}
        self._is_received = bool(app.signals.of("task_received", task.name))
        self._prerun = app.signals.of("task_prerun", task.name)
        self._end_handlers = {name: found for name in END_MOMENTS if (found := app.signals.of(name, task.name))}
        self.hears_ends: bool = bool(self._hooks or self._end_handlers)
        self.is_prompt = not self._hooks and all(map(are_prompt, self._end_handlers.values()))

    def __bool__(self) -> bool:
        return bool(
            self._middlewares
            or self._dependencies is not None
            or self._before_start
            or self._prerun
            or self._is_received
            or self.hears_ends
        )

    # Around the body

    async def run(self, context: TaskContext, body: Body, *, elsewhere: bool = False) -> Any:
        """One run: all that is around its body, and the body; gives what comes of it, or raises that. What it depends
        on is opened with the body if that is `elsewhere`, in another process."""
        if self._prerun:
            await self._tell_prerun(context)
        if not self._middlewares:
            return await self._inside(context, body, elsewhere)

        def innermost(context: TaskContext) -> Awaitable[Any]:
            return self._inside(context, body, elsewhere)

        return await through(self._middlewares, innermost)(context)

    async def _tell_prerun(self, context: TaskContext) -> None:
        event = TaskEvent(
            name="task_prerun",
            task_id=context.id,
            task=context.name,
            args=context.args,
            kwargs=context.kwargs,
            headers=context.headers,
            queue=context.queue,
            retries=context.retries,
            worker=context.hostname,
        )
        about = f"task_prerun of {context.name}[{context.id}]"
        for handler in self._prerun:
            await handler.call(about, event, within=self._app.conf.signal_timeout, keeps=True)

    async def _inside(self, context: TaskContext, body: Body, elsewhere: bool) -> Any:
        """What the middlewares are around: the dependencies, and in them the body."""
        try:
            if self._dependencies is None or elsewhere:
                return await self._start(context, body, _NOTHING)
            return await self._dependencies.around(context, lambda given: self._start(context, body, given))
        except BaseException as error:
            if error is context.asked:  # it was raised, as it should be, whatever is made of it further out
                context.asked = None
            raise

    async def _start(self, context: TaskContext, body: Body, given: Mapping[str, Any]) -> Any:
        if self._before_start:
            runtime: Runtime = context._runtime  # pyright: ignore[reportPrivateUsage]
            await called(runtime.in_thread, self._task.before_start, context.id, context.args, context.kwargs)
        return await body(given)

    # After the end

    async def call_hook(self, name: str, about: str, *arguments: Any) -> None:
        """Call a hook of the task's class, if it has that one."""
        hook = self._hooks.get(name)
        if hook is not None:
            await hook.call(about, *arguments, within=self._app.conf.signal_timeout)


def surroundings_of(app: Core, task: Task[..., Any]) -> Surroundings | None:
    """What is around a task of an app now; None if there is nothing."""
    return Surroundings(app, task) or None
