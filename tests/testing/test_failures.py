"""`fail_next`."""

from __future__ import annotations

import pytest

from aioqueue import AioQueue, TaskContext
from aioqueue.exceptions import NotRegistered
from aioqueue.testing import Testing


async def test_the_next_runs_fail_and_the_rules_follow(app: AioQueue, t: Testing) -> None:
    ran: list[int] = []

    @app.task(bind=True, autoretry_for=(ConnectionError,))
    async def fetch(ctx: TaskContext) -> str:
        ran.append(ctx.retries)
        return "done"

    t.fail_next(fetch, ConnectionError("down"), times=2)
    assert await t.run(fetch) == "done"
    assert ran == [2]
    t.fail_next(fetch, ValueError)
    result = await fetch.send()
    await t.drain()
    with pytest.raises(ValueError):
        await result
    assert await t.run(fetch) == "done"


async def test_plain_functions_and_names(app: AioQueue, t: Testing) -> None:
    @app.task(name="double")
    def double(n: int) -> int:
        return 2 * n

    t.fail_next("double", KeyError("x"))
    t.fail_next(double, OSError("y"))
    assert double(2) == 4  # a call is no run
    with pytest.raises(KeyError):
        await t.run(double, 2)
    with pytest.raises(OSError):
        await t.run(double, 2)
    assert await t.run(double, 2) == 4
    with pytest.raises(NotRegistered):
        t.fail_next("doubel", ValueError())
    with pytest.raises(ValueError):
        t.fail_next(double, ValueError(), times=0)


async def test_failures_end_with_the_test(app: AioQueue) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    function = add.function
    async with app.testing() as t:
        t.fail_next(add, ValueError())
    assert add.function is function
    async with app.testing() as t:
        assert await t.run(add, 2, 3) == 5
