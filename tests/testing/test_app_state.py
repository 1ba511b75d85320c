"""The app is what it was when the test ends, however it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from aioqueue import AioQueue, TaskContext
from aioqueue.exceptions import AioQueueError


def state(app: AioQueue) -> list[Any]:
    return [app._connections, app.lifespan, app.conf.task_always_eager, list(app.observers)]


def make_app(events: list[str] | None = None) -> AioQueue:
    events = [] if events is None else events

    @asynccontextmanager
    async def lifespan(app: AioQueue) -> AsyncIterator[dict[str, int]]:
        events.append("in")
        async with asyncio.timeout(60):  # has to be left in the task that entered it
            yield {"number": 7}
        events.append("out")

    app = AioQueue("shop", broker="memory://", lifespan=lifespan, task_always_eager=True)

    @app.task(bind=True, name="number")
    async def number(ctx: TaskContext) -> int:
        return ctx.state["number"]

    return app


async def test_it_is_restored_after_an_error(kind: str) -> None:
    app = make_app()
    before = state(app)
    with pytest.raises(ZeroDivisionError):
        async with app.testing(broker=kind) as t:
            await app.tasks["number"].send()
            await t.drain()
            raise ZeroDivisionError
    assert state(app) == before


async def test_it_is_restored_when_the_broker_cannot_be_had() -> None:
    app = make_app()
    before = state(app)
    with pytest.raises(AioQueueError):
        async with app.testing(broker="redis://127.0.0.1:1"):
            pass
    assert state(app) == before


async def test_the_lifespan_is_entered_once(kind: str) -> None:
    events: list[str] = []
    app = make_app(events)
    async with app.testing(broker=kind):
        pass
    assert events == []
    async with app.testing(broker=kind) as t:
        for _ in range(3):
            assert await t.run(app.tasks["number"]) == 7
        async with app.worker():
            assert await (await app.tasks["number"].send()) == 7
        # From another task than the one that entered it.
        await asyncio.create_task(t.drain())
        assert events == ["in"]
    assert events == ["in", "out"]


async def test_a_lifespan_that_fails_says_so() -> None:
    @asynccontextmanager
    async def lifespan(app: AioQueue) -> AsyncIterator[None]:
        raise ConnectionError("no database")
        yield

    app = AioQueue("shop", lifespan=lifespan)
    async with app.testing() as t:
        for _ in range(2):
            with pytest.raises(ConnectionError, match="no database"):
                await t.drain()


async def test_tests_nest(kind: str) -> None:
    app = make_app()
    task = app.tasks["number"]
    before = state(app)
    async with app.testing(broker=kind) as outer:
        first = await task.send()
        async with app.testing(broker=kind) as inner:
            await task.send()
            assert len(inner.sent()) == len(outer.sent()) == 1
            with pytest.raises(AioQueueError, match="is still open"):
                await outer.drain()
            await inner.drain()
            assert not await app.result(first.id).ready()
        await outer.drain()
        assert await first == 7
    assert state(app) == before


async def test_tests_that_overlap_leave_the_app_whole() -> None:
    app = make_app()
    before = state(app)
    one, two = app.testing(), app.testing()
    await one.__aenter__()
    await two.__aenter__()
    await one.__aexit__(None, None, None)
    assert await two.run(app.tasks["number"]) == 7
    await two.__aexit__(None, None, None)
    assert state(app) == before


async def test_apps_can_be_tested_at_the_same_time(kind: str) -> None:
    async def one() -> None:
        app = make_app()
        async with app.testing(broker=kind) as t:
            for _ in range(5):
                assert await t.run(app.tasks["number"]) == 7
            assert len(t.sent()) == 5

    await asyncio.gather(*[one() for _ in range(5)])


async def test_one_after_another_and_not_twice() -> None:
    app = make_app()
    t = app.testing()
    for _ in range(2):
        async with t:
            assert t.sent() == []
            await app.tasks["number"].send()
            with pytest.raises(AioQueueError, match="in use"):
                await t.__aenter__()
            await t.drain()


async def test_an_open_app_stays_open() -> None:
    app = make_app()
    app.conf.task_always_eager = False
    async with app:
        result = await app.tasks["number"].send()
        async with app.testing() as t:
            await t.drain()
            async with app:
                await app.tasks["number"].send()
            await t.drain()
        assert [status.waiting for status in await (await app.broker()).queues()] == [1]
        assert await result.state() == "SENT"


async def test_a_server_is_left_as_it_was(redis_url: str) -> None:
    app = make_app()
    with redis.Redis.from_url(redis_url) as client:
        client.set("mine", "1")
        async with app.testing(broker=redis_url) as t:
            await app.tasks["number"].options(countdown=60).send()
            await t.run(app.tasks["number"])
            assert client.dbsize() > 1
        assert client.keys("*") == [b"mine"]


async def test_threads_and_their_event_loops_may_send(kind: str) -> None:
    app = make_app()
    task = app.tasks["number"]
    async with app.testing(broker=kind) as t:

        def blocking() -> str:
            return task.sync.send().id

        ids = await asyncio.gather(*[asyncio.to_thread(blocking) for _ in range(20)])
        # While this event loop is blocked: what a TestClient does.
        thread = threading.Thread(target=lambda: ids.append(asyncio.run(task.send()).id))
        thread.start()
        await asyncio.to_thread(lambda: None)
        thread.join(10)
        assert len(ids) == 21
        await t.drain()
        assert [await app.result(id) for id in ids] == [7] * 21
        assert {sent.id for sent in t.sent()} == set(ids)


def test_the_plugin_costs_little() -> None:
    import subprocess
    import sys

    code = (
        "import sys, aioqueue.testing.plugin; print([m for m in sys.modules if m.startswith(('aioqueue.', 'redis'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == str(["aioqueue._version", "aioqueue.testing", "aioqueue.testing.plugin"])
