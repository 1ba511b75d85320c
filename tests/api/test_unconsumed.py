"""A queue that no worker consumes is told to those who wait for a task in it."""

from __future__ import annotations

import asyncio

import pytest
from support.apps import MakeApp, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, group
from aioqueue.exceptions import TimeoutError


async def test_who_waits_in_vain_hears_of_the_queue(app: AioQueue) -> None:
    @app.task(name="work")
    async def work() -> int:
        return 1

    async def why(result: object) -> str:
        with pytest.raises(TimeoutError) as caught:
            await result.get(timeout=0.02)  # type: ignore[attr-defined]
        return str(caught.value)

    async with app:
        sent = await work.options(queue="elsewhere").send()
        assert sent.queue == "elsewhere"
        text = await why(sent)
        assert "the queue 'elsewhere', which no living worker consumes: no worker is alive (" in text
        assert "which other broker or namespace it has" in text and "-Q" not in text
        assert "No worker is alive (" in await why(app.result(sent.id))
        async with working(app):
            text = await why(sent)
            assert "'elsewhere', which no living worker consumes: those that are alive take default. Start one" in text
            assert "-Q elsewhere." in text
            assert "No living worker consumes elsewhere, where tasks wait." in await why(app.result(sent.id))
            many = await group(work.si().set(queue="elsewhere") for _ in range(2)).send()
            assert "0 of the 2 tasks" in (text := await why(many))
            assert "No living worker consumes elsewhere, where tasks wait." in text


async def test_it_is_told_before_long(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()

    @app.task(name="work")
    async def work() -> int:
        return 1

    async with app, working(app):
        there = await work.send()
        sent = [await work.options(queue="elsewhere").send() for _ in range(2)]
        waits = [asyncio.create_task(one.get()) for one in sent]
        await until(lambda: "no living worker consumes" in caplog.text)
        assert await there.get(timeout=PATIENCE) == 1
        async with app.worker(queues=["elsewhere"]):
            assert await asyncio.gather(*waits) == [1, 1]
    [line] = [record.getMessage() for record in caplog.records if "no living worker" in record.getMessage()]
    assert "elsewhere" in line and "-Q elsewhere" in line and any(one.id in line for one in sent)
