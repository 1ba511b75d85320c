"""Workers that are killed or frozen when an end is settled, and its hooks and handlers were not called yet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aioqueue import AsyncResult

from .arena import PATIENCE, Arena, until
from .record import Line
from .tasks import HELD
from .workers import WorkerProcess

MOMENTS = ("on_success", "after_return", "task_success")


@pytest.fixture
def let_go(arena: Arena) -> Callable[[], None]:
    """Holds hooks up until it is called."""
    path = arena.folder / HELD
    path.touch()
    return path.unlink


async def _between(arena: Arena, worker: WorkerProcess) -> tuple[AsyncResult[None], AsyncResult[None]]:
    """Two tasks that have ended: a hook of the first goes on, and those of the second wait behind it."""
    results = await arena.send("told", 0.0, count=2)
    await arena.ended(results)
    [hook] = await until(lambda: arena.score.select("on_success", pid=worker.pid), what="a hook to be called")
    first, second = sorted(results, key=lambda result: result.id != hook.id)
    return first, second


def _told(arena: Arena, result: AsyncResult[None]) -> list[Line]:
    """What was told of a task, in order."""
    return [line for line in arena.score.lines() if line.event in MOMENTS and line.id == result.id]


async def test_killed(arena: Arena, let_go: Callable[[], None]) -> None:
    """The ends count, and nobody calls their hooks later: they are called at most once."""
    worker = await arena.worker(concurrency=1, signal_timeout=PATIENCE)
    first, second = await _between(arena, worker)
    await worker.kill()
    let_go()
    other = await arena.worker(concurrency=1)
    [third] = await arena.send("told", 0.0)
    await until(lambda: len(_told(arena, third)) == len(MOMENTS), what="the hooks of a third task")
    assert tuple(line.event for line in _told(arena, third)) == MOMENTS
    assert [line.event for line in _told(arena, first)] == ["on_success"]
    assert _told(arena, second) == []
    assert [line.id for line in arena.score.select("closes", pid=other.pid)] == [third.id]
    assert {line.id for line in arena.score.select("closes", pid=worker.pid)} == {first.id, second.id}
    assert not arena.repeated()
    await arena.at_rest()


async def test_frozen(arena: Arena, let_go: Callable[[], None]) -> None:
    """Of the ends that it had settled it tells when it is thawed, once; and of what has ended elsewhere nothing."""
    frozen = await arena.worker(concurrency=1, signal_timeout=PATIENCE)
    first, second = await _between(arena, frozen)
    [third] = await arena.send("told", 1.0)
    await arena.started([third], worker=frozen)
    frozen.freeze()
    let_go()
    other = await arena.worker(concurrency=1)
    await until(lambda: len(_told(arena, third)) == len(MOMENTS), what="the hooks of the third task")
    frozen.thaw()
    await until(lambda: "under a new identity" in frozen.log, what="the thawed worker to notice")
    for result, worker in ((first, frozen), (second, frozen), (third, other)):
        assert [(line.event, line.pid) for line in _told(arena, result)] == [(one, worker.pid) for one in MOMENTS]
    assert sorted(line.id for line in arena.score.select("closes", pid=frozen.pid)) == sorted(
        result.id for result in (first, second, third)
    )
    assert [line.id for line in arena.score.select("closes", pid=other.pid)] == [third.id]
    assert [run.start.id for run in arena.repeated()] == [third.id]
    await arena.at_rest()
