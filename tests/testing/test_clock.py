"""Countdowns, etas, retries and expiry, without waiting for them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from aioqueue import AioQueue, TaskContext
from aioqueue.exceptions import TaskRevoked
from aioqueue.testing import Testing


async def test_countdown_and_eta_wait_for_the_clock(app: AioQueue, t: Testing) -> None:
    ran: list[str] = []

    @app.task
    async def note(name: str) -> None:
        ran.append(name)

    await note.options(countdown=3600).send("countdown")
    await note.options(eta=t.clock.now + timedelta(hours=3)).send("eta")
    await t.drain()
    assert ran == []
    await t.clock.advance(minutes=59)
    assert ran == []
    await t.clock.advance(minutes=2)
    assert ran == ["countdown"]
    await t.clock.advance(timedelta(hours=2))
    assert ran == ["countdown", "eta"]


async def test_the_clock_stops_at_each_moment_on_the_way(app: AioQueue, t: Testing) -> None:
    seen: list[timedelta] = []

    @app.task
    async def tick(left: int) -> None:
        seen.append(t.clock.now - start)
        if left:
            await tick.options(countdown=600).send(left - 1)

    start = t.clock.now
    await tick.options(countdown=600).send(4)
    await t.clock.advance(hours=2)
    assert [round(moment / timedelta(minutes=1)) for moment in seen] == [10, 20, 30, 40, 50]
    moved = t.clock.now - start
    assert timedelta(hours=2) <= moved < timedelta(hours=2, seconds=10)


async def test_retries_wait_for_the_clock(app: AioQueue, t: Testing) -> None:
    @app.task(bind=True, autoretry_for=(ConnectionError,))
    async def fetch(ctx: TaskContext) -> int:
        if ctx.retries < 2:
            raise ConnectionError
        return ctx.retries

    result = await fetch.send()
    await t.clock.advance(seconds=1)
    assert await result.state() == "RETRY"
    await t.clock.advance(seconds=170)
    assert (await result.info()).retries == 0
    await t.clock.advance(seconds=60)
    assert (await result.info()).retries == 1
    await t.clock.advance(minutes=10)
    assert await result == 2


async def test_a_retry_that_waits_is_not_drained(app: AioQueue, t: Testing) -> None:
    @app.task(bind=True)
    async def fetch(ctx: TaskContext) -> int:
        if not ctx.retries:
            raise ctx.retry(countdown=60)
        return ctx.retries

    result = await fetch.send()
    await t.clock.advance(seconds=1)
    await t.drain()
    assert await result.state() == "RETRY"
    await t.clock.advance(seconds=60)
    assert await result == 1


async def test_expiry(app: AioQueue, t: Testing) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    late = await add.options(expires=60).send(1, 1)
    later = await add.options(expires=60, countdown=120).send(1, 1)
    await t.clock.advance(minutes=3)
    for result in (late, later):
        with pytest.raises(TaskRevoked, match="expired"):
            await result
    early = await add.options(expires=60).send(1, 1)
    await t.drain()
    await t.clock.advance(hours=2)
    assert await early == 2


async def test_now_is_aware_and_near_the_real_time_at_first(t: Testing) -> None:
    assert abs(t.clock.now - datetime.now(UTC)) < timedelta(seconds=5)
    await t.clock.advance(days=1, hours=1)
    assert t.clock.now - datetime.now(UTC) > timedelta(hours=24)
    with pytest.raises(ValueError, match="turned back"):
        await t.clock.advance(hours=-1)


async def test_what_waits_when_nothing_is_due_is_run_at_the_end(app: AioQueue, t: Testing) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    result = await add.send(2, 3)
    await t.clock.advance(hours=2)
    assert await result == 5


async def test_workers_of_the_test_live_through_it(app: AioQueue, t: Testing) -> None:
    started, ended = asyncio.Event(), asyncio.Event()
    runs = 0

    @app.task
    async def long() -> str:
        nonlocal runs
        runs += 1
        started.set()
        await ended.wait()
        return "done"

    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    async with app.worker() as worker:
        identity = worker.id
        result = await long.send()
        await asyncio.wait_for(started.wait(), 10)
        later = await add.options(countdown=3600).send(2, 3)
        moving = asyncio.create_task(t.clock.advance(hours=2))
        assert await asyncio.wait_for(later.get(), 10) == 5
        ended.set()
        await asyncio.wait_for(moving, 10)
        assert await result == "done"
        assert worker.id == identity
    assert runs == 1
