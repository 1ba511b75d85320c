"""Bursts: a worker that stops when nothing is left does not leave before that, or says what it leaves."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from support.apps import Gate, MakeApp, is_empty, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, TaskContext, chord
from aioqueue.exceptions import ConfigurationError


async def run(app: AioQueue, burst: Any = True, **options: Any) -> int:
    async with asyncio.timeout(PATIENCE):
        return await app.worker(burst=burst, **options).run(install_signals=False)


def add_flaky(app: AioQueue, delay: float) -> Any:
    @app.task(bind=True, name="flaky")
    async def flaky(ctx: TaskContext, x: int) -> int:
        if x % 3 == 0 and ctx.retries < 2:
            raise ctx.retry(countdown=delay)
        return x

    return flaky


async def test_it_stays_for_retries(app: AioQueue) -> None:
    flaky = add_flaky(app, 0.4)

    @app.task
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    async with app:
        result = await chord([flaky.s(x) for x in range(20)], total.s()).send()
        assert await run(app) == 0
        assert await result.get(timeout=0) == sum(range(20))


async def test_a_later_burst_stays_for_the_retries_of_an_earlier_one(app: AioQueue) -> None:
    flaky = add_flaky(app, 0.6)
    async with app:
        result = await flaky.send(3)
        worker = app.worker(burst="now")
        async with asyncio.timeout(PATIENCE):
            assert await worker.run(install_signals=False) == 3
        assert (worker.left.retries, worker.left.delayed, worker.left.held) == (1, 0, 0)
        assert not await result.ready()
        assert await run(app) == 0
        assert await result.get(timeout=0) == 3


async def test_not_for_a_countdown_nor_for_the_retries_of_other_queues(app: AioQueue, caplog: Any) -> None:
    flaky = add_flaky(app, 30)

    @app.task
    async def plain() -> None: ...

    async with app:
        await flaky.options(queue="other").send(3)
        await run(app, "now", queues=["other"])
        await plain.options(countdown=60).send()
        with caplog.at_level(logging.INFO):
            assert await run(app, queues=["default"]) == 0
        assert "leaves in its queues: 1 task for later\n" in caplog.text


@pytest.mark.parametrize("others", [250, 500])
async def test_retries_among_many_that_are_delayed(app: AioQueue, others: int) -> None:
    flaky = add_flaky(app, 0.3)

    @app.task
    async def plain() -> None: ...

    async with app:
        result = await flaky.send(3)
        assert await run(app, "now") == 3
        await app.send_many(plain.s().set(countdown=60) for _ in range(others))
        worker = app.worker(burst=True)
        async with asyncio.timeout(PATIENCE):
            assert await worker.run(install_signals=False) == 0
        assert worker.left.delayed == others
        assert await result.get(timeout=0) == 3


async def test_it_stays_for_what_a_dead_worker_holds(make_app: MakeApp) -> None:
    app = make_app(visibility_timeout=1)

    @app.task
    async def work(x: int) -> int:
        return x

    async with app:
        broker = await app.broker()
        results = await app.send_many(work.s(x) for x in range(5))
        worker = app.worker()
        dead = broker.consumer(worker._status(broker), visibility_timeout=1, dead_letters_max_length=10)
        await dead.join()
        assert len(await dead.fetch(10, wait=1)) == 5
        assert await run(app, "now") == 3, "they may be somebody's"
        assert await run(app) == 0
        assert [await result.get(timeout=0) for result in results] == list(range(5))
        await dead.close()


async def test_not_for_what_a_living_worker_holds(make_app: MakeApp) -> None:
    app, gate = make_app(visibility_timeout=1), Gate()

    @app.task
    async def held() -> int:
        await gate.wait()
        return 1

    async with working(app):
        result = await held.send()
        await until(lambda: gate.came)
        assert await run(app) == 0
        assert not await result.ready()
        gate.open()
        assert await result.get(timeout=PATIENCE) == 1
        await until(lambda: is_empty(app))


@pytest.mark.parametrize("burst", ["later", 1.5, None])
def test_other_words(app: AioQueue, burst: Any) -> None:
    with pytest.raises(ConfigurationError, match="burst is True, False or 'now'"):
        app.worker(burst=burst)
