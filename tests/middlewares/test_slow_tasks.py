"""Warnings of tasks that run for long."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import Any

import pytest
from support.apps import Gate, MakeApp, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Task
from aioqueue.exceptions import ConfigurationError
from aioqueue.middlewares import SlowTasks, StructuredLogging
from aioqueue.middlewares.slow_tasks import _watch

SOON = 0.02


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings so far."""
    return [record.getMessage() for record in caplog.records if "has been running" in record.getMessage()]


async def told_of(task: Task[[], None], gate: Gate, caplog: pytest.LogCaptureFixture) -> tuple[str, str]:
    """The id of a run that waits at the gate, and the warning of it; of one that has got there before it."""
    for _ in range(20):
        result, count = await task.send(), len(told(caplog))
        text = (await until(lambda count=count: told(caplog)[count:]))[0]
        if "Gate" in text or "gate." in text:
            break
    gate.open()
    await result.get(timeout=20)
    return result.id, text


@pytest.mark.parametrize("limits", [{}, {"soft_time_limit": 60}])
async def test_of_a_coroutine_that_waits(
    app: AioQueue, caplog: pytest.LogCaptureFixture, limits: dict[str, Any]
) -> None:
    app.add_middleware(SlowTasks(SOON))
    gate = Gate()

    async def deep_inside() -> None:
        await gate.wait()

    @app.task(name="slow", queue="high", **limits)
    async def slow() -> None:
        async with asyncio.timeout(PATIENCE):
            await deep_inside()

    async with working(app):
        id, text = await told_of(slow, gate, caplog)
    first, *lines = text.splitlines()
    assert first.startswith(f"Task slow[{id}] from the queue high has been running for 0.")
    assert "in slow" in lines[0]
    assert "await deep_inside()" in lines[1]
    assert "in deep_inside" in lines[2]
    assert "await gate.wait()" in lines[3]
    assert "execution.py" not in text
    assert len(set(told(caplog))) == len(told(caplog)), "each run once"


async def test_of_a_function_in_a_thread(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    app.add_middleware(SlowTasks(SOON))
    gate = Gate()

    def deep_inside() -> None:
        gate.block()

    @app.task(name="slow")
    def slow() -> None:
        deep_inside()

    async with working(app):
        _, text = await told_of(slow, gate, caplog)
    assert "in slow" in text.splitlines()[1]
    assert "gate.block()" in text
    assert "threads.py" not in text


async def test_of_a_coroutine_that_blocks_the_event_loop(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    app.add_middleware(SlowTasks(SOON))

    @app.task(name="slow")
    async def slow() -> None:
        end = time.monotonic() + PATIENCE
        while not told(caplog) and time.monotonic() < end:
            time.sleep(0.001)  # noqa: ASYNC251

    async with working(app):
        await (await slow.send()).get(timeout=60)
    (text,) = told(caplog)
    assert "in slow" in text
    assert "time.sleep(0.001)" in text or "told(caplog)" in text


async def test_quick_ones_are_not_told_of_and_nothing_stays(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    app.add_middleware(SlowTasks(PATIENCE))

    @app.task(name="quick")
    async def quick() -> None: ...

    @app.task(name="fails")
    async def fails() -> None:
        raise KeyError

    async with working(app):
        await (await quick.send()).get(timeout=20)
        with pytest.raises(KeyError):
            await (await fails.send()).get(timeout=20)
    assert told(caplog) == []
    assert not _watch._runs


async def test_each_task_has_its_own_time(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()

    @app.task(name="patient", middleware=[SlowTasks(timedelta(minutes=5))])
    async def patient() -> None:
        await gate.wait()

    @app.task(name="impatient", middleware=[SlowTasks(SOON, level=logging.ERROR)])
    async def impatient() -> None:
        await gate.wait()

    async with working(app):
        results = [await patient.send()]
        await until(lambda: gate.inside == 1)  # it is watched first, and due later
        results.append(await impatient.send())
        await until(lambda: told(caplog))
        gate.open()
        for result in results:
            await result.get(timeout=20)
    (text,) = told(caplog)
    assert text.startswith("Task impatient[")
    assert [record.levelname for record in caplog.records if "has been running" in record.getMessage()] == ["ERROR"]


async def test_the_warning_has_the_fields_of_structured_logging(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    app.add_middleware(StructuredLogging())
    app.add_middleware(SlowTasks(SOON))
    gate = Gate()

    @app.task(name="slow")
    async def slow() -> None:
        await gate.wait()

    async with working(app):
        result = await slow.send()
        await until(lambda: told(caplog))
        gate.open()
        await result.get(timeout=20)
    (record,) = [record for record in caplog.records if "has been running" in record.getMessage()]
    assert vars(record)["task_id"] == result.id


@pytest.mark.parametrize("after", [0, -1, "10", None])
def test_what_it_takes(after: Any) -> None:
    with pytest.raises(ConfigurationError, match="option after of SlowTasks is a number of seconds above 0"):
        SlowTasks(after)
