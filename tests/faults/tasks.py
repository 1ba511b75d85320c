"""The app that is tested: the same in the test, which sends, and in the workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

from canvas.plays import add_tasks

from aioqueue import AioQueue, Depends, Reject, Task, TaskContext, TaskEvent, TaskFailure, current_context

from .record import Writer

writer = Writer()
"""Opened in the workers."""
LONGEST_ACT = 0.05
"""Seconds that a task of a play takes at most."""


def make_app(url: str, **settings: Any) -> AioQueue:
    """The app on a broker."""
    app = AioQueue("faults", broker=url, **settings)
    app.task(bind=True, name="work")(work)
    app.task(bind=True, name="early", acks_late=False)(work)
    app.task(bind=True, name="echo")(echo)
    app.task(bind=True, name="heard")(heard)
    app.task(bind=True, name="by_hand")(by_hand)
    app.task(bind=True, name="reject")(reject)
    app.task(bind=True, name="again", max_retries=None)(again)
    app.task(bind=True, name="again_later", max_retries=None)(again_later)
    app.task(bind=True, name="block")(block)
    app.task(bind=True, name="thread")(thread)
    app.task(bind=True, name="poison")(poison)
    app.task(bind=True, name="poison_after")(poison_after)
    app.task(bind=True, name="stubborn")(stubborn)
    app.task(bind=True, name="depends")(depends)
    app.task(bind=True, name="depends_thread")(depends_thread)
    app.task(bind=True, name="told", base=Told)(depends)
    app.on("task_success", task="told")(told)
    add_tasks(app, played, longest=LONGEST_ACT)
    return app


def played(ctx: TaskContext, play: str, what: list[Any]) -> None:
    """Something happened in a play."""
    writer.write("played", ctx, json.dumps([play, what]))


def outcome(ctx: TaskContext) -> str:
    """Which run a result comes from."""
    return f"{os.getpid()}:{ctx.deliveries}"


async def work(ctx: TaskContext, seconds: float = 0.0) -> str:
    with writer.body(ctx):
        await asyncio.sleep(seconds)
    return outcome(ctx)


async def echo(ctx: TaskContext, text: str) -> str:
    """Give back what it is given."""
    return text


async def heard(ctx: TaskContext, failure: TaskFailure) -> None:
    """An error handler."""
    writer.write("heard", ctx, failure.task_id)


async def by_hand(ctx: TaskContext, seconds: float) -> str:
    """Acknowledges in its middle."""
    with writer.body(ctx):
        await ctx.ack()
        writer.write("acknowledged", ctx)
        await asyncio.sleep(seconds)
    return outcome(ctx)


async def reject(ctx: TaskContext, seconds: float = 0.0) -> None:
    """Ends among the dead letters, whose broker counts them: one too many would show."""
    with writer.body(ctx):
        await asyncio.sleep(seconds)
    raise Reject("as asked")


async def again(ctx: TaskContext, seconds: float, times: int) -> str:
    """Sends itself again in its settlement."""
    with writer.body(ctx):
        await asyncio.sleep(seconds)
    if ctx.retries < times:
        raise ctx.retry(countdown=0)
    return outcome(ctx)


async def again_later(ctx: TaskContext, seconds: float) -> str:
    """Is retried once, after a while."""
    with writer.body(ctx):
        pass
    if not ctx.retries:
        raise ctx.retry(countdown=seconds)
    return outcome(ctx)


async def block(ctx: TaskContext, seconds: float) -> str:
    """Holds up the event loop."""
    with writer.body(ctx):
        time.sleep(seconds)  # noqa: ASYNC251 - that is the point
    return outcome(ctx)


def thread(ctx: TaskContext, seconds: float) -> str:
    with writer.body(ctx):
        time.sleep(seconds)
    return outcome(ctx)


async def poison(ctx: TaskContext, how: str) -> None:
    """Takes its worker with it."""
    writer.write("start", ctx)
    if how == "exit":
        os._exit(42)
    os.kill(os.getpid(), signal.SIGKILL)


async def poison_after(ctx: TaskContext, seconds: float) -> None:
    """The same, when it has let others start."""
    writer.write("start", ctx)
    await asyncio.sleep(seconds)
    os._exit(42)


async def stubborn(ctx: TaskContext, seconds: float) -> str:
    """Does not let itself be cancelled."""
    with writer.body(ctx):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                writer.write("cancelled", ctx)
    return outcome(ctx)


async def pool() -> AsyncIterator[None]:
    writer.write("pool opens")
    yield
    writer.write("pool closes")


async def session(ctx: TaskContext, pool: None = Depends(pool, scope="worker")) -> AsyncIterator[None]:
    writer.write("opens", ctx)
    try:
        yield
    except BaseException as error:
        writer.write("told", ctx, type(error).__name__)
        raise
    finally:
        writer.write("closes", ctx)


async def depends(ctx: TaskContext, seconds: float, s: None = Depends(session)) -> str:
    """Depends on what is the task's and what is the worker's."""
    with writer.body(ctx):
        await asyncio.sleep(seconds)
    return outcome(ctx)


def depends_thread(ctx: TaskContext, seconds: float, s: None = Depends(session)) -> str:
    with writer.body(ctx):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)
    return outcome(ctx)


HELD = "held"
"""As long as a file of this name is in the folder, hooks wait."""


def _is_held() -> bool:
    return (writer.folder / HELD).exists()


class Told(Task[..., Any]):
    """Writes down what is told of its ends."""

    async def on_success(self, *about: Any) -> None:
        writer.write("on_success", current_context())
        while _is_held():  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.01)

    async def after_return(self, *about: Any) -> None:
        writer.write("after_return", current_context())


async def told(event: TaskEvent) -> None:
    """A handler of the end."""
    writer.write("task_success", current_context())
