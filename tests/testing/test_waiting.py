"""Waiting for what nothing is going to give."""

from __future__ import annotations

import asyncio

import pytest

from aioqueue import AioQueue, every
from aioqueue.exceptions import TimeoutError
from aioqueue.testing import Testing


async def test_it_is_an_error_that_says_what_to_do(app: AioQueue, t: Testing) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    result = await add.send(2, 3)
    with pytest.raises(TimeoutError, match=r"nothing runs it.*t.drain\(\)"):
        await asyncio.wait_for(result.get(), 10)
    with pytest.raises(TimeoutError, match="was not sent in this test"):
        await asyncio.wait_for(app.result("unknown").get(), 10)
    with pytest.raises(TimeoutError, match=r"has not ended after 0.05 s"):
        await result.get(timeout=0.05)
    later = await add.options(countdown=600).send(2, 3)
    await t.drain()
    assert await result == 5
    with pytest.raises(TimeoutError, match=r"clock.advance\(seconds=59"):
        await asyncio.wait_for(later.get(), 10)


async def test_a_result_that_has_expired_is_told_as_such() -> None:
    app = AioQueue("shop", broker="redis://nobody.invalid")

    @app.periodic(every(hours=20), name="report", max_runs=1)
    async def report() -> str:
        return "all is well"

    async with app.testing() as t:  # in memory; on a server the clock of a test has no say in what expires
        await t.clock.advance(hours=20)
        (sent,) = t.sent(report)
        assert await app.result(sent.id).get() == "all is well"
        await t.clock.advance(days=1, seconds=1)
        with pytest.raises(TimeoutError, match=r"report \(.*\) has ended, .*kept.*result_expires is 86400"):
            await asyncio.wait_for(app.result(sent.id).get(), 10)


async def test_a_worker_of_the_tests_own_gives_it(app: AioQueue, t: Testing) -> None:
    @app.task
    async def slow() -> str:
        await asyncio.sleep(2.5)
        return "done"

    async with app.worker():
        assert await (await slow.send()) == "done"


async def test_a_long_drain_gives_it(app: AioQueue, t: Testing) -> None:
    @app.task
    async def slow() -> str:
        await asyncio.sleep(2.5)
        return "done"

    result = await slow.send()
    value, _ = await asyncio.gather(result.get(), t.drain())
    assert value == "done"
