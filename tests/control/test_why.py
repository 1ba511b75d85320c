"""Why a task does not run yet."""

from __future__ import annotations

import asyncio
import json
import sys
import types
from datetime import UTC, datetime, timedelta

import pytest
from support.apps import Gate, MakeApp, lengths, working
from support.waiting import A_MOMENT, until

from aioqueue import AioQueue, WaitReason, chain
from aioqueue.brokers.protocol import WorkerStatus
from aioqueue.cli.root import main
from aioqueue.exceptions import ConfigurationError


async def test_in_its_queue(app: AioQueue) -> None:
    @app.task(name="work")
    async def work() -> None: ...

    async with app:
        sent = [await work.send() for _ in range(3)]
        urgent = await work.options(priority=5).send()
        status = await app.inspect.task(sent[2].id)
        assert (status.state, status.name, status.queue) == ("SENT", "work", "default")
        assert (status.waits_for, status.ahead) == (WaitReason.NO_WORKER, 3) and status.since is not None
        assert (await app.inspect.task(urgent.id)).ahead == 0
        async with app.worker(queues=["other"]):
            assert (await app.inspect.task(sent[0].id)).waits_for is WaitReason.NO_WORKER
        await app.queues.pause("default")
        async with app.worker():
            status = await app.inspect.task(sent[0].id)
            assert (status.waits_for, status.ahead) == (WaitReason.PAUSED_QUEUE, 1) and "resume" in status.detail
            await app.queues.resume("default")
            await sent[2].get()
            status = await app.inspect.task(sent[2].id)
            assert (status.state, status.waits_for, status.ahead) == ("SUCCESS", None, None)
            assert "ended well" in status.detail and status.worker


async def test_behind_others(app: AioQueue) -> None:
    gate = Gate()

    @app.task(name="work")
    async def work() -> None:
        await gate.wait()

    app.conf.worker_prefetch = 1
    async with working(app, hostname="w", concurrency=1):
        first = await work.send()
        await until(lambda: gate.inside)
        sent = [await work.send() for _ in range(3)]
        await until(lambda: _fetched(app))
        running = await app.inspect.task(first.id, stack=True)
        assert (running.state, running.waits_for, running.worker) == ("STARTED", None, "w")
        assert running.since is not None and "await gate.wait()" in running.stack
        assert (await app.inspect.task(first.id)).stack == ""
        reserved = await app.inspect.task(sent[0].id)
        assert (reserved.waits_for, reserved.worker) == (WaitReason.RESERVED, "w")
        last = await app.inspect.task(sent[2].id)
        assert (last.waits_for, last.ahead) == (WaitReason.POSITION, 1)
        assert "1 task is before it in the queue 'default', which 1 worker with 1 slot consumes" in last.detail
        gate.open()
        await sent[2].get()


async def _fetched(app: AioQueue) -> bool:
    return await lengths(app) == (2, 2, 0)


async def test_in_a_thread(app: AioQueue) -> None:
    gate = Gate()

    @app.task
    def work() -> None:
        gate.block()

    async with working(app):
        result = await work.send()
        await until(lambda: gate.inside)
        assert "gate.block()" in (await app.inspect.task(result.id, stack=True)).stack
        gate.open()
        await result.get()


async def test_for_its_time_and_its_retry(app: AioQueue) -> None:
    @app.task(name="fails", autoretry_for=(ValueError,), default_retry_delay=600, retry_jitter=False)
    async def fails() -> None:
        raise ValueError("not yet")

    async with working(app):
        later = await fails.options(countdown=3600).send()
        elsewhere = await fails.options(countdown=3600, queue="elsewhere").send()
        retried = await fails.send()
        await until(lambda: _is_retried(app, retried.id))
        status = await app.inspect.task(later.id)
        assert (status.state, status.waits_for, status.name) == ("SENT", WaitReason.ETA, "fails")
        assert status.until is not None and status.until - datetime.now(UTC) > timedelta(minutes=55)
        assert "No living worker" not in status.detail
        assert "After that: no living worker consumes" in (await app.inspect.task(elsewhere.id)).detail
        status = await app.inspect.task(retried.id)
        assert (status.state, status.waits_for) == ("RETRY", WaitReason.RETRY) and "number 1" in status.detail
        assert "not yet" in status.detail


async def _is_retried(app: AioQueue, id: str) -> bool:
    return await app.result(id).state() == "RETRY"


async def test_for_its_workflow(app: AioQueue) -> None:
    @app.task(name="step")
    async def step() -> None: ...

    async with app:
        result = await chain(step.si(), step.si()).send()
        assert result.parent is not None
        status = await app.inspect.task(result.id)
        assert (status.state, status.waits_for, status.name) == ("PENDING", WaitReason.WORKFLOW, "step")
        assert result.parent.id in status.detail
        assert (await app.inspect.task(result.parent.id)).waits_for is WaitReason.NO_WORKER


async def test_ended_revoked_and_never_heard_of(app: AioQueue) -> None:
    @app.task
    async def fails() -> None:
        raise ValueError("no")

    async with app:
        revoked = await fails.send()
        await revoked.revoke(reason="not wanted")
        status = await app.inspect.task(revoked.id)
        assert (status.state, status.waits_for) == ("REVOKED", None) and "not wanted" in status.detail
        status = await app.inspect.task("never")
        assert (status.state, status.waits_for) == ("PENDING", None) and "never sent" in status.detail
        with pytest.raises(ConfigurationError, match="A task's id"):
            await app.inspect.task(1)  # type: ignore[arg-type]
    async with working(app):
        failed = await fails.send()
        await until(failed.ready)
        assert "It has failed: ValueError: no" in (await app.inspect.task(failed.id)).detail
        assert (await asyncio.to_thread(app.sync.inspect.task, failed.id)).state == "FAILURE"


async def test_with_a_worker_that_is_silent(app: AioQueue) -> None:
    @app.task
    async def work() -> None: ...

    async with app:
        sent = await work.send()
        broker = await app.broker()
        about = WorkerStatus(id="f", name="frozen", host="h", pid=1, queues=["default"], concurrency=1, started=0)
        frozen = broker.consumer(about, visibility_timeout=60, dead_letters_max_length=1)
        await frozen.join()
        assert len(await frozen.fetch(1, wait=0)) == 1
        status = await app.inspect.task(sent.id, timeout=A_MOMENT)
        assert (status.waits_for, status.worker) == (WaitReason.RESERVED, "frozen")
        assert "does not answer" in status.detail
        await frozen.leave()
        await frozen.close()


async def test_far_behind(make_app: MakeApp) -> None:
    app = make_app()

    @app.task
    async def work() -> None: ...

    async with app:
        sent = await app.send_many([work.s() for _ in range(1300)])
        assert [(await app.inspect.task(sent[at].id)).ahead for at in (0, 700, 1299)] == [0, 700, 1299]


async def test_the_command(redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    app = AioQueue("why", broker=redis_url)
    module = types.ModuleType("why_tasks")
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "why_tasks", module)
    gate = Gate()

    @app.task(name="work")
    async def work() -> None:
        await gate.wait()

    command = ["-A", "why_tasks:app", "inspect", "task"]
    async with working(app, hostname="w"):
        await app.queues.pause("mail")
        held = await work.options(queue="mail").send()
        assert await asyncio.to_thread(main, [*command, held.id]) == 0
        out = capsys.readouterr().out
        assert f"work {held.id}  SENT (paused queue)" in out and "mail, 0 before it" in out
        running = await work.send()
        await until(lambda: gate.inside)
        assert await asyncio.to_thread(main, [*command, running.id]) == 0
        out = capsys.readouterr().out
        assert "STARTED" in out and "gate.wait()" in out
        assert await asyncio.to_thread(main, [*command, held.id, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["waits_for"] == "paused_queue"
        assert await asyncio.to_thread(main, [*command, "never"]) == 1
        assert await asyncio.to_thread(main, [*command, "a", "b"]) == 2
        gate.open()
