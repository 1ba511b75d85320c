"""Telling workers what to do."""

from __future__ import annotations

import asyncio

import pytest
from support.apps import Gate, working
from support.waiting import until

from aioqueue import AioQueue
from aioqueue.exceptions import AioQueueError, ConfigurationError, TimeLimitExceeded


async def test_one_stops_and_the_other_goes_on(app: AioQueue) -> None:
    gate = Gate()

    @app.task
    async def work() -> str:
        await gate.wait()
        return "done"

    async with app, app.worker(hostname="one"), app.worker(hostname="two"):
        sent = [await work.send() for _ in range(4)]
        await until(lambda: gate.inside == 4)
        assert await app.control.shutdown(destination="one") == {"one": "stops"}
        gate.open()
        assert [await result.get() for result in sent] == ["done"] * 4
        await until(lambda: _alive(app, ["two"]))
        assert await app.control.ping() == {"two": "pong"}
        assert await (await work.send()).get() == "done"


async def _alive(app: AioQueue, names: list[str]) -> bool:
    return [worker.name for worker in await app.inspect.workers()] == names


async def test_other_limits(app: AioQueue) -> None:
    @app.task(name="work", time_limit=60)
    async def work() -> None:
        await asyncio.Event().wait()

    async with working(app, hostname="w"):
        assert await app.control.time_limit("work", hard=0.05) == {"w": "soft None, hard 0.05"}
        with pytest.raises(TimeLimitExceeded):
            await (await work.send()).get()
        with pytest.raises(AioQueueError, match=r"worker w refuses: No task 'wrok'.*Did you mean 'work'"):
            await app.control.time_limit("wrok", hard=1)


async def test_without_a_loop(app: AioQueue) -> None:
    async with working(app, hostname="w"):
        assert await asyncio.to_thread(app.sync.control.shutdown) == {"w": "stops"}
        await until(lambda: _alive(app, []))


async def test_wrong_use(app: AioQueue) -> None:
    async with app:
        with pytest.raises(ConfigurationError, match=r"soft=, hard= or both"):
            await app.control.time_limit("work")
        with pytest.raises(ConfigurationError, match=r"The hard limit is .*Nothing was changed"):
            await app.control.time_limit("work", hard=-1)
