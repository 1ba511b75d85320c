"""Dependencies of a run: what gives a value, when it is opened and closed, and what it hears of the run's end."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Annotated, Any

import pytest
from support.apps import Gate, outcome, working
from support.waiting import until

from aioqueue import AioQueue, Depends, TaskContext, chunks, current_context
from aioqueue.exceptions import Retry, SoftTimeLimitExceeded, TimeLimitExceeded

seen: list[Any] = []


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """Nothing is seen of the test before."""
    seen.clear()


def plain() -> str:
    return "plain"


async def coroutine() -> str:
    await asyncio.sleep(0)
    return "coroutine"


def generator() -> Iterator[str]:
    yield "generator"


async def async_generator() -> AsyncIterator[str]:
    yield "async generator"


@contextmanager
def context() -> Iterator[str]:
    yield "context"


@asynccontextmanager
async def async_context() -> AsyncIterator[str]:
    yield "async context"


class Plain:
    def __str__(self) -> str:
        return "class"


class Entered:
    def __enter__(self) -> str:
        return "entered"

    def __exit__(self, *about: object) -> None:
        seen.append("left")


class AsyncEntered:
    async def __aenter__(self) -> str:
        return "async entered"

    async def __aexit__(self, *about: object) -> None:
        seen.append("left")


class Giver:
    """An object that is called, and its methods."""

    def __call__(self) -> str:
        return "called"

    def method(self) -> str:
        return "method"

    async def async_method(self) -> str:
        return "async method"


def given(text: str) -> str:
    return text


async def outer() -> AsyncIterator[None]:
    """Hears of what fails inside it."""
    try:
        yield
    except BaseException as error:
        seen.append(repr(error))
        raise


GIVE: list[tuple[Callable[..., Any], str]] = [
    (plain, "plain"),
    (coroutine, "coroutine"),
    (generator, "generator"),
    (async_generator, "async generator"),
    (context, "context"),
    (async_context, "async context"),
    (Plain, "class"),
    (Entered, "entered"),
    (AsyncEntered, "async entered"),
    (Giver(), "called"),
    (Giver().method, "method"),
    (Giver().async_method, "async method"),
    (functools.partial(given, "partial"), "partial"),
    (lambda: "lambda", "lambda"),
    (lambda: coroutine(), "coroutine"),
    (lambda: async_generator(), "async generator"),
    (lambda: generator(), "generator"),
    (str, ""),
]


@pytest.mark.parametrize(("function", "value"), GIVE, ids=lambda one: one if isinstance(one, str) else "")
@pytest.mark.parametrize("scope", ["task", "worker"])
async def test_what_gives_a_value(function: Callable[..., Any], value: str, scope: Any) -> None:
    app = AioQueue("tests", broker="memory://")

    @app.task
    async def inline(order: int, found: Any = Depends(function, scope=scope)) -> str:
        return f"{order} {found}"

    @app.task
    def in_thread(order: int, *, found: Any = Depends(function, scope=scope)) -> str:
        return f"{order} {found}"

    async with app.testing() as t:
        assert await t.run(inline, 42) == f"42 {value}"
        assert await t.run(in_thread, 42) == f"42 {value}"


async def test_opened_before_and_closed_after_in_reverse_order(app: AioQueue) -> None:
    def first() -> Iterator[str]:
        seen.append("first opens")
        yield "1"
        seen.append("first closes")

    async def second(ctx: TaskContext, first: str = Depends(first)) -> AsyncIterator[str]:
        seen.append(f"second opens in {ctx.name} with {first}")
        yield first + "2"
        seen.append("second closes")

    @app.task(name="charge", bind=True)
    async def charge(
        ctx: TaskContext, order: int, both: Annotated[str, Depends(second)], one: str = Depends(first)
    ) -> str:
        seen.append(f"runs with {both} and {one}")
        assert ctx.args == (7,)
        assert ctx.kwargs == {}
        return both

    async with working(app):
        result = await charge.send(7)  # type: ignore[call-arg]
        assert await result.get(timeout=10) == "12"
    assert seen == [
        "first opens",
        "second opens in charge with 1",
        "runs with 12 and 1",
        "second closes",
        "first closes",
    ]


async def test_one_value_for_a_run(app: AioQueue) -> None:
    made = iter(range(10))

    def number() -> int:
        return next(made)

    def a(number: int = Depends(number)) -> int:
        return number

    async def b(number: Annotated[int, Depends(number)]) -> int:
        return number

    @app.task
    async def add(x: int = Depends(a), y: int = Depends(b), z: int = Depends(number)) -> list[int]:
        return [x, y, z]

    async with working(app):
        assert await (await add.send()).get(timeout=10) == [0, 0, 0]
        assert await (await add.send()).get(timeout=10) == [1, 1, 1]


@pytest.mark.parametrize("in_thread", [False, True])
async def test_told_of_the_failure(app: AioQueue, in_thread: bool) -> None:
    async def outer() -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            seen.append(("outer", error))
            raise

    def inner(outer: None = Depends(outer)) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            seen.append(("inner", error))
            raise
        finally:
            seen.append("closed")

    def work(x: int, i: None = Depends(inner)) -> None:
        raise KeyError(x)

    async def work_here(x: int, i: None = Depends(inner)) -> None:
        raise KeyError(x)

    task = app.task(work) if in_thread else app.task(work_here)
    async with working(app):
        error = await outcome(await task.send(1))
    assert isinstance(error, KeyError)
    (_, one), closed, (_, other) = seen
    assert one is other
    assert closed == "closed"
    assert isinstance(one, KeyError)


async def test_one_that_swallows_the_failure_changes_nothing(app: AioQueue) -> None:
    async def swallows() -> AsyncIterator[None]:
        try:
            yield
        except KeyError:
            seen.append("swallowed")

    async def hears(s: None = Depends(swallows)) -> AsyncIterator[None]:
        yield

    @app.task
    async def work(h: None = Depends(hears)) -> None:
        raise KeyError("a")

    async with working(app):
        assert isinstance(await outcome(await work.send()), KeyError)
    assert seen == ["swallowed"]


async def test_a_failing_dependency_is_the_failure_of_the_task(app: AioQueue) -> None:
    tries = iter(range(10))

    async def session(outer: None = Depends(outer)) -> str:
        if next(tries) < 2:
            raise ConnectionError("away")
        return "there"

    @app.task(autoretry_for=ConnectionError, default_retry_delay=0, max_retries=3)
    async def work(s: str = Depends(session)) -> str:
        seen.append("ran")
        return f"{s} after {current_context().retries}"

    @app.task
    async def fails(s: str = Depends(lambda: 1 // 0)) -> str:
        seen.append("ran")
        return s

    async with working(app):
        assert await outcome(await work.send()) == "there after 2"
        assert seen == ["ConnectionError('away')", "ConnectionError('away')", "ran"]
        assert isinstance(await outcome(await fails.send()), ZeroDivisionError)
    assert len(seen) == 3


async def test_one_that_fails_as_it_is_closed_is_the_failure_of_the_task(app: AioQueue) -> None:
    """A commit behind the yield: the task has not done what it says that it has."""
    tries = iter(range(10))

    async def session(outer: None = Depends(outer)) -> AsyncIterator[None]:
        yield
        if next(tries) < 1:
            raise ConnectionError("no commit")

    @app.task(autoretry_for=ConnectionError, default_retry_delay=0, max_retries=3)
    async def work(s: None = Depends(session)) -> int:
        return current_context().retries

    async with working(app):
        assert await outcome(await work.send()) == 1
    assert seen == ["ConnectionError('no commit')"]


async def test_the_own_error_counts_if_closing_fails_too(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    async def session() -> AsyncIterator[None]:
        try:
            yield
        except ConnectionError:
            raise RuntimeError("no rollback, the connection is gone")  # noqa: B904 - that is the point

    @app.task(autoretry_for=ConnectionError, default_retry_delay=0, max_retries=1)
    async def work(s: None = Depends(session)) -> int:
        if current_context().retries == 0:
            raise ConnectionError("away")
        return current_context().retries

    async with working(app):
        assert await outcome(await work.send()) == 1
    (record,) = [record for record in caplog.records if "as it was closed" in record.message]
    assert "session" in record.message
    assert "no rollback" in caplog.text


async def test_one_that_makes_another_error_of_it(app: AioQueue) -> None:
    async def translated() -> AsyncIterator[None]:
        try:
            yield
        except KeyError as error:
            raise LookupError("no such order") from error

    async def again(ctx: TaskContext) -> AsyncIterator[None]:
        try:
            yield
        except KeyError as error:
            raise ctx.retry(exc=error, countdown=0, max_retries=1)  # noqa: B904 - it needs no cause

    @app.task
    async def work(t: None = Depends(translated)) -> None:
        raise KeyError("a")

    @app.task
    async def retried(t: None = Depends(again)) -> int:
        if current_context().retries:
            return 5
        raise KeyError("a")

    async with working(app):
        assert type(await outcome(await work.send())) is LookupError
        assert await outcome(await retried.send()) == 5


async def test_a_retry_is_told_as_what_it_is(app: AioQueue) -> None:
    async def session() -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            seen.append(type(error))
            raise
        else:
            seen.append("committed")

    @app.task(bind=True)
    async def work(ctx: TaskContext, s: None = Depends(session)) -> int:
        if not ctx.retries:
            raise ctx.retry(countdown=0)
        return ctx.retries

    async with working(app):
        assert await outcome(await work.send()) == 1
    assert seen == [Retry, "committed"]


@pytest.mark.parametrize("hangs", ["opening", "closing"])
@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_limits_are_for_dependencies_too(app: AioQueue, hangs: str, kind: str) -> None:
    gate = Gate()

    async def session() -> AsyncIterator[None]:
        if hangs == "opening":
            await gate.wait()
        yield
        await gate.wait()

    def blocking() -> Iterator[None]:
        if hangs == "opening":
            gate.block()
        yield
        gate.block()

    function = session if kind == "async" else blocking

    @app.task(soft_time_limit=0.2)
    async def soft(s: None = Depends(function)) -> None: ...

    @app.task(time_limit=0.2)
    async def hard(s: None = Depends(function)) -> None: ...

    async with working(app):
        assert type(await outcome(await soft.send())) is SoftTimeLimitExceeded
        assert type(await outcome(await hard.send())) is TimeLimitExceeded
        gate.open()


async def test_variables_reach_the_body(app: AioQueue) -> None:
    tenant: ContextVar[str] = ContextVar("tenant", default="none")

    async def session() -> AsyncIterator[None]:
        token = tenant.set("a")
        yield
        tenant.reset(token)

    @app.task
    async def inline(s: None = Depends(session)) -> str:
        return tenant.get()

    @app.task
    def in_thread(s: None = Depends(session)) -> str:
        return tenant.get()

    async with working(app):
        assert await outcome(await inline.send()) == "a"
        assert await outcome(await in_thread.send()) == "a"


@pytest.mark.parametrize("scope", ["task", "worker"])
async def test_variables_of_one_in_a_thread_can_be_reset(app: AioQueue, scope: Any) -> None:
    """It is closed with those that it was opened with, whichever threads that are; and has them to itself."""
    tenant: ContextVar[str] = ContextVar("tenant", default="none")

    def session() -> Iterator[None]:
        token = tenant.set("a")
        try:
            yield
        finally:
            seen.append(tenant.get())
            tenant.reset(token)
            seen.append(tenant.get())

    class Entered:
        def __init__(self) -> None:
            self.token = tenant.set("b")

        def __enter__(self) -> None: ...

        def __exit__(self, *about: Any) -> None:
            tenant.reset(self.token)
            seen.append("reset")

    @app.task
    async def work(s: None = Depends(session, scope=scope), e: None = Depends(Entered, scope=scope)) -> str:
        return tenant.get()

    @app.task
    def plain(s: None = Depends(session, scope=scope)) -> str:
        return tenant.get()

    async with working(app):
        assert await outcome(await work.send()) == "none"
    assert seen == ["reset", "a", "none"]
    seen.clear()
    assert await work() == "none"
    assert plain() == "a"  # where there is no thread between
    assert seen == ["reset", "a", "none", "a", "none"]


async def test_where_it_is_called(app: AioQueue) -> None:
    """Plain functions may block, so they are called in threads; and know their task there."""

    def plain() -> Iterator[tuple[bool, str]]:
        yield threading.current_thread() is threading.main_thread(), current_context().name
        seen.append(threading.current_thread() is threading.main_thread())

    async def coroutine() -> bool:
        return threading.current_thread() is threading.main_thread()

    @app.task(name="work")
    async def work(p: Any = Depends(plain), c: bool = Depends(coroutine)) -> list[Any]:
        return [*p, c]

    async with working(app):
        assert await outcome(await work.send()) == [False, "work", True]
    assert seen == [False]


async def test_many_calls_in_a_message_share_what_is_opened(app: AioQueue) -> None:
    async def session() -> AsyncIterator[str]:
        seen.append("open")
        yield "s"
        seen.append("close")

    @app.task
    async def inline(x: int, s: str = Depends(session)) -> str:
        return f"{x}{s}"

    @app.task
    def in_thread(x: int, y: int, s: str = Depends(session)) -> str:
        return f"{x}{y}{s}"

    async with working(app):
        assert await outcome(await inline.map([1, 2]).send()) == ["1s", "2s"]
        assert await outcome(await in_thread.starmap([(1, 2), (3, 4)]).send()) == ["12s", "34s"]
        assert await outcome(await chunks(inline, [(1,), (2,), (3,)], 2).send()) == [["1s", "2s"], ["3s"]]
    assert seen == ["open", "close"] * 4


async def test_eager(app: AioQueue) -> None:
    app.conf.update({"task_always_eager": True})

    async def session(ctx: TaskContext) -> AsyncIterator[bool]:
        yield ctx.is_eager
        seen.append("close")

    @app.task
    async def work(x: int, s: bool = Depends(session)) -> list[Any]:
        return [x, s]

    assert await (await work.send(1)).get() == [1, True]
    assert seen == ["close"]


async def test_what_a_function_returns_is_left_alone(app: AioQueue) -> None:
    """It may be what others use: a client of the module's."""
    client = AsyncEntered()

    @app.task
    async def work(found: Any = Depends(lambda: client)) -> bool:
        return found is client

    async with working(app):
        assert await outcome(await work.send())
    assert seen == []


async def test_a_lock_is_not_held(app: AioQueue) -> None:
    @app.task
    async def work(lock: asyncio.Lock = Depends(asyncio.Lock, scope="worker")) -> bool:
        async with lock:
            return True

    async with working(app):
        assert await outcome(await work.send())
        assert await outcome(await work.send())


async def test_one_that_is_given_up_is_closed_all_the_same(app: AioQueue) -> None:
    """It ignores that it is to end; when it ends at last, so does what it depends on."""
    gate = Gate()

    async def session() -> AsyncIterator[None]:
        try:
            yield
        finally:
            seen.append("closed")

    @app.task(time_limit=0.1)
    async def stubborn(s: None = Depends(session)) -> None:
        while not gate._open.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                pass

    async with working(app):
        assert isinstance(await outcome(await stubborn.send()), TimeLimitExceeded)
        assert seen == []
        gate.open()
        await until(lambda: seen == ["closed"])
