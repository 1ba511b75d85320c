"""When a message leaves its queue: at the end, before the start, or by hand (D9)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioqueue import AioQueue, TaskContext
from aioqueue.exceptions import WorkerLost

from .steps import PATIENCE, Fault, Gate, MakeApp, is_empty, lengths, outcome, until, working


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def _stopped_while_it_runs(app: AioQueue, task: Any, gate: Gate) -> Any:
    """The task's result, when the worker had to leave while it ran."""
    async with app:
        async with app.worker(shutdown_timeout=0.05):
            result = await task.send()
            await until(lambda: gate.came)
        return result


async def test_late_is_the_default(app: AioQueue, gate: Gate) -> None:
    @app.task
    async def work() -> int:
        await gate.wait()
        return 1

    async with app:
        async with app.worker(shutdown_timeout=0.05):
            result = await work.send()
            await until(lambda: gate.came)
            assert await lengths(app) == (0, 1, 0)
        assert await lengths(app) == (1, 0, 0), "it goes back to its queue at once"
        assert not await result.ready()
        gate.open()
        async with app.worker():
            assert await result.get(timeout=PATIENCE) == 1
    assert len(gate.came) == 2


@pytest.mark.parametrize("where", ["task", "setting"])
async def test_early(make_app: MakeApp, gate: Gate, where: str) -> None:
    app = make_app(**({"task_acks_late": False} if where == "setting" else {}))

    @app.task(**({"acks_late": False} if where == "task" else {}))
    async def work() -> int:
        await gate.wait()
        return 1

    async with working(app):
        result = await work.send()
        await until(lambda: gate.came)
        assert await is_empty(app), "nothing is left to be delivered again"
        gate.open()
        assert await result.get(timeout=PATIENCE) == 1


@pytest.mark.parametrize("how", ["early", "by hand"])
@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_at_most_once_is_not_handed_back_and_still_ends(app: AioQueue, gate: Gate, how: str, kind: str) -> None:
    # D8: whoever waits for it must not wait for ever.
    if kind == "coroutine":

        @app.task(bind=True, acks_late=how != "early")
        async def work(ctx: TaskContext) -> None:
            if how == "by hand":
                await ctx.ack()
            await gate.wait()
    else:

        @app.task(bind=True, acks_late=how != "early")
        def work(ctx: TaskContext) -> None:
            if how == "by hand":
                ctx.ack()
            gate.block()

    async with app:
        async with app.worker(shutdown_timeout=0.05):
            result = await work.send()
            await until(lambda: gate.came)
        assert await is_empty(app)
        error = await outcome(result)
        assert isinstance(error, WorkerLost), error
        assert "acknowledged" in str(error)
        gate.open()
        async with app.worker():
            await asyncio.sleep(0.05)
    assert len(gate.came) == 1


async def test_by_hand(app: AioQueue, gate: Gate) -> None:
    acknowledged = asyncio.Event()

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> int:
        await gate.wait()
        await ctx.ack()
        await ctx.ack()  # the second time it changes nothing
        acknowledged.set()
        await asyncio.sleep(0.05)
        await ctx.progress(1, 2)
        return 1

    async with working(app):
        result = await work.send()
        await until(lambda: gate.came)
        assert await lengths(app) == (0, 1, 0)
        gate.open()
        await acknowledged.wait()
        assert await is_empty(app)
        assert await result.get(timeout=PATIENCE) == 1


@pytest.mark.parametrize("how", ["early", "by hand"])
async def test_ends_after_an_early_acknowledgement(app: AioQueue, how: str) -> None:
    @app.task(bind=True, acks_late=how != "early", max_retries=1)
    async def work(ctx: TaskContext, kind: str) -> int:
        if how == "by hand":
            await ctx.ack()
        if kind == "fail":
            raise Fault
        if ctx.retries == 0:
            raise ctx.retry(countdown=0)
        return ctx.retries

    async with working(app):
        assert isinstance(await outcome(await work.send("fail")), Fault)
        assert await work.call("retry", timeout=PATIENCE) == 1, "a retry is a new message"
        await until(lambda: is_empty(app))


async def test_a_worker_that_stops_lets_its_tasks_end(app: AioQueue, gate: Gate) -> None:
    @app.task
    async def work() -> int:
        await gate.wait()
        return 1

    async with app:
        async with app.worker(shutdown_timeout=PATIENCE) as worker:
            result = await work.send()
            await until(lambda: gate.came)
            worker.stop()
            await until(lambda: not worker.duty.runner.accepting)
            second = await work.send()
            gate.open()
        assert await result.get(timeout=PATIENCE) == 1
        assert await lengths(app) == (1, 0, 0), "it fetched nothing more"
        async with app.worker():
            assert await second.get(timeout=PATIENCE) == 1
    assert len(gate.came) == 2


async def test_a_worker_that_leaves_now(app: AioQueue, gate: Gate) -> None:
    @app.task
    async def work() -> int:
        await gate.wait()
        return 1

    async with app:
        async with asyncio.timeout(PATIENCE), app.worker(shutdown_timeout=60) as worker:
            await work.send()
            await until(lambda: gate.came)
            worker.stop(now=True)
        assert await lengths(app) == (1, 0, 0)


async def test_prefetched_tasks_go_back_at_once(app: AioQueue, gate: Gate) -> None:
    app.conf.worker_prefetch = 10
    order: list[int] = []

    @app.task
    async def work(x: int) -> None:
        await gate.wait()
        order.append(x)

    async with app:
        async with app.worker(concurrency=1, shutdown_timeout=PATIENCE) as worker:
            await app.send_many(work.s(x) for x in range(5))
            await until(lambda: _running(app, 5))
            worker.stop()
            await until(lambda: _running(app, 1))
            assert (await lengths(app))[0] == 4
            gate.open()
        assert order == [0]
        async with app.worker(concurrency=1):
            await until(lambda: len(order) == 5)
    assert order == [0, 1, 2, 3, 4], "they kept their places"


async def _running(app: AioQueue, count: int) -> bool:
    return (await lengths(app))[1] == count


async def test_handing_back_is_no_delivery_and_no_retry(app: AioQueue, gate: Gate) -> None:
    seen: list[tuple[int, int]] = []

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        seen.append((ctx.retries, ctx.deliveries))
        await gate.wait()

    async with app:
        await work.send()
        for count in (1, 2, 3):
            async with app.worker(shutdown_timeout=0.01):
                await until(lambda count=count: len(seen) == count)
        gate.open()
    assert seen == [(0, 1)] * 3
