"""Dependencies of the scope "worker": one for a worker process, from the first task that needs it to the stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from support.apps import Gate, outcome, working
from support.waiting import until

from aioqueue import AioQueue, Depends, group
from aioqueue.context import current
from aioqueue.exceptions import TimeLimitExceeded

seen: list[Any] = []


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """Nothing is seen of the test before."""
    seen.clear()


async def test_made_once_and_closed_after_the_last_task(app: AioQueue) -> None:
    """Also by tasks that ask at the same moment, and by different tasks; what needs others is closed before them."""
    gate, running = Gate(), Gate()

    def settings() -> Iterator[str]:
        seen.append("settings open")
        yield "settings"
        seen.append("settings close")

    async def pool(s: str = Depends(settings, scope="worker")) -> AsyncIterator[str]:
        seen.append("pool opens")
        await gate.wait("pool")
        yield f"pool of {s}"
        seen.append("pool closes")

    async def session(p: str = Depends(pool, scope="worker")) -> AsyncIterator[str]:
        yield p
        seen.append("session closes")

    @app.task
    async def one(p: str = Depends(pool, scope="worker")) -> str:
        return p

    @app.task
    def other(s: str = Depends(session)) -> str:
        return s

    @app.task
    async def last(s: str = Depends(session)) -> None:
        await running.wait("last")

    async with working(app) as worker:
        results = [*[await one.send() for _ in range(5)], *[await other.send() for _ in range(5)]]
        await until(lambda: gate.came == ["pool"])
        await until(
            lambda: worker.incarnation and worker.incarnation.runner and len(worker.incarnation.runner.running) == 10
        )
        gate.open()
        assert {await outcome(result) for result in results} == {"pool of settings"}
        assert seen == ["settings open", "pool opens", *["session closes"] * 5]
        await last.send()
        await until(lambda: running.came == ["last"])
        worker.stop()
        await asyncio.sleep(0)
        assert "pool closes" not in seen
        running.open()
    assert seen[-3:] == ["session closes", "pool closes", "settings close"]
    assert seen.count("pool opens") == 1


async def test_each_worker_has_its_own(app: AioQueue) -> None:
    made = iter(range(10))

    async def pool() -> int:
        return next(made)

    @app.task
    async def work(p: int = Depends(pool, scope="worker")) -> int:
        return p

    async with working(app):
        assert await outcome(await work.send()) == 0
        assert await outcome(await work.send()) == 0
    async with working(app):
        assert await outcome(await work.send()) == 1


async def test_a_failing_one_is_tried_again_by_the_next_task(app: AioQueue) -> None:
    tries = iter(range(10))
    gate = Gate()

    async def pool() -> str:
        number = next(tries)
        if number == 0:
            await gate.wait("pool")
        if number < 2:
            raise ConnectionError(number)
        return "pool"

    @app.task
    async def work(p: str = Depends(pool, scope="worker")) -> str:
        return p

    async with working(app) as worker:
        results = [await work.send() for _ in range(3)]
        await until(
            lambda: worker.incarnation and worker.incarnation.runner and len(worker.incarnation.runner.running) == 3
        )
        gate.open()
        errors = [await outcome(result) for result in results]
        assert [error.args for error in errors] == [(0,)] * 3, "all that waited for it"
        assert (await outcome(await work.send())).args == (1,)
        assert await outcome(await work.send()) == "pool"
        assert await outcome(await work.send()) == "pool"


async def test_one_that_raises_what_is_no_exception(app: AioQueue) -> None:
    async def leaves() -> None:
        raise SystemExit(3)

    async def cancelled() -> None:
        raise asyncio.CancelledError

    def stops() -> None:
        raise StopIteration

    @app.task
    async def a(x: None = Depends(leaves, scope="worker")) -> None: ...
    @app.task
    async def b(x: None = Depends(cancelled, scope="worker")) -> None: ...
    @app.task
    async def c(x: None = Depends(stops, scope="worker")) -> None: ...

    async with working(app):
        assert "SystemExit" in repr(await outcome(await a.send()))
        assert "could not be opened: CancelledError" in str(await outcome(await b.send()))
        assert "StopIteration" in str(await outcome(await c.send()))


async def test_the_end_of_a_task_that_waits_for_it_is_not_its_own(app: AioQueue) -> None:
    gate = Gate()

    async def pool() -> AsyncIterator[str]:
        await gate.wait("pool")
        yield "pool"

    @app.task(time_limit=0.1)
    async def short(p: str = Depends(pool, scope="worker")) -> str:
        return p

    @app.task
    async def patient(p: str = Depends(pool, scope="worker")) -> str:
        return p

    async with working(app):
        result = await short.send()
        await until(lambda: gate.came == ["pool"])
        other = await patient.send()
        assert isinstance(await outcome(result), TimeLimitExceeded)
        gate.open()
        assert await outcome(other) == "pool"
    assert gate.came == ["pool"]


async def test_opened_and_closed_in_one_asyncio_task(app: AioQueue) -> None:
    """As anyio wants it, and with nothing of the task that asked first."""
    of_task: ContextVar[str] = ContextVar("of_task", default="nothing")

    async def tenant() -> None:
        of_task.set("tenant")

    async def pool() -> AsyncIterator[list[Any]]:
        found = [of_task.get(), current.get()]
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            yield found
            group.cancel_scope.cancel()
        seen.append("closed")

    @app.task
    async def work(t: None = Depends(tenant), p: list[Any] = Depends(pool, scope="worker")) -> list[Any]:
        return [*p, of_task.get()]

    async with working(app):
        results = [await work.send() for _ in range(3)]
        assert [await outcome(result) for result in results] == [["nothing", None, "tenant"]] * 3
    assert seen == ["closed"]


async def test_one_that_ends_by_itself_is_opened_again(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    made = iter(range(10))
    fail = asyncio.Event()

    async def fails() -> None:
        await fail.wait()
        raise ConnectionError("the pool is gone")

    async def pool() -> AsyncIterator[int]:
        number = next(made)
        async with anyio.create_task_group() as group:
            if number == 0:
                group.start_soon(fails)
            yield number
            group.cancel_scope.cancel()

    @app.task
    async def work(p: int = Depends(pool, scope="worker")) -> int:
        return p

    async with working(app):
        assert await outcome(await work.send()) == 0
        fail.set()
        await until(lambda: "has ended by itself" in caplog.text)
        await until(lambda: "the pool is gone" in caplog.text)
        assert await outcome(await work.send()) == 1


async def test_what_is_open_upon_one_that_ends_is_opened_again_too(app: AioQueue) -> None:
    breaks = asyncio.Event()
    made = iter(range(10))

    async def break_() -> None:
        await breaks.wait()
        raise ConnectionError

    async def pool() -> AsyncIterator[int]:
        number = next(made)
        async with asyncio.TaskGroup() as tasks:
            if number == 0:
                tasks.create_task(break_())
            try:
                yield number
            finally:
                seen.append(f"pool {number} closes")

    async def client(p: int = Depends(pool, scope="worker")) -> AsyncIterator[int]:
        yield p
        seen.append(f"client of {p} closes")

    async def service(c: int = Depends(client, scope="worker")) -> AsyncIterator[int]:
        yield c
        seen.append(f"service of {c} closes")

    @app.task
    async def work(s: int = Depends(service, scope="worker"), p: int = Depends(pool, scope="worker")) -> list[int]:
        return [s, p]

    async with working(app):
        assert await outcome(await work.send()) == [0, 0]
        breaks.set()
        await until(lambda: len(seen) == 3)
        assert seen == ["service of 0 closes", "client of 0 closes", "pool 0 closes"]
        assert await outcome(await work.send()) == [1, 1]
        assert await outcome(await work.send()) == [1, 1]
    assert seen[3:] == ["service of 1 closes", "client of 1 closes", "pool 1 closes"]


async def test_one_that_fails_as_it_is_closed(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    """It is told, the others are closed, and the worker stops well."""

    async def first() -> AsyncIterator[None]:
        yield
        seen.append("closed")

    def second(f: None = Depends(first, scope="worker")) -> Iterator[None]:
        yield
        raise RuntimeError("cannot be closed")

    @app.task
    async def work(s: None = Depends(second, scope="worker")) -> None: ...

    async with working(app) as worker:
        await outcome(await work.send())
    assert seen == ["closed"]
    assert worker._background is not None
    assert worker._background.result() == 0
    assert "The dependency second of the worker failed as it was closed" in caplog.text.replace(
        "test_one_that_fails_as_it_is_closed.<locals>.", ""
    )
    assert "cannot be closed" in caplog.text


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_one_that_does_not_close_does_not_keep_the_worker(
    app: AioQueue, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    gate = Gate()

    async def stubborn() -> AsyncIterator[None]:
        yield
        await gate.wait("closing")

    def blocking() -> Iterator[None]:
        yield
        gate.block("closing")

    function = stubborn if kind == "async" else blocking

    @app.task
    async def work(s: None = Depends(function, scope="worker")) -> None: ...

    async with working(app, shutdown_timeout=0.1):
        await outcome(await work.send())
    assert gate.came == ["closing"]
    assert "are not closed" in caplog.text
    gate.open()


async def test_in_a_thread_task_and_a_canvas(app: AioQueue) -> None:
    async def pool() -> AsyncIterator[list[str]]:
        yield []

    @app.task
    def work(x: int, p: list[str] = Depends(pool, scope="worker")) -> tuple[int, str]:
        p.append(threading.current_thread().name)
        return len(p), p[-1]

    async with working(app):
        results = await outcome(await group(work.s(i) for i in range(4)).send())
    assert sorted(count for count, _ in results) == [1, 2, 3, 4]
    assert all("aioqueue-task" in name for _, name in results)


async def test_the_same_function_in_both_scopes(app: AioQueue) -> None:
    made = iter(range(10))

    def number() -> int:
        return next(made)

    @app.task
    async def work(a: int = Depends(number, scope="worker"), b: int = Depends(number)) -> list[int]:
        return [a, b]

    async with working(app):
        assert await outcome(await work.send()) == [0, 1]
        assert await outcome(await work.send()) == [0, 2]
