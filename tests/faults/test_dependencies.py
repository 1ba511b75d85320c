"""What tasks depend on is closed, however their worker is told to stop; and opened again where they run again."""

from __future__ import annotations

import pytest

from .arena import Arena, states

# Longer than any of these tests: what comes back within it has been handed back, not taken over.
_LONG_LEASE = 60.0


async def test_running_tasks_end(arena: Arena) -> None:
    """SIGTERM: what running tasks depend on is closed with them, and after the last of them what the worker shares."""
    worker = await arena.worker(visibility_timeout=_LONG_LEASE)
    results = [*await arena.send("depends", 0.5, count=3), *await arena.send("depends_thread", 0.5, count=3)]
    await arena.started(results, worker=worker)
    worker.terminate()
    assert await worker.ended() == 0
    assert states(await arena.ended(results)) == {"SUCCESS": 6}
    score = arena.score
    assert {line.id for line in score.select("closes")} == {result.id for result in results}
    assert score.select("told") == []
    assert len(score.select("pool opens")) == 1
    assert [line.event for line in score.lines()][-1] == "pool closes"


@pytest.mark.parametrize("kind", ["depends", "depends_thread"])
async def test_running_for_longer(arena: Arena, kind: str) -> None:
    """What is handed back is told why, and closed before the worker leaves."""
    worker = await arena.worker(visibility_timeout=_LONG_LEASE, shutdown_timeout=0.2)
    results = await arena.send(kind, 30.0, count=3)
    await arena.started(results, worker=worker)
    worker.terminate()
    assert await worker.ended() == 1
    score, ids = arena.score, {result.id for result in results}
    told = score.select("told", pid=worker.pid)
    assert {line.id for line in told} == ids
    assert {line.note for line in told} == {"CancelledError" if kind == "depends" else "LeaseLost"}
    assert {line.id for line in score.select("closes", pid=worker.pid)} == ids
    assert [line.event for line in score.lines()][-1] == "pool closes"
    other = await arena.worker(visibility_timeout=_LONG_LEASE)
    await arena.started(results, worker=other)


async def test_killed(arena: Arena) -> None:
    """Nothing is closed there; the task runs again elsewhere, and what it depends on is opened there."""
    worker = await arena.worker()
    results = await arena.send("depends", 0.5, count=3)
    await arena.started(results, worker=worker)
    await worker.kill()
    other = await arena.worker()
    assert states(await arena.ended(results)) == {"SUCCESS": 3}
    score = arena.score
    assert score.select("closes", pid=worker.pid) == []
    assert {line.id for line in score.select("closes", pid=other.pid)} == {result.id for result in results}
    assert len(score.select("pool opens", pid=other.pid)) == 1
