"""What workers say when they are asked."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from support.apps import Gate, MakeApp, working
from support.waiting import A_MOMENT, until

from aioqueue import AioQueue, Queue
from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.protocol import Capabilities, Question, WorkerStatus
from aioqueue.exceptions import ConfigurationError, PayloadTooLarge


async def test_ping_all_some_and_one(app: AioQueue) -> None:
    async with app, app.worker(hostname="one@here"), app.worker(hostname="two@here"), app.worker(hostname="two@there"):
        assert await app.inspect.ping() == {"one@here": "pong", "two@here": "pong", "two@there": "pong"}
        assert await app.inspect.ping(destination="two@*") == {"two@here": "pong", "two@there": "pong"}
        found = await app.inspect.ping(destination=["one@here", "t*@here"])
        assert found == {"one@here": "pong", "two@here": "pong"} and found.silent == ()


async def test_two_of_one_name(app: AioQueue) -> None:
    async with app, app.worker(hostname="same"), app.worker(hostname="same"):
        found = await app.inspect.ping()
        assert len(found) == 2 and "same" in found and all(name.startswith("same") for name in found)


async def test_nobody_is_there(app: AioQueue) -> None:
    async with app:
        assert await app.inspect.ping() == {}
        found = await app.inspect.ping(destination="gone@here")
        assert (dict(found), found.silent) == ({}, ("gone@here",))


async def test_who_does_not_answer_is_named(app: AioQueue) -> None:
    async with app, app.worker(hostname="here"):
        broker = await app.broker()
        status = WorkerStatus(id="f", name="frozen", host="h", pid=1, queues=["q"], concurrency=1, started=0)
        frozen = broker.consumer(status, visibility_timeout=60, dead_letters_max_length=1)
        await frozen.join()
        found = await app.inspect.ping(timeout=A_MOMENT)
        assert (dict(found), found.silent) == ({"here": "pong"}, ("frozen",))
        workers = {worker.name: worker for worker in await app.inspect.workers(timeout=A_MOMENT)}
        assert (workers["frozen"].silent, workers["frozen"].running) == (True, None)
        assert (workers["here"].silent, workers["here"].running) == (False, 0)
        await frozen.leave()
        await frozen.close()


async def test_what_runs_and_what_waits_there(app: AioQueue) -> None:
    gate = Gate()

    @app.task(name="work", priority=3)
    async def work(order: int, password: str) -> None:
        await gate.wait()

    async with working(app, concurrency=1, hostname="w"):
        first = await work.send(1, "secret")
        await until(lambda: gate.inside)
        await app.inspect.ping()
        second = await work.send(2, password="secret")
        third = await work.options(countdown=60).send(3, "secret")
        app.conf.update(worker_prefetch=2)
        [running] = (await app.inspect.active())["w"]
        assert (running.id, running.name, running.queue, running.args) == (first.id, "work", "default", "1, ***")
        assert (running.priority, running.retries, running.deliveries) == (3, 0, 1) and running.started is not None
        [later] = (await app.inspect.scheduled())["w"]
        assert (later.id, later.task, later.due is not None) == (third.id, "work", True)
        found = await app.inspect.query_task([first.id, "unknown"])
        assert list(found["w"]) == [first.id]
        gate.open()
        await second.get()
        assert (await app.inspect.active())["w"] == []


async def test_what_is_prefetched(make_app: MakeApp) -> None:
    app = make_app(worker_prefetch=1)
    gate = Gate()

    @app.task
    async def work() -> None:
        await gate.wait()

    async with working(app, concurrency=1, hostname="w"):
        await app.send_many([work.s(), work.s()])
        [reserved] = await until(lambda: _reserved(app))
        assert reserved.started is None
        assert (await app.inspect.query_task(reserved.id))["w"][reserved.id] == reserved
        await app.result(reserved.id).revoke()
        await until(lambda: _revoked(app, reserved.id))
        gate.open()


async def _reserved(app: AioQueue) -> list[Any]:
    return (await app.inspect.reserved())["w"]


async def _revoked(app: AioQueue, id: str) -> bool:
    return id in (await app.inspect.revoked())["w"].ids


async def test_all_threads_are_busy(app: AioQueue) -> None:
    gate = Gate()

    @app.task
    def work() -> None:
        gate.block()

    async with working(app, concurrency=2):
        await app.send_many([work.s() for _ in range(4)])
        await until(lambda: gate.inside == 2)
        [stats] = (await app.inspect.stats()).values()
        assert (stats.running, stats.concurrency, stats.begun, stats.processed) == (2, 2, 2, 0)
        gate.open()


async def test_a_blocked_loop_is_silent(app: AioQueue) -> None:
    """It is another thread's, as another process would be."""
    begun, over = threading.Event(), threading.Event()

    @app.task
    async def work() -> None:
        begun.set()
        await asyncio.sleep(0)
        over.wait(20)

    def live() -> None:
        async def run() -> None:
            async with app, app.worker(hostname="blocked"):
                await asyncio.to_thread(over.wait, 20)

        asyncio.run(run())

    thread = threading.Thread(target=live)
    thread.start()
    try:
        async with app:
            await until(app.inspect.ping)
            await work.send()
            await until(begun.is_set)
            found = await app.inspect.ping(timeout=A_MOMENT)
            assert (dict(found), found.silent) == ({}, ("blocked",))
    finally:
        over.set()
        await asyncio.to_thread(thread.join)


async def test_queues_settings_and_tasks(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("a", weight=2), Queue("b", concurrency=3)], result_expires=5)

    @app.task(name="known")
    async def known() -> None: ...

    async with working(app, hostname="w", queues=["a", "b"]):
        assert (await app.inspect.registered())["w"] == ["known"]
        a, b = (await app.inspect.active_queues())["w"]
        assert (a.name, b.name, b.concurrency) == ("a", "b", 3)
        assert (await app.inspect.conf())["w"]["result_expires"] == 5
        [info] = await app.inspect.workers()
        assert (info.name, info.queues, info.processed) == ("w", ["a", "b"], 0) and info.lease_left > 0


async def test_revoked_stamps(app: AioQueue) -> None:
    async with working(app, hostname="w"):
        await app.revoke_by_stamp("tenant", 7)
        await until(lambda: _stamps(app))
        assert (await app.inspect.revoked())["w"].stamps == [("tenant", 7)]


async def _stamps(app: AioQueue) -> Any:
    return (await app.inspect.revoked())["w"].stamps


async def test_without_a_loop(app: AioQueue) -> None:
    async with working(app, hostname="w"):
        assert await asyncio.to_thread(app.sync.inspect.ping) == {"w": "pong"}


async def test_wrong_use(app: AioQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    async with app:
        with pytest.raises(ConfigurationError, match="destination=\\[\\] names no worker"):
            await app.inspect.ping(destination=[])
        with pytest.raises(ConfigurationError, match="A timeout is"):
            await app.inspect.ping(timeout=0)
        with pytest.raises(ConfigurationError, match="Each name of a destination"):
            await app.inspect.ping(destination=["two words"])
        with pytest.raises(PayloadTooLarge, match="in parts"):
            await app.inspect.query_task(["x" * 100] * 1000)


async def test_a_broker_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryBroker, "capabilities", Capabilities(asked=False))
    app = AioQueue("cannot", broker="memory://")
    async with app, app.worker(hostname="w"):
        with pytest.raises(ConfigurationError, match="cannot ask its workers"):
            await app.inspect.ping()
        assert [worker.name for worker in await app.inspect.workers()] == ["w"]


async def test_old_and_repeated_questions_are_passed_over(app: AioQueue) -> None:
    async with working(app, hostname="w"):
        broker = await app.broker()
        late = Question(id="late", name="ping", arguments=b"\xc0", until=broker.now() - 1)
        once = Question(id="once", name="ping", arguments=b"\xc0", until=broker.now() + 20_000)
        asked = broker.ask(once)
        assert (await anext(asked)).name == "w"
        await asked.aclose()
        for question in (late, once):
            again = broker.ask(question)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(A_MOMENT):
                    await anext(again)
            await again.aclose()
