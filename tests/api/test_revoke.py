"""Revoking a task, wherever it is in its life."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from support.apps import Gate, ended, is_empty, lengths, outcome, working
from support.waiting import A_MOMENT, PATIENCE, until

from aioqueue import AioQueue, AsyncResult, TaskContext
from aioqueue.exceptions import TaskRevoked

AN_HOUR = 3_600_000


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def ran() -> list[Any]:
    return []


@pytest.fixture
def note(app: AioQueue, ran: list[Any]) -> Any:
    @app.task(name="note")
    async def note(x: int) -> int:
        ran.append(x)
        return x

    return note


async def _revoked(result: AsyncResult[Any], reason: str = "revoked") -> None:
    info = await ended(result)
    assert (info.state, info.reason, info.ready) == ("REVOKED", reason, True)
    assert isinstance(info.exception, TaskRevoked)
    with pytest.raises(TaskRevoked, match=f"{result.id}.*was revoked: {reason}"):
        await result.get(timeout=PATIENCE)
    assert not await result.successful()
    assert not await result.failed()
    assert await result.ready()


async def test_before_a_worker_starts(app: AioQueue, note: Any, ran: list[Any]) -> None:
    async with app:
        revoked, other = await note.send(1), await note.send(2)
        assert await revoked.revoke() is True
        await _revoked(revoked)
        assert await revoked.revoke() is False, "it has ended"
        async with app.worker():
            assert await other.get(timeout=PATIENCE) == 2
            await until(lambda: is_empty(app))
        await _revoked(revoked)
    assert ran == [2]


async def test_with_a_reason(app: AioQueue, note: Any) -> None:
    async with app:
        result = await note.send(1)
        await result.revoke(reason="the customer left")
        await _revoked(result, "the customer left")


async def test_from_another_place_by_its_id(app: AioQueue, note: Any, ran: list[Any]) -> None:
    async with app:
        result = await note.options(task_id="order-7").send(1)
        assert await app.result("order-7").revoke() is True
        await _revoked(result)
        async with app.worker():
            await until(lambda: is_empty(app))
    assert ran == []


@pytest.mark.parametrize("with_worker", [False, True])
async def test_waiting_for_its_eta(app: AioQueue, note: Any, ran: list[Any], with_worker: bool) -> None:
    async with app:
        if with_worker:
            async with app.worker():
                await _revoke_delayed(app, note)
        else:
            await _revoke_delayed(app, note)
            async with app.worker():
                assert await note.call(2, timeout=PATIENCE) == 2
    assert 1 not in ran


async def _revoke_delayed(app: AioQueue, note: Any) -> None:
    result = await note.options(countdown=1800).send(1)
    assert await lengths(app) == (0, 0, 1)
    assert await result.revoke() is True
    assert await lengths(app) == (0, 0, 0), "it is removed at once"
    await _revoked(result)
    broker = await app.broker()
    await broker.postpone_leases(AN_HOUR)
    broker.shift_clock(AN_HOUR)
    await asyncio.sleep(A_MOMENT)


async def test_waiting_in_a_worker(app: AioQueue, note: Any, ran: list[Any], gate: Gate) -> None:
    @app.task
    async def hold() -> None:
        await gate.wait()

    app.conf.worker_prefetch = 5
    async with working(app, concurrency=1) as worker:
        await hold.send()
        await until(lambda: gate.came)
        revoked, other = await note.send(1), await note.send(2)
        await until(lambda: _running(app, 3))
        assert await revoked.revoke() is True
        assert worker.incarnation is not None and worker.incarnation.runner is not None
        runner = worker.incarnation.runner
        await until(lambda: any(delivery.revoked for delivery in runner.ready()), what="the worker has heard of it")
        gate.open()
        assert await other.get(timeout=PATIENCE) == 2
        await _revoked(revoked)
        await until(lambda: is_empty(app))
    assert ran == [2]


async def _running(app: AioQueue, count: int) -> bool:
    return (await lengths(app))[1] == count


async def test_running_without_terminate_runs_on_unheard(app: AioQueue, gate: Gate, ran: list[Any]) -> None:
    @app.task(bind=True)
    async def hold(ctx: TaskContext) -> int:
        await gate.wait()
        await ctx.progress(1, 2)
        ran.append(1)
        return 1

    async with working(app):
        result = await hold.send()
        await until(lambda: gate.came)
        assert await result.revoke() is True
        await _revoked(result)
        gate.open()
        await until(lambda: ran)
        await until(lambda: is_empty(app))
        await _revoked(result)


async def test_running_with_terminate_is_cancelled(app: AioQueue, gate: Gate, note: Any) -> None:
    cancelled: list[bool] = []

    @app.task
    async def hold() -> None:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with working(app, concurrency=1):
        result = await hold.send()
        await until(lambda: gate.came)
        assert await result.revoke(terminate=True, reason="stop it") is True
        await until(lambda: cancelled)
        await _revoked(result, "stop it")
        assert await note.call(1, timeout=PATIENCE) == 1, "its place is free"
        await until(lambda: is_empty(app))


async def test_one_that_swallows_the_cancellation(app: AioQueue, gate: Gate, note: Any) -> None:
    @app.task
    async def stubborn() -> str:
        while True:
            try:
                await gate.wait()
                return "unheard"
            except asyncio.CancelledError:
                pass

    async with working(app, concurrency=1):
        result = await stubborn.send()
        await until(lambda: gate.came)
        await result.revoke(terminate=True)
        assert await note.call(1, timeout=PATIENCE) == 1
        gate.open()
        await _revoked(result)
        await until(lambda: is_empty(app))


async def test_a_thread_is_interrupted(app: AioQueue, gate: Gate, note: Any) -> None:
    ended_with: list[type[BaseException]] = []

    @app.task
    def hold() -> None:
        try:
            gate.block()
        except BaseException as error:
            ended_with.append(type(error))
            raise

    async with working(app, concurrency=1):
        result = await hold.send()
        await until(lambda: gate.came)
        await result.revoke(terminate=True)
        await until(lambda: ended_with)
        await _revoked(result)
        assert await note.call(1, timeout=PATIENCE) == 1
    assert ended_with == [TaskRevoked]


async def test_a_thread_stuck_in_c(app: AioQueue, note: Any) -> None:
    started, stuck = threading.Event(), threading.Lock()
    stuck.acquire()

    @app.task
    def hold() -> None:
        started.set()
        with stuck:
            pass

    async with working(app, concurrency=1):
        result = await hold.send()
        await until(started.is_set)
        await result.revoke(terminate=True)
        assert await note.call(1, timeout=PATIENCE) == 1
        await _revoked(result)
        stuck.release()
        await until(lambda: is_empty(app))


async def test_a_thread_without_terminate(app: AioQueue, gate: Gate, ran: list[Any]) -> None:
    @app.task
    def hold() -> None:
        gate.block()
        ran.append(1)

    async with working(app):
        result = await hold.send()
        await until(lambda: gate.came)
        await result.revoke()
        gate.open()
        await until(lambda: ran)
        await until(lambda: is_empty(app))
        await _revoked(result)


@pytest.mark.parametrize("terminate", [False, True])
async def test_one_that_has_ended(app: AioQueue, note: Any, terminate: bool) -> None:
    async with working(app):
        result = await note.send(1)
        await result.get(timeout=PATIENCE)
        assert await result.revoke(terminate=terminate) is False
        assert await result.get(timeout=PATIENCE) == 1
        assert await result.state() == "SUCCESS"


async def test_one_that_nobody_knows(app: AioQueue, note: Any, ran: list[Any]) -> None:
    # Revoked before it is sent, by an id that is known before.
    async with working(app):
        assert await app.result("later").revoke() is True
        result = await note.options(task_id="later").send(1)
        await until(lambda: is_empty(app))
        await _revoked(result)
    assert ran == []


async def test_who_waits_hears_of_it(app: AioQueue, note: Any) -> None:
    async with app:
        result = await note.options(countdown=60).send(1)
        waiting = asyncio.ensure_future(outcome(result))
        watching = asyncio.ensure_future(_last(result))
        await asyncio.sleep(0.02)
        started = time.monotonic()
        await result.revoke(reason="over")
        assert isinstance(await waiting, TaskRevoked)
        assert (await watching).reason == "over"
        assert time.monotonic() - started < 1.0


async def _last(result: AsyncResult[Any]) -> Any:
    return [info async for info in result.watch()][-1]


async def test_revoked_tasks_are_not_retried(app: AioQueue, gate: Gate) -> None:
    runs: list[int] = []

    @app.task(bind=True, autoretry_for=(Exception,), default_retry_delay=0)
    async def hold(ctx: TaskContext) -> None:
        runs.append(1)
        await gate.wait()
        raise ctx.retry(countdown=0)

    async with working(app):
        result = await hold.send()
        await until(lambda: gate.came)
        await result.revoke()
        gate.open()
        await until(lambda: is_empty(app))
        await _revoked(result)
    assert runs == [1]


async def test_two_workers_and_many_tasks(app: AioQueue, ran: list[Any], note: Any) -> None:
    async with app:
        results = await app.send_many(note.s(x) for x in range(100))
        revoked = await asyncio.gather(*[result.revoke() for result in results[::2]])
        assert revoked == [True] * 50
        async with app.worker(hostname="a"), app.worker(hostname="b"):
            for result in results[1::2]:
                await result.get(timeout=PATIENCE)
            await until(lambda: is_empty(app))
    assert sorted(ran) == list(range(1, 100, 2))
