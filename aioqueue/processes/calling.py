"""Calling a task's function in a child."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aioqueue.context import TaskContext, current
from aioqueue.exceptions import NotRegistered
from aioqueue.message import Message, decode_message
from aioqueue.payload.codec import decode_call
from aioqueue.payload.failure import Failure
from aioqueue.processes.crossing import raised, returned
from aioqueue.processes.frames import Call, Raised, Returned
from aioqueue.processes.reaching import ChildRuntime, Reach
from aioqueue.processes.softening import Softening
from aioqueue.shared import using
from aioqueue.worker.calls import each
from aioqueue.worker.inputs import complete
from aioqueue.worker.leaves import is_retried, said
from aioqueue.worker.run import Partial
from aioqueue.worker.undone import undone_of

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.task import Task


class Caller:
    """Calls functions of an app's tasks.

    Args:
        app: the app, as this process has imported it.
        softening: raises the soft limit in them.
        reach: to the worker.
    """

    def __init__(self, app: Core, softening: Softening, reach: Reach) -> None:
        self._app = app
        self._reach = reach
        self._softening = softening

    def call(self, call: Call) -> Returned | Raised:
        """Call one; gives what is said of its end."""
        return contextvars.copy_context().run(self._called, call)

    def _called(self, call: Call) -> Returned | Raised:
        task = self._app.tasks.get(call.task)
        if task is None:
            return Raised(call.number, Failure.of(NotRegistered(self._missing(call.task))))
        context: TaskContext | None = None
        self._softening.begin(call.number, call.soft)
        try:
            message = decode_message(call.message)
            args, kwargs = self._arguments(task, message, call)
            context = self._context(task, message, call, args, kwargs)
            with using(self._app):
                value, error = self._outcome(task, message, context)
            if error is None:
                kept = call.is_kept
                frame: Returned | Raised = returned(
                    call.number, task, value, context, spread=message.spread is not None, kept=kept
                )
                frame.children = context.children
                return frame
        except BaseException as problem:  # of ours: it cannot be called, or what it gave cannot be sent
            return raised(call.number, task, problem, context, is_retried=False)
        finally:
            self._softening.end()
        error = said(error)
        if error is context.asked:
            context.asked = None
        frame = raised(call.number, task, error, context, is_retried=is_retried(task, error))
        frame.children = context.children
        return frame

    def _missing(self, name: str) -> str:
        return (
            f"The task {name!r} is not there in a process of the pool, which has imported the modules of the app's "
            f"tasks: {self._app.not_registered(name)} Make it where its module is imported, not later and not inside "
            "of a function that only the worker's program calls."
        )

    def _arguments(self, task: Task[..., Any], message: Message, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
        size, accept = self._app.conf.max_payload_size, self._app.accepts(message.content)
        args, kwargs = decode_call(message.body, message.content, size, accept)
        value = None if call.value is None else pickle.loads(call.value)  # of the worker's, not of the message
        return complete(self._app, task, message, Partial(args, kwargs, message.content), value)

    def _context(
        self, task: Task[..., Any], message: Message, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> TaskContext:
        runtime = ChildRuntime(self._reach, call.number)
        context = task.context_kind(task, call.id, message, args, kwargs, runtime, call.hostname, call.deliveries)
        current.set(context)
        for layer in (*self._app.middlewares, *task.middleware):
            if layer.in_children:
                with suppress(StopIteration):
                    layer.around_task(context, _nothing).send(None)
        return context

    def _outcome(
        self, task: Task[..., Any], message: Message, context: TaskContext
    ) -> tuple[Any, BaseException | None]:
        """What its function gives, or raises."""
        function, args, kwargs = task.function, context.args, context.kwargs
        if task.is_wrapped or task.dependencies is not None:  # which opens what it depends on
            function = task if task.is_wrapped else task.run
        elif task.bind:
            args = (context, *args)
        if message.spread is not None:
            value, error = self._softening.call(lambda: each(function, args, kwargs))
        else:
            value, error = self._softening.call(lambda: function(*args, **kwargs))
        if error is None and inspect.isawaitable(value):  # as of a partial of a coroutine function
            value, error = self._softening.call(lambda: asyncio.run(_await(value)))
        if error is None and value is not None:
            error = undone_of(task, value, spread=message.spread is not None)
        return (None, error) if error is not None else (value, None)


async def _nothing(context: TaskContext) -> None:
    """What a middleware is around that sets something for the run."""


async def _await(value: Any) -> Any:
    return await value
