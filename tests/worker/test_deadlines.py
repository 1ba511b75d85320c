"""One timer for all limits: they are kept in order, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from support.waiting import PATIENCE

from aioqueue.worker.deadlines import Deadlines
from aioqueue.worker.run import Phase


def _run(name: str) -> Any:
    return SimpleNamespace(phase=Phase.RUNNING, delivery=SimpleNamespace(id=name))


async def test_a_limit_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    deadlines, reached = Deadlines(), asyncio.Event()

    def fail(run: Any) -> None:
        raise RuntimeError

    deadlines.add(0.001, _run("bad"), fail)
    deadlines.add(0.002, _run("bad too"), fail)
    deadlines.add(0.02, _run("good"), lambda run: reached.set())
    async with asyncio.timeout(PATIENCE):
        await reached.wait()
    assert "limit of task bad could not be kept" in caplog.text
    deadlines.close()


async def test_sweeping_keeps_the_limits_of_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the earliest, for which the timer is set, and the order of the others."""
    deadlines, reached = Deadlines(), []
    over, runs = [_run("over") for _ in range(5000)], [_run(str(number)) for number in range(10)]
    everything = asyncio.Event()

    def expire(run: Any) -> None:
        reached.append(run.delivery.id)
        if len(reached) == len(runs):
            everything.set()

    now = deadlines._loop.time()
    with monkeypatch.context() as still:  # however long it takes to add them
        still.setattr(deadlines._loop, "time", lambda: now)
        for number, run in enumerate(runs):
            deadlines.add(0.05 - 0.005 * number, run, expire)
    for run in over:
        run.phase = Phase.OVER
        deadlines.add(3600, run, expire)
    assert len(deadlines._heap) <= 1000 + len(runs)
    async with asyncio.timeout(PATIENCE):
        await everything.wait()
    assert reached == [str(number) for number in reversed(range(10))]
    deadlines.close()


async def test_many_that_run_are_not_swept_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held grows twofold between two sweeps, so each limit is looked at a few times, not once for each."""
    sweeps: list[int] = []

    def heapify(heap: list[Any]) -> None:
        sweeps.append(len(heap))

    monkeypatch.setattr("aioqueue.worker.deadlines.heapify", heapify)
    deadlines = Deadlines()
    for number in range(20_000):
        deadlines.add(3600 + number, _run(str(number)), lambda run: None)
    assert sum(sweeps) <= 2 * 20_000
    deadlines.close()
