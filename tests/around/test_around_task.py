"""Middlewares around a run."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from typing import Any

import pytest
from support.apps import MakeApp

from aioqueue import AioQueue, Middleware, Task, TaskContext
from aioqueue.around.middleware import Next
from aioqueue.exceptions import ConfigurationError, Replace, Retry, SoftTimeLimitExceeded, TimeLimitExceeded

marked: ContextVar[str] = ContextVar("marked", default="")


class Seen(Middleware):
    """Notes what goes in and comes out."""

    def __init__(self, name: str, seen: list[Any]) -> None:
        self.name, self.seen = name, seen

    async def around_task(self, ctx: TaskContext, next: Next) -> Any:
        self.seen.append((self.name, "in"))
        try:
            value = await next(ctx)
        except BaseException as error:
            self.seen.append((self.name, type(error).__name__))
            raise
        self.seen.append((self.name, value))
        return value


def surround(app: AioQueue, *middlewares: Middleware) -> None:
    """Put middlewares around all tasks of an app."""
    for middleware in middlewares:
        app.add_middleware(middleware)


async def test_the_first_is_the_outermost_and_the_hook_before_the_start_is_inside(app: AioQueue) -> None:
    seen: list[Any] = []

    class Hooked(Task[..., Any]):
        def before_start(self, *given: Any) -> None:
            seen.append("before_start")

    @app.task(base=Hooked)
    async def double(x: int) -> int:
        seen.append("body")
        return 2 * x

    surround(app, Seen("a", seen), Seen("b", seen))
    async with app.testing() as t:
        assert await t.run(double, 3) == 6
    assert seen == [("a", "in"), ("b", "in"), "before_start", "body", ("b", 6), ("a", 6)]


async def test_a_middleware_may_give_another_result(app: AioQueue) -> None:
    class Plus(Middleware):
        async def around_task(self, ctx: TaskContext, next: Next) -> Any:
            return await next(ctx) + 1

    @app.task
    def double(x: int) -> int:
        return 2 * x

    surround(app, Plus())
    async with app.testing() as t:
        assert await t.run(double, 3) == 7


async def test_a_middleware_that_raises_fails_the_task(app: AioQueue) -> None:
    class Broken(Middleware):
        async def around_task(self, ctx: TaskContext, next: Next) -> Any:
            raise ValueError("not today")

    @app.task
    async def double(x: int) -> int:
        return 2 * x

    surround(app, Broken())
    async with app.testing() as t:
        with pytest.raises(ValueError, match="not today"):
            await t.run(double, 3)


async def test_retries_and_replacements_are_seen_as_what_they_are(app: AioQueue) -> None:
    seen: list[Any] = []

    @app.task
    async def last() -> str:
        return "last"

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> str:
        if ctx.retries == 0:
            raise ctx.retry(countdown=0)
        raise ctx.replace(last.s())

    surround(app, Seen("a", seen))
    async with app.testing() as t:
        assert await t.run(work) == "last"
    names = [what for _, what in seen]
    assert names == ["in", Retry.__name__, "in", Replace.__name__, "in", "last"]


async def test_one_that_catches_what_was_raised_decides(app: AioQueue) -> None:
    class Calm(Middleware):
        async def around_task(self, ctx: TaskContext, next: Next) -> Any:
            try:
                return await next(ctx)
            except Retry:
                return "calm"

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> str:
        raise ctx.retry()

    surround(app, Calm())
    async with app.testing() as t:
        assert await t.run(work) == "calm"


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_context_variables_are_seen_by_the_body(app: AioQueue, kind: str) -> None:
    class Marking(Middleware):
        async def around_task(self, ctx: TaskContext, next: Next) -> Any:
            marked.set("by the middleware")
            return await next(ctx)

    async def in_loop() -> str:
        return marked.get()

    def in_thread() -> str:
        return marked.get()

    task: Task[[], str] = app.task(in_loop) if kind == "coroutine" else app.task(in_thread)
    surround(app, Marking())
    async with app.testing() as t:
        assert await t.run(task) == "by the middleware"


@pytest.mark.parametrize("kind", ["group", "sleep", "thread"])
@pytest.mark.parametrize("limit", ["soft", "hard"])
async def test_limits_reach_the_body_through_middlewares(make_app: MakeApp, kind: str, limit: str) -> None:
    app, seen = make_app(), list[Any]()
    limits: dict[str, Any] = {"soft_time_limit": 0.05} if limit == "soft" else {"time_limit": 0.05}

    async def sleep() -> None:
        await asyncio.sleep(60)

    async def group() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))

    def thread() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            time.sleep(0.01)

    task: Task[..., Any] = app.task(**limits)({"sleep": sleep, "group": group, "thread": thread}[kind])
    surround(app, Seen("a", seen))
    async with app, app.worker():
        result = await task.send()
        expected = SoftTimeLimitExceeded if limit == "soft" else TimeLimitExceeded
        with pytest.raises(expected):
            await result.get(timeout=20)
    assert len(seen) == 2, "once in, and out again"


async def test_limits_end_a_middleware_after_its_body(make_app: MakeApp) -> None:
    app = make_app()

    class Slow(Middleware):
        async def around_task(self, ctx: TaskContext, next: Next) -> Any:
            value = await next(ctx)
            await asyncio.sleep(60)
            return value

    @app.task(soft_time_limit=0.2)
    def work() -> int:
        return 1

    surround(app, Slow())
    async with app, app.worker():
        with pytest.raises(SoftTimeLimitExceeded):
            await (await work.send()).get(timeout=20)


async def test_a_task_around_which_there_is_nothing_pays_for_nothing(app: AioQueue) -> None:
    @app.task
    async def bare() -> None: ...

    assert app.tasks[bare.name].surroundings is None
    surround(app, Middleware())
    assert bare.surroundings is None, "it has no method of its own"


async def test_a_traceback_shows_middlewares_and_the_body_and_nothing_between(app: AioQueue) -> None:
    @app.task(soft_time_limit=60)
    async def work() -> None:
        raise ValueError("here")

    surround(app, Seen("a", []), Seen("b", []))
    async with app.testing() as t:
        result = await work.send()
        await t.drain()
        info = await result.info()
    assert info.traceback is not None
    assert "value = await next(ctx)" in info.traceback and 'raise ValueError("here")' in info.traceback
    assert "aioqueue/around/" not in info.traceback and "aioqueue/worker/" not in info.traceback


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda next, ctx: next(),
            r"calls next\(\).* `await next\(ctx\)`\. What it stands around was not",
        ),
        (lambda next, ctx: next(None), r"calls next\(None\)"),
        (lambda next, ctx: next(ctx, 5), r"calls next\(<.*, 5\)"),
        (lambda next, ctx: next(ctx=ctx), r"calls next\(ctx=<"),
        (lambda next, ctx: _given(next(ctx)), r"returns a coroutine.*`return await next\(\.\.\.\)`"),
    ],
)
async def test_next_that_is_called_wrongly_is_an_error_that_says_so(app: AioQueue, call: Any, said: str) -> None:
    ran: list[int] = []

    class Wrong(Middleware):
        async def around_task(self, ctx: TaskContext, next: Next) -> Any:
            return await call(next, ctx)

    @app.task
    async def work() -> None:
        ran.append(1)

    surround(app, Seen("a", []), Wrong())
    async with app.testing() as t:
        with pytest.raises(ConfigurationError, match=r"^Wrong\.around_task " + said):
            await t.run(work)
    assert not ran


async def _given(value: Any) -> Any:
    """What a method returns that has forgotten its await."""
    return value
