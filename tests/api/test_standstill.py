"""Tasks that wait for tasks, in a worker that has no slot left: it says so, once, and only then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.apps import Gate, MakeApp, is_empty, working
from support.waiting import until

from aioqueue import AioQueue, Queue, Worker, group
from aioqueue.worker import standstill

Warnings = Callable[[], list[str]]

# How a parent waits for a child: the children are `child`, which returns its argument.
WAYS = ["call", "get", "await", "get by id", "gather", "group", "group by id", "as_completed", "watch", "chain", "poll"]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker looks soon."""
    monkeypatch.setattr(standstill, "_A_WHILE", 0.05)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Warnings:
    """What workers have said of standing still."""
    caplog.set_level(logging.WARNING, "aioqueue")
    return lambda: [text for one in caplog.records if "stands still" in (text := one.getMessage())]


@pytest.fixture
def child(app: AioQueue) -> Any:
    @app.task(name="child")
    async def child(x: int) -> int:
        return x

    return child


async def waited(app: AioQueue, child: Any, way: str) -> Any:
    """What a parent does."""
    if way == "call":
        return await child.call(1)
    if way == "get":
        return await (await child.send(1)).get(timeout=60)
    if way == "await":
        return await (await child.send(1))
    if way == "get by id":
        return await app.result((await child.send(1)).id).get()
    if way == "gather":
        return await asyncio.gather(*[child.call(1) for _ in range(3)])
    if way == "group":
        return await group(child.s(1) for _ in range(3)).call()
    if way == "group by id":
        return await app.result((await group(child.s(1) for _ in range(3)).send()).id).get()
    if way == "as_completed":
        return [one async for one in (await group(child.s(1) for _ in range(3)).send()).as_completed()]
    if way == "watch":
        return [info.state async for info in (await child.send(1)).watch()]
    if way == "chain":
        return await (child.s(1) | child.s()).call()
    result = await child.send(1)
    while True:
        try:
            return await result.get(timeout=0.2)
        except TimeoutError:
            continue


@asynccontextmanager
async def stuck(app: AioQueue, *parents: Any, **options: Any) -> AsyncIterator[Worker]:
    """A worker that finds these parents in its queue; and a second one in the end, so that all can end."""
    for parent in parents:
        await parent.send()
    async with working(app, **{"concurrency": 2, "shutdown_timeout": 5.0, **options}) as worker:
        try:
            yield worker
        finally:
            async with app.worker(concurrency=100):
                await until(lambda: is_empty(app))


@pytest.mark.parametrize("way", WAYS)
async def test_parents_on_all_slots_are_told_of_once(app: AioQueue, child: Any, warnings: Warnings, way: str) -> None:
    @app.task(name="one.parent")
    async def one() -> None:
        await waited(app, child, way)

    @app.task(name="another.parent")
    async def another() -> None:
        await waited(app, child, way)

    async with app, stuck(app, one, another) as worker:
        await until(warnings)
        await asyncio.sleep(0.3)
        [text] = warnings()
        assert worker.hostname in text
        assert "all of its 2 slots" in text
        assert "another.parent, one.parent" in text
        assert "canvas" in text and "a queue of their own" in text
    assert len(warnings()) == 1


@pytest.mark.parametrize("way", ["call", "get", "group", "as_completed", "watch"])
async def test_threads(app: AioQueue, child: Any, warnings: Warnings, way: str) -> None:
    @app.task(name="parent")
    def parent() -> None:
        if way == "call":
            child.sync.call(1)
        elif way == "get":
            child.sync.send(1).get()
        elif way == "watch":
            list(child.sync.send(1).watch())
        else:
            result = group(child.s(1) for _ in range(3)).sync.send()
            result.get() if way == "group" else list(result.as_completed())

    async with app, stuck(app, parent, parent):
        await until(warnings)
        [text] = warnings()
        assert "parent (2)" in text
    await asyncio.to_thread(app.portal.close)


async def test_behind_a_backlog_of_parents(make_app: MakeApp, warnings: Warnings) -> None:
    app = make_app(worker_prefetch=0)

    @app.task
    async def child() -> None: ...

    @app.task(name="parent")
    async def parent() -> None:
        await child.call()

    async with app, stuck(app, *[parent] * 40, concurrency=1):
        await until(warnings)


async def test_two_workers_that_wait_for_each_other(app: AioQueue, child: Any, warnings: Warnings) -> None:
    @app.task(name="parent")
    async def parent() -> None:
        await child.call(1)

    async with app, stuck(app, parent, parent, concurrency=1, hostname="a"), app.worker(concurrency=1, hostname="b"):
        await until(lambda: len(warnings()) == 2)
        assert {text.split()[1] for text in warnings()} == {"a", "b"}
        async with app.worker():
            await until(lambda: is_empty(app))


async def test_a_child_that_waits_itself(app: AioQueue, child: Any, warnings: Warnings) -> None:
    @app.task(name="middle")
    async def middle() -> None:
        await child.call(1)

    @app.task(name="parent")
    async def parent() -> None:
        await middle.call()

    async with app, stuck(app, parent):
        await until(warnings)
        [text] = warnings()
        assert "middle, parent" in text


async def test_a_queue_of_which_only_so_many_may_run(make_app: MakeApp, warnings: Warnings) -> None:
    app = make_app(task_queues=[Queue("narrow", concurrency=2)])

    @app.task(queue="narrow")
    async def child() -> None: ...

    @app.task(name="parent", queue="narrow")
    async def parent() -> None:
        await child.call()

    async with app:
        for _ in range(2):
            await parent.send()
        async with app.worker(concurrency=5, shutdown_timeout=5.0):
            await until(warnings)
            [text] = warnings()
            assert "stands still in the queue 'narrow': all 2 that" in text and "queued there: parent (2)" in text
            async with app.worker(queues=["narrow"]):
                await until(lambda: is_empty(app, "narrow"))


# When nothing is said


async def quiet(app: AioQueue, warnings: Warnings) -> None:
    """A worker that looks would have looked."""
    await asyncio.sleep(0.5)
    assert warnings() == []


async def test_not_of_parents_whose_child_runs(app: AioQueue, gate: Gate, warnings: Warnings) -> None:
    @app.task
    async def held() -> None:
        await gate.wait()

    @app.task
    async def parent() -> None:
        await held.call()

    async with working(app, concurrency=2):
        first = await parent.send()
        await until(lambda: gate.came)
        second = await parent.send()
        await quiet(app, warnings)
        gate.open()
        await first
        await second


async def test_not_while_there_are_free_slots(app: AioQueue, gate: Gate, warnings: Warnings) -> None:
    @app.task
    async def held() -> None:
        await gate.wait()

    @app.task
    async def parent() -> None:
        await held.call()

    async with working(app, concurrency=5):
        sent = [await parent.send() for _ in range(2)]
        await until(lambda: len(gate.came) == 2)
        await quiet(app, warnings)
        gate.open()
        for one in sent:
            await one


@pytest.mark.parametrize("backlog", [False, True])
async def test_not_of_a_child_that_runs_in_another_worker(
    app: AioQueue, gate: Gate, warnings: Warnings, backlog: bool
) -> None:
    @app.task(queue="children")
    async def held() -> None:
        await gate.wait()

    @app.task
    async def parent() -> None:
        await held.call()

    async with working(app, concurrency=2, queues=["default"]), app.worker(queues=["children"], concurrency=10):
        sent = [await parent.send() for _ in range(6 if backlog else 2)]
        await until(lambda: len(gate.came) == 2)
        await quiet(app, warnings)
        gate.open()
        for one in sent:
            await one


async def test_not_when_one_of_them_will_go_on(app: AioQueue, child: Any, gate: Gate, warnings: Warnings) -> None:
    @app.task(queue="children")
    async def held() -> None:
        await gate.wait()

    @app.task
    async def parent(lucky: bool) -> None:
        await (held.call() if lucky else child.call(1))

    async with working(app, concurrency=2, queues=["default"]), app.worker(queues=["children"]):
        sent = [await parent.send(True), await parent.send(False)]
        await until(lambda: gate.came)
        await quiet(app, warnings)
        gate.open()
        for one in sent:
            await one


async def test_not_of_a_full_queue_whose_tasks_wait_for_others(
    make_app: MakeApp, gate: Gate, warnings: Warnings
) -> None:
    """What they wait for waits as well, but in another queue, and its turn comes."""
    app = make_app(task_queues=[Queue("narrow", concurrency=1)])

    @app.task
    async def held() -> None:
        await gate.wait()

    @app.task(queue="narrow")
    async def parent() -> None:
        await held.call()

    async with working(app, concurrency=2):
        first = await held.send()
        await until(lambda: gate.came)
        second = await parent.send()
        await quiet(app, warnings)
        gate.open()
        await first
        await second


async def test_not_of_tasks_that_wait_for_nothing(
    app: AioQueue, gate: Gate, warnings: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks: list[Any] = []
    monkeypatch.setattr(standstill.Standstill, "mark", lambda *arguments: marks.append(arguments))

    @app.task
    async def held() -> None:
        await gate.wait()

    async with working(app, concurrency=2):
        sent = [await held.send() for _ in range(4)]
        await quiet(app, warnings)
        gate.open()
        for one in sent:
            await one
        assert marks == []
