"""Middlewares: what is done around sending a task, around each run of one, and around a worker's life."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aioqueue.around.layer import Layer, standing
from aioqueue.exceptions import ConfigurationError
from aioqueue.kinds import shown

if TYPE_CHECKING:
    from aioqueue.around.leaving import OutgoingMessage
    from aioqueue.context import TaskContext
    from aioqueue.worker import Worker

Next = Callable[[Any], Awaitable[Any]]
"""What comes next: called with what the middleware was called with."""
Step = Callable[[Any, Next], Awaitable[Any]]
"""A middleware's method, bound."""


class Middleware(Layer):
    """What is put around tasks; a subclass has those of the methods that it needs, as coroutine functions.

    class Timed(Middleware):
        async def around_task(self, ctx, next):
            started = monotonic()
            try:
                return await next(ctx)
            finally:
                print(ctx.name, monotonic() - started)

    app.add_middleware(Timed())
    """

    if TYPE_CHECKING:  # `Layer` has them, and stands so low that it cannot name the types

        async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
            """Around each message that leaves, which may be changed before `next` is called.

            What stands in one batch, or in one canvas, passes together: `next` returns when all of it is in the broker.

            Args:
                message: what is to be sent.
                next: sends it, and gives what stands for its result.

            Returns:
                What `next` gave. Something else, without calling `next`, is what `send` returns, and nothing is sent.

            Raises:
                Exception: `send` raises it, and nothing was sent: nor anything else of the batch or the canvas. After
                    `next` has returned it is logged, for the message has left.
            """

        async def around_task(self, ctx: TaskContext, next: Next) -> Any:
            """Around each run of a task; what it returns or raises is the outcome of the run."""

        async def around_worker(self, worker: Worker, next: Next) -> Any:
            """Around a worker's life, once in each process."""


def steps(middlewares: Iterable[Layer], method: str) -> tuple[Step, ...]:
    """The methods of that name of those that have one of their own, the innermost first."""
    return tuple([getattr(one, method) for one in reversed(standing(middlewares, method))])


def through(steps: Iterable[Step], innermost: Next) -> Next:
    """What calls all of them, as `steps` gives them, around the innermost."""
    for step in steps:
        innermost = _link(step, innermost)
    return innermost


def _link(step: Step, inner: Next) -> Next:
    async def link(subject: Any) -> Any:
        def next(*given: Any, **named: Any) -> Awaitable[Any]:
            if named or len(given) != 1 or not isinstance(given[0], type(subject)):
                raise _called_wrongly(step, given, named)
            return inner(given[0])

        value = await step(subject, next)
        if inspect.iscoroutine(value):
            value.close()
            raise ConfigurationError(
                f"{_name(step)} returns a coroutine, which nobody has awaited: write `return await next(...)`."
            )
        return value

    return link


def _called_wrongly(step: Step, given: tuple[Any, ...], named: Mapping[str, Any]) -> ConfigurationError:
    said = ", ".join([*map(shown, given), *(f"{name}={shown(value)}" for name, value in named.items())])
    what = next(iter(inspect.signature(step).parameters), "...")
    return ConfigurationError(
        f"{_name(step)} calls next({said}), which takes what the method was called with, and nothing else: write "
        f"`await next({what})`. What it stands around was not done."
    )


def _name(step: Step) -> str:
    return f"{type(getattr(step, '__self__', step)).__name__}.{getattr(step, '__name__', 'around_…')}"
