"""Middlewares: what is done around sending a task, around each run of one, and around a worker's life."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aioqueue.context import TaskContext
    from aioqueue.worker import Worker

Next = Callable[[Any], Awaitable[Any]]
"""What comes next: called with what the middleware was called with."""
Step = Callable[[Any, Next], Awaitable[Any]]
"""A middleware's method, bound."""


class Middleware:
    """What is put around tasks; a subclass has those of the methods that it needs.

    class Timed(Middleware):
        async def around_task(self, ctx, next):
            started = monotonic()
            try:
                return await next(ctx)
            finally:
                print(ctx.name, monotonic() - started)

    app.add_middleware(Timed())
    """

    async def around_send(self, message: Any, next: Next) -> Any:
        """Around each message that leaves; what it raises is raised by `send`, and nothing was sent."""
        return await next(message)

    async def around_task(self, ctx: TaskContext, next: Next) -> Any:
        """Around each run of a task; what it returns or raises is the outcome of the run."""
        return await next(ctx)

    async def around_worker(self, worker: Worker, next: Next) -> Any:
        """Around a worker's life, once in each process."""
        return await next(worker)


def steps(middlewares: Iterable[Middleware], method: str) -> tuple[Step, ...]:
    """The methods of that name of those that have one of their own, the innermost first."""
    own = [one for one in middlewares if getattr(type(one), method) is not getattr(Middleware, method)]
    return tuple(getattr(one, method) for one in reversed(own))


def through(steps: Iterable[Step], innermost: Next) -> Next:
    """What calls all of them, as `steps` gives them, around the innermost."""
    for step in steps:
        innermost = _link(step, innermost)
    return innermost


def _link(step: Step, inner: Next) -> Next:
    def next(subject: Any) -> Awaitable[Any]:
        return step(subject, inner)

    return next
