"""Middlewares: what is done around sending a task, around each run of one, and around a worker's life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioqueue.around.layer import Layer
from aioqueue.around.nesting import Next as Next

if TYPE_CHECKING:
    from aioqueue.around.leaving import OutgoingMessage
    from aioqueue.context import TaskContext
    from aioqueue.worker import Worker


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
