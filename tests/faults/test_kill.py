"""SIGKILL of workers: nothing is lost, every end happens once, and orphans run again in time (D1 to D5, D9)."""

from __future__ import annotations

import asyncio
import random

import pytest

from aioqueue import chain, chord, group
from aioqueue.exceptions import ChordError, UpstreamFailed, WorkerLost

from .arena import PATIENCE, Arena, states, until
from .workers import WorkerProcess


async def _busy(arena: Arena, workers: list[WorkerProcess]) -> WorkerProcess:
    """A worker that is running something."""

    def busy() -> WorkerProcess | None:
        return next((w for w in workers if w.exit_code is None and arena.score.running(w.pid)), None)

    return await until(busy, what="a worker to be busy")


@pytest.mark.parametrize(
    ("tasks", "kills"), [(2000, 3), pytest.param(30_000, 20, marks=pytest.mark.slow)], ids=["short", "long"]
)
async def test_killed_under_load(arena: Arena, tasks: int, kills: int) -> None:
    """D1, D2, D3, D4: three workers under load, and again and again one of them is killed and replaced."""
    workers = [await arena.worker() for _ in range(3)]
    sent = await arena.send("work", 0.05, count=tasks * 6 // 10)
    sent += await arena.send("again", 0.02, 1, count=tasks * 2 // 10)
    rejected = await arena.send("reject", 0.02, count=tasks * 2 // 10)
    for kill in range(kills):
        goal = tasks * (kill + 1) // (kills + 2)
        await until(lambda: len(arena.score.select("end")) >= goal, seconds=60)  # noqa: B023 - awaited at once
        random.shuffle(workers)
        victim = await _busy(arena, workers)
        await victim.kill()
        workers = [worker for worker in workers if worker is not victim]
        workers.append(await arena.worker())
    ends = await arena.ended([*sent, *rejected], 60)

    assert states(ends) == {"SUCCESS": len(sent), "FAILURE": len(rejected)}
    arena.check_dead_letters(len(rejected))
    assert arena.repeated(), "no kill has hit a running task"
    arena.check_repeats()
    arena.check_recovery()
    await arena.at_rest()


async def test_orphans_run_again_in_time(arena: Arena) -> None:
    """D4: within the visibility timeout and a second, with a worker that has nothing else to do."""
    victim = await arena.worker()
    results = await arena.send("work", 0.5, count=20)
    await arena.started(results, worker=victim)
    await arena.worker()
    await victim.kill()
    await arena.ended(results)
    assert len(arena.repeated()) == 20
    arena.check_recovery()


async def test_orphans_of_a_queue_with_its_own_timeout_run_again_in_time(arena: Arena) -> None:
    """D4: within the queue's visibility timeout and a second, whatever that of the app is."""
    settings = {"visibility_timeout": 600.0, "task_queues": [{"name": "default", "visibility_timeout": 1.0}]}
    victim = await arena.worker(**settings)
    results = await arena.send("work", 0.5, count=5)
    await arena.started(results, worker=victim)
    await arena.worker(**settings)
    await victim.kill()
    await arena.ended(results)
    assert len(arena.repeated()) == 5
    arena.check_recovery()


async def test_all_workers_killed(arena: Arena) -> None:
    """D1: what was running and what waited is run by workers that come later."""
    workers = [await arena.worker(concurrency=5) for _ in range(2)]
    results = await arena.send("work", 60.0, count=10)
    await arena.started(results)
    more = await arena.send("work", count=50)
    for worker in workers:
        await worker.kill()
    # The old ones are found dead by the new one. Their tasks would run for a minute again: they are revoked.
    for result in results:
        assert await result.revoke(terminate=True)
    await arena.worker()
    assert states(await arena.ended(more)) == {"SUCCESS": 50}
    arena.check_repeats()
    await arena.at_rest()


@pytest.mark.parametrize("how", ["exit", "signal"])
async def test_poison(arena: Arena, how: str) -> None:
    """D5: a task that kills each worker that takes it ends among the dead letters, and the waiter hears of it."""
    async with arena.supervised(1, max_deliveries=2):
        [poison] = await arena.send("poison", how)
        good = await arena.send("work", count=200)
        with pytest.raises(WorkerLost, match="max_deliveries=2"):
            await poison.get(timeout=30)
        assert states(await arena.ended(good)) == {"SUCCESS": 200}
    assert len(arena.score.select("start", id=poison.id)) == 2
    letter = await arena.app.dead_letters.get(poison.id)
    assert letter is not None
    assert (letter.name, letter.args, letter.deliveries) == ("poison", (how,), 3)
    arena.check_dead_letters(1)
    await arena.at_rest()


async def test_neighbours_of_poison(arena: Arena) -> None:
    """D5: those that ran beside such a task are not buried with it."""
    async with arena.supervised(1, max_deliveries=2):
        good = await arena.send("work", 0.4, count=5)
        [poison] = await arena.send("poison_after", 0.2)
        with pytest.raises(WorkerLost):
            await poison.get(timeout=60)
        assert states(await arena.ended(good, 60)) == {"SUCCESS": 5}


async def test_acknowledged_at_the_end(arena: Arena) -> None:
    """D9: at least once. A task that runs when its worker is killed runs again."""
    worker = await arena.worker()
    results = await arena.send("work", 0.5, count=5)
    await arena.started(results, worker=worker)
    await worker.kill()
    other = await arena.worker()
    ends = await arena.ended(results)
    assert {await result.get() for result in results} == {f"{other.pid}:2"}
    assert states(ends) == {"SUCCESS": 5}


@pytest.mark.parametrize("name", ["early", "by_hand"])
async def test_acknowledged_before(arena: Arena, name: str) -> None:
    """D9: at most once. A task that was acknowledged before its worker was killed does not run again."""
    worker = await arena.worker()
    results = await arena.send(name, 0.5, count=5)
    await arena.started(results, worker=worker)
    if name == "by_hand":
        await until(lambda: len(arena.score.select("acknowledged")) == 5)
    await worker.kill()
    await arena.worker()
    # Nobody waits for ever (D8): they end as lost, by the time at which others would have run again (D4).
    ends = await arena.ended(results)
    assert not arena.repeated()
    assert states(ends) == {"FAILURE": 5}
    for result in results:
        with pytest.raises(WorkerLost, match="acknowledged before its end"):
            await result.get()
    await until(lambda: len(arena.leases()) == 1 and not any(arena.contents().values()))


@pytest.mark.parametrize("name", ["early", "by_hand"])
async def test_acknowledged_before_in_a_workflow(arena: Arena, name: str) -> None:
    """D8: what comes after a lost task ends too, once; its error handlers hear of it."""
    lost = arena.app.tasks[name]
    echo, handler = arena.app.tasks["echo"], arena.app.tasks["heard"]
    worker = await arena.worker()
    canvases = [
        chain(lost.s(60.0), echo.si("after")).on_error(handler.s()),
        chord([lost.s(60.0), echo.s("member")], echo.si("body")),
        group(lost.s(60.0), echo.s("member")),
    ]
    results = [await canvas.send() for canvas in canvases]
    await until(lambda: len(arena.score.running(worker.pid)) == 3)
    if name == "by_hand":
        await until(lambda: len(arena.score.select("acknowledged")) == 3)
    await worker.kill()
    await arena.worker()
    for result, kind in zip(results, (UpstreamFailed, ChordError, WorkerLost), strict=True):
        with pytest.raises(kind):
            await result.get(timeout=PATIENCE)
    await until(lambda: len(arena.score.select("heard")) == 1)
    assert not arena.repeated()
    await until(lambda: not any(arena.contents().values()))


@pytest.mark.parametrize("name", ["early", "by_hand"])
async def test_frozen_after_its_acknowledgement(arena: Arena, name: str) -> None:
    """D2: its worker is taken for dead; when it wakes up, what it says counts for nothing."""
    worker = await arena.worker()
    results = await arena.send(name, 0.5, count=5)
    await arena.started(results, worker=worker)
    if name == "by_hand":
        await until(lambda: len(arena.score.select("acknowledged")) == 5)
    worker.freeze()
    await arena.worker()
    assert states(await arena.ended(results)) == {"FAILURE": 5}
    worker.thaw()
    await until(lambda: len(arena.leases()) == 2)
    assert {(await result.info()).state for result in results} == {"FAILURE"}
    assert not arena.repeated()


async def test_killed_between_fetching_and_starting(arena: Arena) -> None:
    """D1: what a worker has only prefetched is run by another."""
    worker = await arena.worker(concurrency=1, worker_prefetch=50)
    [running] = await arena.send("work", 60.0)
    await arena.started([running], worker=worker)
    waiting = await arena.send("work", count=50)
    await until(lambda: arena.waiting() == (51, 51), what="50 tasks to be prefetched")
    await worker.kill()
    assert await running.revoke()
    other = await arena.worker()
    await arena.ended(waiting)
    assert {await result.get() for result in waiting} == {f"{other.pid}:2"}
    assert all(len(arena.score.select("start", id=result.id)) == 1 for result in waiting)


async def test_idle_after_kills(arena: Arena) -> None:
    """Consumers, leases and descriptions of dead workers do not pile up."""
    for _ in range(3):
        worker = await arena.worker()
        await arena.ended(await arena.send("work"))
        await worker.kill()
    await arena.worker()
    await until(lambda: len(arena.leases()) == 1)
    await arena.at_rest()
    client = arena.server.client
    await until(lambda: len(client.xinfo_consumers(arena.key("q:default:0"), "workers")) <= 1)
    await asyncio.sleep(0)
