"""When a message leaves its queue: at the end, before the start, or by hand (D9)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.apps import Gate, MakeApp, is_empty, lengths, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, TaskContext, Worker
from aioqueue.exceptions import SoftTimeLimitExceeded, TaskRevoked, WorkerLost

from .steps import Fault


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
        assert await lengths(app) == (0, 1, 0), "it stays with its worker, so that its end is not lost with it"
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
        assert await lengths(app) == (0, 1, 0)
        assert await result.get(timeout=PATIENCE) == 1
        await until(lambda: is_empty(app))


async def test_by_hand_twice_at_once(app: AioQueue) -> None:
    """Both are the same acknowledgement: the second does not find the message gone."""

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> int:
        await asyncio.gather(ctx.ack(), ctx.ack())
        return 1

    async with working(app):
        assert await work.call(timeout=PATIENCE) == 1
        await until(lambda: is_empty(app))


class SlowBroker:
    """A worker's settlements wait for the test."""

    def __init__(self, worker: Worker) -> None:
        assert worker.incarnation is not None
        consumer: Any = worker.incarnation._consumer
        self._settle = consumer.settle
        self.asked = asyncio.Event()
        self.goes_on = asyncio.Event()
        consumer.settle = self._wait_and_settle

    async def _wait_and_settle(self, settlements: Any) -> Any:
        self.asked.set()
        await self.goes_on.wait()
        return await self._settle(settlements)


@pytest.mark.parametrize("ends", ["returns", "fails"])
async def test_a_soft_limit_during_the_acknowledgement(app: AioQueue, ends: str) -> None:
    """What was asked for stands, and the end comes after it; it is not an end of a message that has gone."""

    @app.task(bind=True, soft_time_limit=0.02)
    async def work(ctx: TaskContext) -> str:
        try:
            await ctx.ack()
        except SoftTimeLimitExceeded:
            broker.goes_on.set()
            if ends == "fails":
                raise
            return "cleaned up"
        return "in time"

    async with working(app) as worker:
        broker = SlowBroker(worker)
        found = await outcome(await work.send())
        assert isinstance(found, SoftTimeLimitExceeded) if ends == "fails" else found == "cleaned up"
        assert await is_empty(app)
        await until(lambda: not worker.incarnation.runner.unsettled)


@pytest.mark.parametrize("how", ["early", "by hand"])
async def test_cut_off_during_the_acknowledgement(app: AioQueue, how: str) -> None:
    """The acknowledgement may be on its way already, and then nobody else runs the task: so it ends (D8)."""
    ran: list[int] = []

    @app.task(bind=True, acks_late=how != "early")
    async def work(ctx: TaskContext) -> None:
        if how == "by hand":
            await ctx.ack()
        ran.append(1)

    async with app:
        async with app.worker(shutdown_timeout=0.02) as worker:
            broker = SlowBroker(worker)
            result = await work.send()
            await broker.asked.wait()
            worker.stop()
            await until(lambda: not worker.incarnation.runner.running)
            broker.goes_on.set()
        assert await is_empty(app)
        assert await result.ready(), "nobody is there any more who would end it later"
        assert isinstance(await outcome(result), WorkerLost)
    assert ran == []


@pytest.mark.parametrize("catches", [False, True])
async def test_by_hand_when_it_was_revoked(app: AioQueue, gate: Gate, catches: bool) -> None:
    """The task hears of it before it does what may be done once only; and its end does not undo the revocation."""
    done: list[int] = []

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> str:
        await gate.wait()
        try:
            await ctx.ack()
        except TaskRevoked:
            if not catches:
                raise
            return "caught"
        done.append(1)
        return "done"

    async with working(app) as worker:
        result = await work.send()
        await until(lambda: gate.came)
        assert await result.revoke()
        gate.open()
        await until(lambda: not worker.incarnation.runner.unsettled)
        assert await is_empty(app)
        assert await result.state() == "REVOKED"
        assert isinstance(await outcome(result), TaskRevoked)
    assert done == []


async def test_revoked_and_a_soft_limit_during_the_acknowledgement(app: AioQueue) -> None:
    """The end of a task whose acknowledgement turns out to be refused counts for nothing."""

    @app.task(bind=True, soft_time_limit=0.02)
    async def work(ctx: TaskContext) -> str:
        try:
            await ctx.ack()
        except SoftTimeLimitExceeded:
            left.set()
        return "the end"

    left = asyncio.Event()
    async with working(app) as worker:
        broker = SlowBroker(worker)
        result = await work.send()
        await broker.asked.wait()
        assert await result.revoke()
        await left.wait()
        broker.goes_on.set()
        await until(lambda: not worker.incarnation.runner.unsettled)
        assert await is_empty(app)
        assert await result.state() == "REVOKED"


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
            await until(lambda: not worker.incarnation.runner.accepting)
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
