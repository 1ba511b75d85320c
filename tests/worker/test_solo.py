"""The pool "solo": one task at a time, plain functions in the thread of the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from support.apps import ended, working
from support.waiting import PATIENCE

from aioqueue import AioQueue, TaskContext
from aioqueue.exceptions import ConfigurationError


def _app() -> AioQueue:
    return AioQueue("solo", broker="memory://")


async def test_plain_functions_run_in_the_loops_thread_one_at_a_time() -> None:
    app, inside, most = _app(), 0, 0

    @app.task
    async def coroutine() -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        return threading.get_ident()

    @app.task
    def plain() -> int:
        return threading.get_ident()

    @app.task
    def of_its_own() -> int:
        async def inner() -> int:
            await asyncio.sleep(0)
            return 5

        return asyncio.run(inner())

    @app.task
    def fails() -> None:
        raise ValueError("no")

    async with working(app, pool="solo", concurrency=5) as worker:
        assert (worker.pool, worker.concurrency) == ("solo", 1)
        here = threading.get_ident()
        sent = [await task.send() for task in (coroutine, plain) * 3]
        assert [await one.get(timeout=PATIENCE) for one in sent] == [here] * 6
        assert most == 1
        assert await of_its_own.call(timeout=PATIENCE) == 5
        with pytest.raises(ValueError, match="no"):
            await fails.call(timeout=PATIENCE)


async def test_what_it_tells_of_itself_comes_before_its_end() -> None:
    app, states = _app(), list[Any]()

    @app.task(bind=True)
    def work(ctx: TaskContext) -> int:
        ctx.progress(1, 2)
        ctx.update_state("HALF", {"done": 1})
        return 1

    @app.task(bind=True)
    def wrong(ctx: TaskContext) -> int:
        ctx.update_state("HALF", object())
        return 1

    app.conf.worker_pool = "solo"
    async with app:
        result = await work.send()
        watching = asyncio.create_task(_states(result, states))
        await asyncio.sleep(0)
        async with working(app):
            await asyncio.wait_for(watching, PATIENCE)
            assert states[-1] == "SUCCESS"
            assert (await ended(await wrong.send())).state == "FAILURE"
    assert "HALF" in states or "PROGRESS" in states


async def _states(result: Any, states: list[Any]) -> None:
    states.extend([info.state async for info in result.watch()])


async def test_other_pools() -> None:
    app = _app()
    assert app.worker().pool == "async"
    assert app.worker(pool="gevent").pool == "async"
    assert app.worker(pool="threads").pool == "threads"
    assert app.worker(pool="prefork").pool == "processes"  # type: ignore[arg-type]
    for wrong, why in (("solow", "'solo'"), (5, "'solo'")):
        with pytest.raises(ConfigurationError, match=why):
            app.worker(pool=wrong)  # type: ignore[arg-type]


def test_how_much_is_held() -> None:
    app = _app()
    assert app.worker().prefetch is None
    app.conf.worker_prefetch_multiplier = 4
    assert app.worker(concurrency=5).prefetch == 15
    assert app.worker(pool="solo").prefetch == 3
    app.conf.worker_prefetch = 2
    assert app.worker().prefetch == 2
