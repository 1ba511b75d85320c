"""Soft and hard limits of time, in coroutines and in threads."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from support.apps import MakeApp, ended, is_empty, outcome, working
from support.waiting import A_MOMENT, PATIENCE, until

from aioqueue import AioQueue, Depends, Middleware, Task, TaskContext
from aioqueue.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from aioqueue.worker.limits import GRACE

from .steps import Fault

SHORT = 0.08


@pytest.fixture
def free(app: AioQueue) -> Any:
    @app.task(name="free")
    async def free() -> str:
        return "free"

    return free


# Soft


@pytest.mark.parametrize("with_hook", [False, True])
async def test_a_coroutine_may_catch_the_soft_limit_and_return(app: AioQueue, with_hook: bool) -> None:
    class Hooked(Task[..., Any]):
        async def before_start(self, *given: Any) -> None:
            await asyncio.sleep(0)

    @app.task(soft_time_limit=SHORT, base=Hooked if with_hook else None)
    async def work() -> str:
        try:
            await asyncio.sleep(PATIENCE)
        except SoftTimeLimitExceeded as error:
            await asyncio.sleep(0.02)  # it may still wait
            task = asyncio.current_task()
            assert task is not None and task.cancelling() == 0, "it is not cancelled any more"
            return f"cleaned up: {error}"
        return "in time"

    async with working(app):
        assert await work.call(timeout=PATIENCE) == f"cleaned up: soft_time_limit={SHORT:g} s"


async def test_the_soft_limit_arrives_where_the_coroutine_waits(app: AioQueue) -> None:
    cancelled: list[str] = []

    async def below() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled.append("below")
            raise

    @app.task(soft_time_limit=SHORT)
    async def work() -> str:
        child = asyncio.ensure_future(below())
        try:
            await child
        except SoftTimeLimitExceeded:
            return f"cancelled: {child.cancelled()}"
        return "in time"

    async with working(app):
        assert await work.call(timeout=PATIENCE) == "cancelled: True"
    assert cancelled == ["below"]


async def test_the_soft_limit_inside_a_task_group_and_a_timeout(app: AioQueue) -> None:
    @app.task(soft_time_limit=SHORT)
    async def work() -> str:
        try:
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(PATIENCE))
                await asyncio.sleep(PATIENCE)
        except* SoftTimeLimitExceeded:
            pass
        return "cleaned up"

    async with working(app):
        assert await work.call(timeout=PATIENCE) == "cleaned up"


@asynccontextmanager
async def _a_group() -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.TaskGroup() as group:
        yield group


async def _in_a_context(child: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with _a_group() as group:
        group.create_task(child())


async def _in_a_generator(child: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def each() -> AsyncIterator[int]:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
        yield 1

    async for _ in each():
        pass


async def _in_the_next_of_a_generator(child: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def each() -> AsyncIterator[int]:
        await asyncio.wait_for(child(), PATIENCE)
        yield 1

    await anext(each(), None)


async def _in_a_group_of_anyio(child: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(child)


async def _in_an_exit_stack(child: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        group.create_task(child())


async def _waited_for(child: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await asyncio.wait_for(child(), PATIENCE)


async def _gathered(child: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(child(), asyncio.sleep(PATIENCE))


@pytest.mark.parametrize(
    "waits",
    [
        _in_a_context,
        _in_a_generator,
        _in_the_next_of_a_generator,
        _in_a_group_of_anyio,
        _in_an_exit_stack,
        _waited_for,
        _gathered,
    ],
)
async def test_what_a_task_waits_for_ends_with_its_soft_limit(app: AioQueue, waits: Any) -> None:
    heard: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            heard.append("ended")

    @app.task(soft_time_limit=SHORT)
    async def work() -> None:
        await waits(child)

    async with working(app):
        error = await outcome(await work.send())
    assert heard == ["ended"]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert type(error) is SoftTimeLimitExceeded


async def test_a_soft_limit_that_falls_due_while_a_coroutine_is_handed_over(app: AioQueue) -> None:
    """The function has returned one, and the loop, which is to await it, has been busy until after the limit."""
    returns, busy = threading.Event(), threading.Event()

    async def slow() -> str:
        await asyncio.sleep(PATIENCE)
        return "no limit"

    @app.task(soft_time_limit=0.3)
    def work() -> Any:
        busy.wait(PATIENCE)
        returns.set()
        return slow()

    @app.task
    async def hog() -> None:
        busy.set()
        returns.wait(PATIENCE)
        time.sleep(0.5)  # noqa: ASYNC251

    async with working(app):
        result = await work.send()
        await hog.send()
        assert isinstance(await outcome(result), SoftTimeLimitExceeded)


async def test_a_soft_limit_that_nobody_catches(app: AioQueue, free: Any) -> None:
    @app.task(name="work", soft_time_limit=SHORT)
    async def work() -> None:
        await asyncio.sleep(PATIENCE)

    async with working(app, concurrency=1):
        info = await ended(await work.send())
        assert info.state == "FAILURE"
        assert isinstance(info.exception, SoftTimeLimitExceeded)
        assert str(info.exception) == f"soft_time_limit={SHORT:g} s"
        assert "asyncio.sleep" in info.traceback
        assert await free.call(timeout=PATIENCE) == "free"


async def test_a_soft_limit_in_a_thread(app: AioQueue) -> None:
    @app.task(soft_time_limit=SHORT)
    def work() -> str:
        deadline = time.monotonic() + PATIENCE
        try:
            while time.monotonic() < deadline:
                time.sleep(0.005)
        except SoftTimeLimitExceeded:
            return "cleaned up"
        return "in time"

    async with working(app):
        assert await work.call(timeout=PATIENCE) == "cleaned up"


async def test_a_soft_limit_in_a_thread_that_nobody_catches(app: AioQueue) -> None:
    @app.task(soft_time_limit=SHORT)
    def work() -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            time.sleep(0.005)

    async with working(app):
        error = await outcome(await work.send())
        assert isinstance(error, SoftTimeLimitExceeded)
        assert str(error) == f"soft_time_limit={SHORT:g} s"


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_who_ends_in_time_is_not_disturbed(app: AioQueue, kind: str) -> None:
    async def coroutine() -> int:
        await asyncio.sleep(0.01)
        return 1

    def function() -> int:
        time.sleep(0.01)
        return 1

    work = app.task(name="w", soft_time_limit=SHORT, time_limit=SHORT)(coroutine if kind == "coroutine" else function)

    @app.task
    def after() -> int:
        time.sleep(2 * SHORT)  # in the same thread, when the limit of the other is over
        return 2

    async with working(app):
        assert await work.call(timeout=PATIENCE) == 1
        assert await after.call(timeout=PATIENCE) == 2


async def test_the_soft_limit_can_be_retried(app: AioQueue) -> None:
    @app.task(bind=True, soft_time_limit=SHORT, autoretry_for=(SoftTimeLimitExceeded,), default_retry_delay=0)
    async def work(ctx: TaskContext) -> int:
        if ctx.retries == 0:
            await asyncio.sleep(PATIENCE)
        return ctx.retries

    async with working(app):
        assert await work.call(timeout=PATIENCE) == 1


# Hard


async def test_a_hard_limit(app: AioQueue, free: Any) -> None:
    cleaned: list[str] = []

    @app.task(name="work", time_limit=SHORT)
    async def work() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            cleaned.append("up")

    async with working(app, concurrency=1):
        result = await work.send()
        info = await ended(result)
        assert info.state == "FAILURE" and isinstance(info.exception, TimeLimitExceeded)
        assert str(info.exception) == f"Task work[{result.id}] ran for more than {SHORT:g} s."
        assert cleaned == ["up"]
        assert SHORT <= info.timings.run + 0.002 < PATIENCE / 2
        assert await free.call(timeout=PATIENCE) == "free"
        assert await is_empty(app)


async def test_both_limits(app: AioQueue) -> None:
    seen: list[str] = []

    @app.task(soft_time_limit=SHORT, time_limit=1.0)  # so far apart that a busy machine keeps them apart
    async def work() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        except SoftTimeLimitExceeded:
            seen.append("soft")
            await asyncio.sleep(PATIENCE)

    async with working(app):
        assert isinstance(await outcome(await work.send()), TimeLimitExceeded)
    assert seen == ["soft"]


async def test_a_coroutine_that_swallows_its_cancellation(
    app: AioQueue, free: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stop = asyncio.Event()

    @app.task(name="stubborn", time_limit=SHORT)
    async def stubborn() -> str:
        while not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                pass
        return "unheard"

    async with working(app, concurrency=1) as worker:
        result = await stubborn.send()
        assert isinstance(await outcome(result), TimeLimitExceeded)
        assert "stubborn" in caplog.text and "given up" in caplog.text
        assert worker.incarnation is not None and worker.incarnation.runner is not None
        assert len(worker.incarnation.runner.stuck) == 1
        assert await free.call(timeout=PATIENCE) == "free", "its place is free"
        stop.set()
        await until(lambda: not worker.incarnation.runner.stuck)
        assert await result.state() == "FAILURE", "what it returns later is not heard"


async def test_a_coroutine_that_returns_when_it_is_cancelled(app: AioQueue) -> None:
    @app.task(time_limit=SHORT)
    async def late() -> str:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            return "late"
        return "in time"

    async with working(app):
        assert isinstance(await outcome(await late.send()), TimeLimitExceeded)


async def test_a_thread_stuck_in_c(app: AioQueue, free: Any) -> None:
    stuck = threading.Lock()
    stuck.acquire()

    @app.task(time_limit=SHORT)
    def work() -> str:
        with stuck:  # no bytecode runs while it waits
            return "unheard"

    @app.task
    def another() -> str:
        return "thread"

    async with working(app, concurrency=1):
        result = await work.send()
        assert isinstance(await outcome(result), TimeLimitExceeded)
        assert await free.call(timeout=PATIENCE) == "free"
        assert await another.call(timeout=PATIENCE) == "thread", "another thread takes its place"
        stuck.release()
        assert await another.call(timeout=PATIENCE) == "thread"
        assert await result.state() == "FAILURE"


async def test_a_thread_that_can_be_interrupted_ends(app: AioQueue) -> None:
    ended: list[type[BaseException] | None] = []

    @app.task(time_limit=SHORT)
    def work() -> None:
        deadline = time.monotonic() + PATIENCE
        try:
            while time.monotonic() < deadline:
                time.sleep(0.005)
        finally:
            ended.append(sys.exc_info()[0])

    async with working(app):
        assert isinstance(await outcome(await work.send()), TimeLimitExceeded)
        await until(lambda: ended)
    assert ended == [TimeLimitExceeded]


async def test_a_thread_keeps_its_place_while_it_cleans_up(app: AioQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more run at once than there are places, those that are being ended included."""
    monkeypatch.setattr("aioqueue.worker.limits.GRACE", 3 * PATIENCE)
    order: list[str] = []
    cleaning, cleaned = threading.Event(), threading.Event()

    @app.task(time_limit=SHORT)
    def work() -> None:
        deadline = time.monotonic() + PATIENCE
        try:
            while time.monotonic() < deadline:
                time.sleep(0.005)
        finally:
            cleaning.set()
            cleaned.wait(PATIENCE)
            order.append("cleaned up")

    @app.task
    async def following() -> None:
        order.append("next")

    async with working(app, concurrency=1) as worker:
        result, later = await work.send(), await following.send()
        await until(cleaning.is_set)
        await asyncio.sleep(A_MOMENT)
        assert order == [] and len(worker.incarnation.runner.running) == 1
        cleaned.set()
        assert isinstance(await outcome(result), TimeLimitExceeded)
        await outcome(later)
    assert order == ["cleaned up", "next"]


async def test_a_hard_limit_can_be_retried(app: AioQueue) -> None:
    @app.task(bind=True, time_limit=SHORT, autoretry_for=(TimeLimitExceeded,), default_retry_delay=0)
    async def work(ctx: TaskContext) -> int:
        if ctx.retries == 0:
            await asyncio.sleep(PATIENCE)
        return ctx.retries

    async with working(app):
        assert await work.call(timeout=PATIENCE) == 1


class NoAnswer(type):
    """Of a class that cannot say what belongs to it."""

    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("no answer")


class Unsure(Exception, metaclass=NoAnswer):
    pass


@pytest.mark.parametrize("ends", ["when it is told to", "never"])
async def test_a_limit_whose_end_cannot_be_told(app: AioQueue, ends: str) -> None:
    """It ends as failed, and the limits of the others are kept."""
    stop = asyncio.Event()

    @app.task(time_limit=SHORT, autoretry_for=(Unsure,))
    async def stubborn() -> None:
        while not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                if ends != "never":
                    raise

    @app.task(time_limit=2 * SHORT)
    async def other() -> None:
        await asyncio.sleep(3 * PATIENCE)

    async with working(app) as worker:
        try:
            result, another = await stubborn.send(), await other.send()
            error = await outcome(result)
            assert isinstance(error, RuntimeError) and str(error) == "no answer"
            assert isinstance(await outcome(another), TimeLimitExceeded)
        finally:
            stop.set()
        await until(lambda: not worker.incarnation.runner.unsettled and not worker.incarnation.runner.stuck)
        assert await is_empty(app)


# Where they come from


async def test_settings_and_sendings(make_app: MakeApp) -> None:
    app = make_app(task_time_limit=SHORT)

    @app.task
    async def by_setting() -> None:
        await asyncio.sleep(PATIENCE)

    @app.task(time_limit=PATIENCE)
    async def longer() -> str:
        await asyncio.sleep(3 * SHORT)
        return "in time"

    async with working(app):
        assert isinstance(await outcome(await by_setting.send()), TimeLimitExceeded)
        assert await longer.call(timeout=PATIENCE) == "in time"
        assert isinstance(await outcome(await longer.options(time_limit=SHORT).send()), TimeLimitExceeded)
        assert isinstance(await outcome(await longer.options(soft_time_limit=SHORT).send()), SoftTimeLimitExceeded)
        app.conf.update(task_time_limit=None, task_soft_time_limit=SHORT)
        assert isinstance(await outcome(await by_setting.send()), SoftTimeLimitExceeded)


async def test_many_limits_at_once(app: AioQueue) -> None:
    @app.task
    async def work(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async with working(app, concurrency=200):
        limited = [work.options(time_limit=0.05 + 0.001 * n).s(PATIENCE if n % 2 else 0.0) for n in range(100)]
        found = [await outcome(result) for result in await app.send_many(limited)]
    assert [type(one) for one in found] == [type(None), TimeLimitExceeded] * 50


async def test_limits_of_what_has_ended_are_not_kept(app: AioQueue) -> None:
    """A limit of an hour holds a task's arguments for an hour, if nobody sweeps; those of what runs stay."""
    stop = asyncio.Event()

    @app.task(time_limit=3600, soft_time_limit=3000)
    async def quick() -> None: ...

    @app.task(time_limit=3600)
    async def long() -> None:
        await stop.wait()

    async with working(app, concurrency=100) as worker:
        running = [await long.send() for _ in range(3)]
        for _ in range(5):
            for result in await app.send_many(quick.s() for _ in range(1000)):
                await outcome(result)
        entries = worker.incarnation.runner.limits._deadlines._heap
        assert len(entries) <= 1000
        assert {result.id for result in running} <= {run.delivery.id for _, _, run, _ in entries}
        assert [entry[:2] for entry in entries if entry[0] < entries[0][0]] == [], "the earliest is first"
        stop.set()


async def test_hooks_hear_of_a_hard_limit(app: AioQueue) -> None:
    heard: list[BaseException] = []

    class Hooked(Task[..., Any]):
        def on_failure(self, exc: BaseException, *given: Any) -> None:
            heard.append(exc)

    @app.task(base=Hooked, time_limit=SHORT)
    async def work() -> None:
        await asyncio.sleep(PATIENCE)

    async with working(app):
        await outcome(await work.send())
        await until(lambda: heard)
    assert isinstance(heard[0], TimeLimitExceeded)


async def test_a_soft_limit_during_before_start(app: AioQueue) -> None:
    class Slow(Task[..., Any]):
        async def before_start(self, *given: Any) -> None:
            await asyncio.sleep(PATIENCE)

    @app.task(base=Slow, soft_time_limit=SHORT)
    async def work() -> None: ...

    async with working(app):
        info = await ended(await work.send())
        assert isinstance(info.exception, SoftTimeLimitExceeded), info.exception


@pytest.mark.parametrize("limit", ["soft_time_limit", "time_limit"])
async def test_a_limit_during_a_plain_before_start(app: AioQueue, limit: str) -> None:
    """It ends there, and what the run depends on is closed after that."""
    seen: list[str] = []

    async def session() -> AsyncIterator[None]:
        try:
            yield
        finally:
            seen.append("closed")

    class Slow(Task[..., Any]):
        def before_start(self, *given: Any) -> None:
            try:
                until = time.monotonic() + PATIENCE
                while time.monotonic() < until:
                    time.sleep(0.005)
            finally:
                seen.append("ended")

    @app.task(base=Slow, **{limit: SHORT})
    async def work(s: None = Depends(session)) -> None: ...

    async with working(app):
        info = await ended(await work.send())
        await until(lambda: len(seen) == 2)
    assert isinstance(info.exception, SoftTimeLimitExceeded | TimeLimitExceeded), info.exception
    assert seen == ["ended", "closed"]


async def test_limits_do_not_reach_a_task_that_failed_by_itself(app: AioQueue) -> None:
    @app.task(soft_time_limit=SHORT, time_limit=SHORT)
    async def work() -> None:
        raise Fault

    async with working(app):
        assert isinstance(await outcome(await work.send()), Fault)
        await asyncio.sleep(1.5 * SHORT)


# Those of a middleware


class Impatient(Middleware):
    """Gives each run only a moment."""

    async def around_task(self, context: TaskContext, next: Any) -> Any:
        async with asyncio.timeout(SHORT):
            return await next(context)


async def test_the_timeout_of_a_middleware_ends_what_runs_in_a_thread(app: AioQueue) -> None:
    """Its dependencies are closed, and its retry begins, when it has ended."""
    seen: list[str] = []

    async def session() -> AsyncIterator[None]:
        try:
            yield
        finally:
            seen.append("closed")

    @app.task(middleware=[Impatient()], autoretry_for=(TimeoutError,), max_retries=1, default_retry_delay=0)
    def work(s: None = Depends(session)) -> str:
        seen.append("begins")
        try:
            while seen.count("begins") == 1:
                time.sleep(0.005)
            return "again"
        except asyncio.CancelledError:
            time.sleep(0.02)
            raise
        finally:
            seen.append("ends")

    async with working(app):
        assert await work.call(timeout=PATIENCE) == "again"
    assert seen == ["begins", "ends", "closed", "begins", "ends", "closed"]


@pytest.mark.parametrize("where", ["body", "dependency"])
async def test_a_thread_that_does_not_heed_the_timeout_of_a_middleware(
    app: AioQueue, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate, seen = threading.Event(), list[str]()

    def wait() -> None:
        gate.wait(PATIENCE)  # in C: no interruption comes through
        seen.append("on")

    def session() -> None:
        if where == "dependency":
            wait()

    @app.task(middleware=[Impatient()])
    def work(s: None = Depends(session)) -> None:
        if where == "body":
            wait()

    async with working(app):
        began = time.monotonic()
        assert isinstance(await outcome(await work.send()), TimeoutError)
        assert time.monotonic() - began >= GRACE
        assert "did not end; that is given up, and may run on unheard" in caplog.text
        gate.set()


async def test_a_limit_while_a_middleware_waits_for_a_thread(app: AioQueue) -> None:
    """What ends a run from outside counts, and what it does is given up once."""
    gate = threading.Event()

    @app.task(middleware=[Impatient()], time_limit=2 * SHORT)
    def work() -> None:
        gate.wait(PATIENCE)

    async with working(app):
        assert isinstance(await outcome(await work.send()), TimeLimitExceeded)
        gate.set()
