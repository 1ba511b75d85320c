"""Other functions in the place of dependencies, in tests and elsewhere; and tasks that are called as functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from support.apps import Gate, outcome, working
from support.waiting import until

from aioqueue import AioQueue, Depends, Task, TaskContext, current_context
from aioqueue.exceptions import AioQueueError, ConfigurationError

seen: list[Any] = []


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """Nothing is seen of the test before."""
    seen.clear()


async def pool() -> AsyncIterator[str]:
    seen.append("pool opens")
    yield "pool"
    seen.append("pool closes")


async def session(p: str = Depends(pool, scope="worker")) -> AsyncIterator[str]:
    seen.append("session opens")
    yield f"session of {p}"
    seen.append("session closes")


class Tasks:
    """Tasks of an app that depend on these."""

    def __init__(self, app: AioQueue) -> None:
        @app.task
        async def charge(order: int, s: str = Depends(session)) -> str:
            return f"{order} with {s}"

        @app.task
        def pooled(p: str = Depends(pool, scope="worker")) -> str:
            return p

        self.charge, self.pooled = charge, pooled


@pytest.fixture
def tasks(app: AioQueue) -> Tasks:
    return Tasks(app)


async def test_overridden_for_a_while(app: AioQueue, tasks: Tasks) -> None:
    async def fake(ctx: TaskContext) -> AsyncIterator[str]:
        yield f"fake in {ctx.name.rpartition('.')[2]}"
        seen.append("fake closes")

    async with working(app):
        with app.override(session, fake):
            assert await outcome(await tasks.charge.send(1)) == "1 with fake in charge"
            with app.override(session, lambda: "inner"):
                assert await outcome(await tasks.charge.send(2)) == "2 with inner"
            assert await outcome(await tasks.charge.send(3)) == "3 with fake in charge"
        assert seen == ["fake closes"] * 2
        assert await outcome(await tasks.charge.send(4)) == "4 with session of pool"


async def test_what_others_need_is_overridden_for_them(app: AioQueue, tasks: Tasks) -> None:
    """Also what the worker shares: the real one that is open already is left alone."""
    async with working(app):
        assert await outcome(await tasks.charge.send(1)) == "1 with session of pool"
        with app.override(pool, lambda: "fake"):
            assert await outcome(await tasks.charge.send(2)) == "2 with session of fake"
            assert await outcome(await tasks.pooled.send()) == "fake"
        assert await outcome(await tasks.charge.send(3)) == "3 with session of pool"
    assert seen.count("pool opens") == 1


async def test_one_that_is_needed_by_what_the_worker_shares(app: AioQueue) -> None:
    """What was made of the real one is not used then."""

    async def client(p: str = Depends(pool, scope="worker")) -> str:
        return f"client of {p}"

    @app.task
    async def work(c: str = Depends(client, scope="worker")) -> str:
        return c

    async with working(app):
        assert await outcome(await work.send()) == "client of pool"
        with app.override(pool, lambda: "fake"):
            assert await outcome(await work.send()) == "client of fake"
        assert await outcome(await work.send()) == "client of pool"


async def test_a_run_goes_on_as_it_began(app: AioQueue) -> None:
    gate = Gate()

    async def real() -> AsyncIterator[str]:
        yield "real"
        seen.append("real closes")

    @app.task
    async def work(r: str = Depends(real)) -> str:
        await gate.wait("work")
        return r

    async with working(app):
        result = await work.send()
        await until(lambda: gate.came == ["work"])
        with app.override(real, lambda: "fake"):
            gate.open()
            assert await outcome(result) == "real"
            assert seen == ["real closes"]


def test_what_no_task_depends_on(app: AioQueue, tasks: Tasks, caplog: pytest.LogCaptureFixture) -> None:
    """It is overridden all the same, for tasks may be made in the meantime; but it is told."""

    async def sessions() -> str:
        return "another one's"

    async def needs(s: str = Depends(sessions)) -> str:
        return s

    with app.override(session, lambda: "fake"), app.override(pool, lambda: "fake"):
        assert caplog.text == ""
    with app.override(session, needs), app.override(sessions, lambda: "fake"):
        assert caplog.text == ""
    with app.override(sessions, lambda: "fake"):
        assert f"depends on {__name__}.sessions, which is overridden. Did you mean '{__name__}.session'?" in caplog.text


@pytest.mark.parametrize("scope", ["task", "worker"])
async def test_generators_that_yield_nothing_or_twice(scope: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def nothing() -> AsyncIterator[None]:
        if seen:
            yield

    def twice() -> Iterator[None]:
        yield
        yield

    app = AioQueue("tests", broker="memory://")

    @app.task
    async def first(n: None = Depends(nothing, scope=scope)) -> None: ...

    @app.task
    async def second(t: None = Depends(twice, scope=scope)) -> None: ...

    async with working(app):
        assert "The dependency nothing yielded nothing." in str(await outcome(await first.send()))
        ended = await outcome(await second.send())
        assert scope == "worker" or isinstance(ended, ConfigurationError)
    assert "The dependency twice yielded a second time." in (caplog.text if scope == "worker" else str(ended))


async def test_a_task_that_is_made_in_the_meantime(app: AioQueue) -> None:
    with app.override(session, lambda: "fake"):
        tasks = Tasks(app)
        async with working(app):
            assert await outcome(await tasks.charge.send(1)) == "1 with fake"


def test_what_cannot_be_opened(app: AioQueue, tasks: Tasks) -> None:
    async def wraps(s: str = Depends(session)) -> str:
        return s

    async def of_task(ctx: TaskContext) -> str:
        return ctx.id

    with pytest.raises(ConfigurationError, match=r"in a circle: .*wraps, which needs .*wraps.*Nothing is overridden"):
        app.override(session, wraps).begin()
    with (
        pytest.raises(ConfigurationError, match=r"of_task has the scope 'worker'.*Nothing is overridden"),
        app.override(pool, of_task),
    ):
        pass
    with pytest.raises(ConfigurationError, match=r"override\('fake'\): that cannot be called.*lambda"):
        app.override(session, "fake")  # type: ignore[arg-type]
    assert app.overrides == []


def test_two_that_end_in_another_order(app: AioQueue, tasks: Tasks) -> None:
    one, other = app.override(session, lambda: "one"), app.override(session, lambda: "other")
    one.begin()
    other.begin()
    one.end()
    assert asyncio.run(tasks.charge(1)) == "1 with other"
    other.end()
    other.end()
    assert asyncio.run(tasks.charge(1)) == "1 with session of pool"


async def test_in_a_test(app: AioQueue, tasks: Tasks) -> None:
    async with app.testing() as t:
        t.override(session, lambda: "fake")
        assert await t.run(tasks.charge, 1) == "1 with fake"
        with t.override(session, lambda: "other"):
            assert await t.run(tasks.charge, 1) == "1 with other"
        assert await t.run(tasks.charge, 1) == "1 with fake"
        result = await tasks.charge.send(2)
        await t.drain()
        assert await result.get() == "2 with fake"
    async with app.testing() as u:
        assert await u.run(tasks.charge, 1) == "1 with session of pool"
    with pytest.raises(AioQueueError, match="not open"):
        t.override(session, lambda: "fake")


async def test_a_test_is_one_worker(app: AioQueue, tasks: Tasks) -> None:
    """Each run has a worker of its own there; what a worker shares is open as long as the test."""
    async with app.testing() as t:
        await t.run(tasks.charge, 1)
        await t.run(tasks.pooled)
        await tasks.charge.send(2)
        await t.drain()
        assert seen == ["pool opens", *["session opens", "session closes"] * 2]
        async with app.testing() as inner:
            await inner.run(tasks.pooled)
            assert seen.count("pool opens") == 2
        await t.run(tasks.pooled)
        assert seen.count("pool closes") == 1
    assert seen.count("pool closes") == 2
    assert app.scope is None


async def test_ordered_failures_are_told(app: AioQueue) -> None:
    async def hears() -> AsyncIterator[None]:
        try:
            yield
        except ConnectionError as error:
            seen.append(error.args)
            raise

    @app.task(autoretry_for=ConnectionError, default_retry_delay=0, max_retries=2)
    async def work(h: None = Depends(hears)) -> int:
        return current_context().retries

    async with app.testing() as t:
        t.fail_next(work, ConnectionError("as ordered"), times=2)
        assert await t.run(work) == 2
    assert seen == [("as ordered",)] * 2


# Called as a function


async def test_called_as_a_function(app: AioQueue, tasks: Tasks) -> None:
    """What is not given is opened for the call, and closed after it; nobody shares it outside of a worker."""
    assert await tasks.charge(1) == "1 with session of pool"
    assert seen == ["pool opens", "session opens", "session closes", "pool closes"]
    seen.clear()
    assert await tasks.charge(1, "mine") == "1 with mine"
    assert await tasks.charge(1, s="mine") == "1 with mine"
    assert seen == []
    with app.override(session, lambda: "fake"):
        assert await tasks.charge(1) == "1 with fake"


async def test_a_call_that_fails(app: AioQueue) -> None:
    async def hears() -> AsyncIterator[None]:
        try:
            yield
        except KeyError as error:
            seen.append(error.args)
            raise

    @app.task
    async def work(order: int, h: None = Depends(hears)) -> None:
        raise KeyError(order)

    with pytest.raises(KeyError):
        await work(1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'order'"):
        await work()  # type: ignore[call-arg]
    assert seen == [(1,)]


def test_a_plain_function_called(app: AioQueue) -> None:
    """Where it is called: also what it depends on."""

    def local() -> Iterator[str]:
        yield threading.current_thread().name
        seen.append("closed")

    @app.task(bind=True, name="name")
    def name(ctx: TaskContext, order: int, l: str = Depends(local, scope="worker")) -> list[Any]:  # noqa: E741
        return [ctx.name, order, l]

    @app.task(name="charged")
    def charged(order: int, s: str = Depends(session)) -> str:
        return s

    assert name(1) == ["name", 1, threading.current_thread().name]
    assert seen == ["closed"]
    assert charged(1, "mine") == "mine"
    with pytest.raises(ConfigurationError, match=r"charged is a plain function.*its dependency (session|pool)"):
        charged(1)
    with app.override(session, lambda: "fake"):
        assert charged(1) == "fake"


async def test_called_by_another_task(app: AioQueue, tasks: Tasks) -> None:
    """It is part of that one's run; what its worker shares is shared."""

    @app.task
    async def outer(p: str = Depends(pool, scope="worker")) -> str:
        return await tasks.charge(5)

    async with working(app):
        assert await outcome(await outer.send()) == "5 with session of pool"
        assert seen == ["pool opens", "session opens", "session closes"]


async def test_tasks_of_a_class(app: AioQueue) -> None:
    """Whose body is a method, or whose class does something around each call."""

    class Charge(Task[..., Any]):
        name = "charge"

        async def run(self, order: int, p: str = Depends(pool)) -> str:
            return f"{order} with {p}"

    class Around(Task[..., Any]):
        async def __call__(self, *args: Any, **kwargs: Any) -> Any:
            seen.append("called")
            return await self.run(*args, **kwargs)

    @app.task(base=Around, bind=True)
    async def around(ctx: TaskContext, order: int, p: str = Depends(pool)) -> str:
        return f"{order} with {p}"

    charge = app.register_task(Charge)
    async with working(app):
        assert await outcome(await charge.send(1)) == "1 with pool"
        assert await outcome(await around.send(1)) == "1 with pool"
    assert seen == ["pool opens", "pool closes", "pool opens", "called", "pool closes"]
    seen.clear()
    assert await charge(1) == "1 with pool"
    assert await charge(1, p="mine") == "1 with mine"
    assert await around(1) == "1 with pool"
    assert seen == ["pool opens", "pool closes", "called", "pool opens", "pool closes"]
