"""What is told of workers, schedulers and schedules; and what is around a worker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.apps import working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Middleware, Worker, chain, every
from aioqueue.around.events import BeatEvent, ScheduleEvent, TaskEvent, WorkerEvent
from aioqueue.around.middleware import Next
from aioqueue.exceptions import ConfigurationError

MOMENTS = ("worker_init", "worker_process_init", "worker_ready", "worker_shutting_down", "worker_shutdown")


async def test_the_moments_of_a_worker(app: AioQueue) -> None:
    events: list[WorkerEvent] = []
    for name in MOMENTS:
        app.on(name)(events.append)
    async with app, app.worker(hostname="here", queues=["a", "b"], concurrency=3):
        await until(lambda: len(events) == 3)
    assert tuple(event.name for event in events) == MOMENTS
    assert {(event.worker, event.app, event.queues, event.concurrency) for event in events} == {
        ("here", "tests", ("a", "b"), 3)
    }


async def test_a_handler_of_a_worker_that_fails_or_hangs(make_app: Any, caplog: pytest.LogCaptureFixture) -> None:
    app: AioQueue = make_app(signal_timeout=0.05)

    @app.task
    async def work() -> int:
        return 1

    async def fails(event: WorkerEvent) -> None:
        raise ValueError("in the handler")

    async def hangs(event: WorkerEvent) -> None:
        await asyncio.sleep(PATIENCE)

    for name in MOMENTS:
        app.on(name)(fails)
        app.on(name)(hangs)
    async with working(app):
        assert await work.call(timeout=PATIENCE) == 1
    assert caplog.text.count("did not end within 0.05 s") == len(MOMENTS)
    assert caplog.text.count("ValueError: in the handler") == len(MOMENTS)


async def test_what_is_around_a_worker(app: AioQueue) -> None:
    seen: list[str] = []

    class Around(Middleware):
        def __init__(self, name: str) -> None:
            self.name = name

        async def around_worker(self, worker: Worker, next: Next) -> Any:
            seen.append(f"{self.name} in {worker.hostname}")
            code = await next(worker)
            seen.append(f"{self.name} out {code}")
            return code

    @app.task
    async def work() -> None:
        seen.append("work")

    app.add_middleware(Around("a"))
    app.add_middleware(Around("b"))
    async with app:
        await work.send()
        assert await app.worker(burst="now", hostname="here").run(install_signals=False) == 0
    assert seen == ["a in here", "b in here", "work", "b out 0", "a out 0"]


@pytest.mark.parametrize("how", ["raises", "returns"])
async def test_a_middleware_that_keeps_a_worker_from_beginning(app: AioQueue, how: str) -> None:
    class Wrong(Middleware):
        async def around_worker(self, worker: Worker, next: Next) -> Any:
            if how == "raises":
                raise ValueError("no licence")

    app.add_middleware(Wrong())
    async with app:
        with pytest.raises(ValueError if how == "raises" else ConfigurationError, match=r"no licence|without calling"):
            async with app.worker():
                pytest.fail("it has begun")


async def test_a_middleware_that_fails_when_the_worker_has_stopped(
    app: AioQueue, caplog: pytest.LogCaptureFixture
) -> None:
    class Late(Middleware):
        async def around_worker(self, worker: Worker, next: Next) -> Any:
            await next(worker)
            raise ValueError("too late")

    app.add_middleware(Late())
    async with app:
        assert await app.worker(burst="now").run(install_signals=False) == 0
    assert "too late" in caplog.text


async def test_what_runs_tasks_of_tests_and_eager_ones_is_no_worker(make_app: Any) -> None:
    app: AioQueue = make_app()
    events: list[WorkerEvent] = []
    app.on("worker_init")(events.append)

    @app.task
    async def work() -> int:
        return 1

    async with app.testing() as t:
        assert await t.run(work) == 1
    assert events == []


async def test_a_scheduler_begins_and_a_schedule_fires(app: AioQueue) -> None:
    begun: list[BeatEvent] = []
    fired: list[ScheduleEvent] = []
    sent: list[TaskEvent] = []
    app.on("beat_init")(begun.append)
    app.on("schedule_fired")(fired.append)
    app.on("task_sent")(sent.append)

    @app.task(name="work")
    async def work() -> None: ...

    async with app, app.worker(beat=True):
        await app.schedules.add("often", work.s(), every(0.2))
        await until(lambda: fired)
    assert [event.app for event in begun] == ["tests"] and begun[0].scheduler
    assert (fired[0].schedule, fired[0].task) == ("often", "work") and fired[0].due_at.tzinfo is not None
    assert fired[0].task_id in [event.task_id for event in sent]


async def test_a_schedule_that_fires_in_a_test(app: AioQueue) -> None:
    fired: list[ScheduleEvent] = []
    app.on("schedule_fired")(fired.append)

    @app.periodic(every(minutes=10))
    @app.task
    async def work() -> None: ...

    async with app.testing() as t:
        await t.clock.advance(minutes=25)
    assert len(fired) == 2


async def test_a_schedules_canvas_is_told_as_its_tasks(app: AioQueue) -> None:
    fired: list[ScheduleEvent] = []
    sent: list[TaskEvent] = []
    app.on("schedule_fired")(fired.append)
    app.on("task_sent")(sent.append)

    @app.task(name="first")
    async def first() -> None: ...

    @app.task(name="second")
    async def second() -> None: ...

    async with app.testing() as t:
        await app.schedules.add("both", chain(first.s(), second.si()), every(minutes=10))
        await t.clock.advance(minutes=15)
        await t.drain()
    assert [event.task for event in fired] == ["first"]
    assert [event.task for event in sent] == ["first", "second"]


async def test_a_handler_for_a_task_that_there_is_not_is_told_of(
    app: AioQueue, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(name="shop.charge")
    async def charge() -> None: ...

    app.on("task_failure", task="shop.chrage")(print)
    app.on("task_sent", task="elsewhere")(print)
    app.on("task_failure", task="shop.charge")(print)
    async with working(app):
        pass
    [text] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "no task 'shop.chrage', and handlers of task_failure are" in text and "'shop.charge'" in text
