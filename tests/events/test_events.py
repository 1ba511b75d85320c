"""Hearing of what happens to tasks and workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.apps import Gate, MakeApp, working
from support.waiting import until, within

from aioqueue import AioQueue
from aioqueue.events import EventInfo, TaskEventInfo, WorkerEventInfo
from aioqueue.exceptions import ConfigurationError


class Heard(list[EventInfo]):
    """What was heard until now."""

    def names(self, kind: type[EventInfo] = TaskEventInfo) -> list[str]:
        return [event.name for event in self if isinstance(event, kind)]


@asynccontextmanager
async def hearing(app: AioQueue, *names: str, since: str | None = "") -> AsyncIterator[Heard]:
    """Whoever listens, from the first event on; the app is open."""
    heard = Heard()

    async def listen() -> None:
        async with aclosing(app.events(*names, since=since)) as events:
            async for event in events:
                heard.append(event)

    listening = asyncio.ensure_future(listen())
    try:
        yield heard
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_the_life_of_a_task(make_app: MakeApp) -> None:
    app = make_app(events=True)

    @app.task(name="add")
    async def add(x: int, y: int, api_key: str = "") -> int:
        return x + y

    async with working(app, hostname="w"), hearing(app, "task_*") as heard:
        result = await add.send(1, y=2, api_key="of nobody's business")
        await result.get()
        await until(lambda: len(heard) == 5)
    # Who sends may go on when a worker has it already.
    heard.sort(key=lambda event: event.name != "task_sent")
    assert heard.names() == ["task_sent", "task_received", "task_prerun", "task_success", "task_postrun"]
    assert {event.task_id for event in heard} == {result.id}  # type: ignore[union-attr]
    assert {event.task for event in heard} == {"add"}  # type: ignore[union-attr]
    sent, received, prerun, success, _ = heard
    assert isinstance(sent, TaskEventInfo) and isinstance(received, TaskEventInfo)
    assert isinstance(prerun, TaskEventInfo) and isinstance(success, TaskEventInfo)
    assert sent.args == received.args == "1, y=2, api_key=***"
    assert (sent.worker, prerun.worker, success.worker) == ("", "w", "w")
    assert (success.state, success.result) == ("SUCCESS", "3")
    assert success.runtime is not None and 0 <= success.runtime < 60
    assert timedelta(0) <= datetime.now(UTC) - sent.at < timedelta(minutes=1)
    assert received.at <= prerun.at <= success.at


async def test_a_failure_that_was_retried(make_app: MakeApp) -> None:
    app = make_app(events=True)

    @app.task(autoretry_for=(ValueError,), max_retries=1, retry_backoff=False, default_retry_delay=0)
    async def fail() -> None:
        raise ValueError("no such\nuser")

    async with working(app), hearing(app, "task-failed", "task-retried", "task_dead") as heard:
        await fail.send()
        await until(lambda: len(heard) == 3)
    assert heard.names() == ["task_retry", "task_failure", "task_dead"]
    retry, failure, dead = heard
    assert isinstance(retry, TaskEventInfo) and isinstance(failure, TaskEventInfo) and isinstance(dead, TaskEventInfo)
    assert (retry.state, retry.retries, failure.state, failure.retries) == ("RETRY", 0, "FAILURE", 1)
    assert failure.exception == "ValueError: no such"
    assert failure.traceback is not None and failure.traceback.endswith("ValueError: no such\nuser\n")
    assert dead.reason is not None and "after 1 retry" in dead.reason


async def test_the_life_of_a_worker(make_app: MakeApp) -> None:
    app = make_app(events=True)
    async with app, hearing(app, "worker-*") as heard:
        async with app.worker(hostname="w", queues=["a", "b"], concurrency=3):
            pass
        await until(lambda: "worker_shutdown" in heard.names(WorkerEventInfo))
    names = heard.names(WorkerEventInfo)
    assert {"worker_init", "worker_process_init", "worker_ready", "worker_heartbeat"} <= set(names[:-1])
    assert names[-1] == "worker_shutdown"
    ready = next(event for event in heard if event.name == "worker_ready")
    assert isinstance(ready, WorkerEventInfo)
    assert (ready.worker, ready.queues, ready.concurrency) == ("w", ("a", "b"), 3)


async def test_who_comes_late_hears_which_workers_there_are(make_app: MakeApp) -> None:
    app = make_app(events=True)
    async with (
        app,
        app.worker(hostname="one"),
        app.worker(hostname="two"),
        aclosing(app.events("worker_*")) as events,
    ):
        first = [await within(anext(events)) for _ in range(2)]
    assert [(event.name, event.worker) for event in first] == [  # type: ignore[union-attr]
        ("worker_heartbeat", "one"),
        ("worker_heartbeat", "two"),
    ]
    assert all(isinstance(event, WorkerEventInfo) and event.running == 0 for event in first)


async def test_going_on_after_an_event(make_app: MakeApp) -> None:
    app = make_app(events=True)

    @app.task
    async def nothing() -> None: ...

    async with app:
        sent = await app.send_many([nothing.s() for _ in range(5)])
        async with hearing(app, "task_sent") as heard:
            await until(lambda: len(heard) == 5)
        assert [event.task_id for event in heard] == [one.id for one in sent]  # type: ignore[union-attr]
        async with hearing(app, "task_sent", since=heard[2].cursor) as rest:
            await until(lambda: len(rest) == 2)
        assert rest == heard[3:]


async def test_they_are_switched_on_and_off_while_workers_run(app: AioQueue) -> None:
    @app.task(name="nothing")
    async def nothing() -> None: ...

    async with working(app, hostname="w"), hearing(app, "task_*") as heard:
        await (await nothing.send()).get()
        assert await app.control.enable_events() == {"w": "on"}
        seen = await nothing.send()
        await seen.get()
        await until(lambda: "task_postrun" in heard.names())
        assert await app.control.disable_events() == {"w": "off"}
        await (await nothing.send()).get()
        assert await app.control.enable_events(destination="w") == {"w": "on"}
        last = await nothing.send()
        await until(lambda: heard[-1].name == "task_postrun" and heard[-1].task_id == last.id)  # type: ignore[union-attr]
    assert {event.task_id for event in heard} == {seen.id, last.id}  # type: ignore[union-attr]


async def test_what_was_said_last_counts_for_who_comes_later(redis_url: str) -> None:
    app, later = AioQueue("tests", broker=redis_url), AioQueue("tests", broker=redis_url)
    last = AioQueue("tests", broker=redis_url, events=True)

    @later.task(name="nothing")
    async def nothing() -> None: ...

    async with app:
        await app.control.enable_events()
        async with later, hearing(app, "task_sent") as heard:
            await nothing.send()
            await until(lambda: heard.names() == ["task_sent"])
        await app.control.disable_events()
        async with last, hearing(app, "task_sent") as heard:
            await last.send_task("nothing")
            await app.control.enable_events()
            await later.send_task("nothing")
            await until(lambda: len(heard) >= 2)
    # What was sent while they were off is not among them.
    assert len(heard) == 2


async def test_without_a_loop(make_app: MakeApp) -> None:
    app = make_app()

    @app.task
    async def nothing() -> None: ...

    def use() -> list[str]:
        assert app.sync.control.enable_events() == {"w": "on"}
        nothing.sync.send().get(timeout=20)
        found: list[str] = []
        for event in app.sync.events("task_*", since=""):
            found.append(event.name)
            if len(found) == 5:
                return found
        raise AssertionError("they have ended")

    async with working(app, hostname="w"):
        assert sorted(await within(asyncio.to_thread(use))) == [
            "task_postrun",
            "task_prerun",
            "task_received",
            "task_sent",
            "task_success",
        ]


async def test_handlers_hear_as_before(make_app: MakeApp) -> None:
    app = make_app(events=True)
    told: list[str] = []

    @app.task
    async def nothing() -> None: ...

    @app.on("task_success")
    async def tell(event: object) -> None:
        told.append("success")

    async with working(app), hearing(app, "task_success") as heard:
        await nothing.send()
        await until(lambda: heard and told)
        await app.control.disable_events()
        await nothing.send()
        await until(lambda: len(told) == 2)
    assert len(heard) == 1


async def test_wrong_use(app: AioQueue) -> None:
    with pytest.raises(ConfigurationError, match=r"no events of that name.*Did you mean 'task_failure'"):
        app.events("task_failrue")
    with pytest.raises(ConfigurationError, match="since='yesterday'"):
        app.events(since="yesterday")


async def test_who_listens_while_they_are_off_is_told(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    app, telling = AioQueue("tests", broker=redis_url), AioQueue("tests", broker=redis_url, events=True)
    async with app, hearing(app):
        await until(lambda: "enable_events" in caplog.text)
    caplog.clear()
    async with app, telling:  # others may tell by their own setting
        await telling.send_task("nothing")
        async with hearing(telling) as heard:
            await until(lambda: heard)
        async with hearing(app) as heard:
            await until(lambda: heard)
    assert "enable_events" not in caplog.text


async def test_a_lost_connection_loses_nothing(redis_url: str, client: Any) -> None:
    app = AioQueue("tests", broker=redis_url, events=True)
    async with app, hearing(app, "task_sent") as heard:
        first = await app.send_task("nothing")
        await until(lambda: len(heard) == 1)
        await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        later = [await app.send_task("nothing") for _ in range(3)]
        await until(lambda: len(heard) >= 4)
    assert list(dict.fromkeys(event.task_id for event in heard)) == [first.id, *(one.id for one in later)]  # type: ignore[union-attr]


async def test_a_handler_that_waits_keeps_the_order(make_app: MakeApp) -> None:
    app = make_app(events=True)
    gate = Gate()

    @app.task(autoretry_for=(ValueError,), max_retries=1, retry_backoff=False, default_retry_delay=0)
    async def fail() -> None:
        raise ValueError

    @app.on("task_retry")
    async def wait(event: object) -> None:
        await gate.wait()

    async with working(app), hearing(app, "task_*") as heard:
        await fail.send()
        await until(lambda: gate.inside)
        gate.open()
        await until(lambda: heard.names().count("task_postrun") == 2)
    names = [name for name in heard.names() if name != "task_sent"]
    once = ["task_received", "task_prerun"]
    assert names == [*once, "task_retry", "task_postrun", *once, "task_failure", "task_dead", "task_postrun"]
