"""A queue's own `max_length` and `full`, when more is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.apps import MakeApp
from support.waiting import A_MOMENT, PATIENCE, until

from aioqueue import Queue, group
from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.protocol import Capabilities
from aioqueue.exceptions import ConfigurationError, QueueFull

from .steps import waiting


async def test_a_queues_own_length_goes_before_the_settings(make_app: MakeApp) -> None:
    app = make_app(queue_max_length=2, task_queues=[Queue("long", max_length=3), Queue("short", max_length=1), "plain"])
    async with app:
        said = {"long": "the max_length=3 of its Queue", "short": "the max_length=1 of its Queue"}
        for queue, most in (("long", 3), ("short", 1), ("plain", 2), ("other", 2)):
            limit = said.get(queue, "its queue_max_length=2 tasks")
            for _ in range(most):
                await app.send_task("a", queue=queue)
            with pytest.raises(QueueFull, match=rf"{queue!r} is full.* fit into {limit}\. Nothing was sent") as full:
                await app.send_task("a", queue=queue)
            assert full.value.queue == queue
        assert await waiting(app) == {"long": 3, "short": 1, "plain": 2, "other": 2}


async def test_only_some_queues_have_a_bound(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("short", max_length=2)])
    calls = [app.signature("a").set(queue=queue) for queue in ("free", "short") for _ in range(2)]
    async with app:
        await app.send_many(calls)
        with pytest.raises(QueueFull, match="'short' is full"):
            await app.send_many(calls)
        await app.send_many(calls[:2])
        assert await waiting(app) == {"free": 4, "short": 2}


async def test_a_canvas_counts_its_first_tasks(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("short", max_length=2), Queue("free")], task_routes={"first": "short"})

    @app.task(name="first")
    async def first() -> None: ...

    @app.task(name="later", queue="free")
    async def later(*_: Any) -> None: ...

    async with app:
        await (group(first.si(), first.si()) | later.si()).send()
        with pytest.raises(QueueFull, match="'short' is full") as full:
            await (later.si() | first.si() | group(first.si(), first.si())).set(queue="short").send()
        assert full.value.queue == "short"
        await (later.si() | first.si()).send()
        assert await waiting(app) == {"short": 2, "free": 1}


async def test_a_topic_goes_to_all_or_none(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("free", topic="#"), Queue("short", topic="#", max_length=1)])
    async with app:
        await app.send_task("a", routing_key="x")
        for argument in (1, b"x" * 3_000_000):  # two of these are more than goes at once
            with pytest.raises(QueueFull, match="'short' is full"):
                await app.send_task("a", [argument], routing_key="x")
        assert await waiting(app) == {"free": 1, "short": 1}


async def test_where_many_are_sent_the_copies_of_a_call_stay_together(make_app: MakeApp) -> None:
    """Three copies each: 1,000 messages, which is as much as goes at once, would end within a call."""
    queues = [Queue("a", topic="#"), Queue("b", topic="#"), Queue("c", topic="#", max_length=333)]
    app = make_app(task_queues=queues)
    calls = [app.signature("t").set(routing_key="x") for _ in range(400)]
    async with app:
        with pytest.raises(QueueFull, match=r"The first 333 of the 400 tasks had been sent") as full:
            await app.send_many(calls)
        assert len(full.value.sent) == 333
        assert await waiting(app) == {"a": 333, "b": 333, "c": 333}


@pytest.mark.parametrize(("own", "setting"), [("wait", "raise"), (None, "wait")])
async def test_a_full_queue_is_waited_for(make_app: MakeApp, own: Any, setting: str) -> None:
    app = make_app(task_queues=[Queue("short", max_length=1, full=own)], queue_full=setting, send_timeout=PATIENCE)

    @app.task(queue="short")
    async def work(x: int) -> int:
        return x

    async with app:
        await work.send(1)
        sending = asyncio.ensure_future(work.send(2))
        await asyncio.wait({sending}, timeout=A_MOMENT)
        assert not sending.done()
        async with app.worker(queues=["short"]):
            assert await (await sending).get(timeout=PATIENCE) == 2


async def test_what_waits_for_its_time_needs_no_room(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("short", max_length=1)])

    @app.task(queue="short")
    async def work() -> None: ...

    later = work.s().set(countdown=3600)
    async with app:
        await work.send()
        await later.send()
        await app.send_many([later, later])
        await group(later, later).send()
        with pytest.raises(QueueFull):
            await app.send_many([later, work.s()])
        assert await waiting(app) == {"short": 6}


async def test_what_can_never_fit_is_not_waited_for(make_app: MakeApp) -> None:
    app = make_app(
        task_queues=[Queue("own", max_length=2)], queue_max_length=3, queue_full="wait", send_timeout=PATIENCE
    )

    @app.task
    async def work(x: int) -> int:
        return x

    async with app, asyncio.timeout(PATIENCE / 2):
        for queue, limit in (("own", "the max_length=2 of its Queue"), ("other", "its queue_max_length=3 tasks")):
            with pytest.raises(
                QueueFull, match=rf"^4 tasks .* {queue!r} at once, .* fit into {limit}.* Nothing was sent"
            ) as full:
                await group(work.s(x).set(queue=queue) for x in range(4)).send()
            assert full.value.queue == queue
        assert await waiting(app) == {}


async def test_many_go_into_a_short_queue_as_there_is_room(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("short", max_length=3, full="wait")], send_timeout=PATIENCE)

    @app.task(queue="short")
    async def work(x: int) -> int:
        return x

    async with app, app.worker(queues=["short"]):
        results = await app.send_many([work.s(x) for x in range(10)])
        assert [await result.get(timeout=PATIENCE) for result in results] == list(range(10))


async def test_a_queue_that_is_not_waited_for_though_others_are(make_app: MakeApp) -> None:
    app = make_app(
        task_queues=[Queue("short", max_length=1, full="raise"), Queue("patient", max_length=1)],
        queue_full="wait",
        send_timeout=PATIENCE,
    )
    async with app:
        await app.send_task("a", queue="short")
        await app.send_task("a", queue="patient")
        with pytest.raises(QueueFull, match="'short'"):
            await app.send_task("a", queue="short")
        patient = asyncio.ensure_future(app.send_task("a", queue="patient"))
        await asyncio.wait({patient}, timeout=A_MOMENT)
        assert not patient.done()
        patient.cancel()


async def test_schedules_wait_for_room(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(task_queues=[Queue("short", max_length=1)])

    @app.task(queue="short")
    async def work() -> None: ...

    async with app, app.worker(queues=["none"], beat=True):
        await work.send()
        await app.schedules.add("often", work.s(), 0.1)
        await until(lambda: "a queue is full" in caplog.text)
        assert await waiting(app) == {"short": 1}


async def test_a_broker_that_bounds_no_queues(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryBroker, "capabilities", Capabilities(bounded=False))
    from aioqueue import AioQueue

    app = AioQueue("tests", broker="memory://", task_queues=["a", Queue("b", max_length=5)])
    with pytest.raises(ConfigurationError, match=r"Queue\('b', max_length=5\): .* cannot bound its queues"):
        await app.open()


@pytest.mark.parametrize("kind", ["task", "canvas"])
async def test_what_runs_where_it_is_sent_finds_a_full_queue_too(make_app: MakeApp, kind: str) -> None:
    app = make_app(task_always_eager=True, queue_max_length=1)

    @app.task
    async def inner() -> int:
        return 1

    @app.task
    async def outer() -> str:
        try:
            await (inner.send() if kind == "task" else (inner.si() | inner.si()).send())
        except QueueFull as error:
            return error.queue
        return "there was room"

    async with app:
        assert await (await inner.send()).get() == 1
        assert await (await outer.send()).get() == "default", "it runs, and so it is in the queue"
