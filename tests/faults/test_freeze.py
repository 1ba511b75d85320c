"""Workers that stop for a while, or seem to: SIGSTOP, blocked event loops, long tasks (D2, D3)."""

from __future__ import annotations

import asyncio

from aioqueue.brokers.protocol import WorkerStatus

from .arena import VISIBILITY_TIMEOUT, Arena, states, until
from .workers import WorkerProcess


async def _incarnations(arena: Arena, worker: WorkerProcess) -> list[WorkerStatus]:
    """What a process is known as to the broker."""
    broker = await arena.app.broker()
    return [status for status in await broker.workers() if status.pid == worker.pid]


async def _taken_over(arena: Arena, worker: str) -> None:
    await until(lambda: worker not in arena.leases() and not arena.contents()["fallen"], what="a worker to fall")


async def test_frozen_in_the_middle(arena: Arena) -> None:
    """D2: what a worker ends after its lease has gone to another counts for nothing, and the other is not disturbed."""
    frozen = await arena.worker()
    [before] = await _incarnations(arena, frozen)
    results = await arena.send("work", 1.0, count=5)
    rejected = await arena.send("reject", 1.0, count=5)
    await arena.started([*results, *rejected], worker=frozen)
    frozen.freeze()
    other = await arena.worker()
    await arena.started([*results, *rejected], worker=other)
    # In the middle of the second runs the first ones end, for their sleep is over by the clock.
    frozen.thaw()
    await until(lambda: len(arena.score.select("end", pid=frozen.pid)) == 10, what="the first runs to end")
    assert not arena.score.select("end", pid=other.pid), "the second runs should not have ended yet"
    ends = await arena.ended([*results, *rejected])

    assert {await result.get() for result in results} == {f"{other.pid}:2"}
    assert states(ends) == {"SUCCESS": 5, "FAILURE": 5}
    arena.check_dead_letters(5)
    assert {len(runs) for runs in arena.score.runs().values()} == {2}
    # It goes on under another name.
    [after] = await until(lambda: _incarnations(arena, frozen), what="the thawed worker to join again")
    assert after.id != before.id
    assert "under a new identity" in frozen.log
    await other.kill()
    again = await arena.send("work")
    await arena.ended(again)
    assert await again[0].get() == f"{frozen.pid}:1"
    await arena.at_rest()


async def test_frozen_for_long(arena: Arena) -> None:
    """D2: the same when the others have long been done, three visibility timeouts later."""
    frozen = await arena.worker()
    results = await arena.send("work", 0.5, count=5)
    rejected = await arena.send("reject", 0.5, count=5)
    await arena.started([*results, *rejected], worker=frozen)
    frozen.freeze()
    frozen_at = asyncio.get_running_loop().time()
    other = await arena.worker()
    await arena.ended([*results, *rejected])
    await until(lambda: asyncio.get_running_loop().time() > frozen_at + 3 * VISIBILITY_TIMEOUT)
    frozen.thaw()
    await until(lambda: "under a new identity" in frozen.log, what="the thawed worker to notice")

    await arena.ended(await arena.send("work", count=50))
    assert {await result.get() for result in results} == {f"{other.pid}:2"}
    arena.check_dead_letters(5)
    arena.check_repeats()
    await arena.at_rest()


async def test_frozen_with_prefetched_tasks(arena: Arena) -> None:
    """D3: what a worker had not started when it was frozen is not started when it is thawed, for others have run it."""
    frozen = await arena.worker(concurrency=5, worker_prefetch=20)
    results = await arena.send("work", 0.3, count=25)
    await arena.started(results[:5], worker=frozen)
    await until(lambda: arena.waiting() == (25, 25), what="20 tasks to be prefetched")
    frozen.freeze()
    await arena.worker()
    await arena.ended(results)
    frozen.thaw()
    await until(lambda: "under a new identity" in frozen.log, what="the thawed worker to notice")
    assert len(arena.score.select("start", pid=frozen.pid)) == 5
    assert len(arena.repeated()) == 5
    await arena.at_rest()


async def test_frozen_while_idle(arena: Arena) -> None:
    """D1, D4: a worker that waits for work when it is frozen is not given any that then stays with it."""
    frozen = await arena.worker()
    [status] = await _incarnations(arena, frozen)
    # It has found nothing, and waits in a blocking read.
    await until(lambda: any(c["cmd"] == "xreadgroup" for c in arena.server.client.client_list()))
    frozen.freeze()
    other = await arena.worker()
    await _taken_over(arena, status.id)
    results = await arena.send("work", count=20)
    await arena.ended(results, 10)
    assert {(await result.get()).partition(":")[0] for result in results} == {str(other.pid)}
    await arena.at_rest()


async def test_frozen_again_and_again(arena: Arena) -> None:
    """D1, D2, D3: two workers, frozen in turn for longer than their lease, under load."""
    workers = [await arena.worker() for _ in range(2)]
    results = await arena.send("work", 0.05, count=600)
    rejected = await arena.send("reject", 0.05, count=200)
    for turn in range(4):
        victim = workers[turn % 2]
        await until(lambda: arena.score.running(victim.pid) or len(arena.score.select("end")) >= 800)  # noqa: B023
        victim.freeze()
        [status] = await _incarnations(arena, victim) or [None]
        if status is not None:
            await _taken_over(arena, status.id)
        victim.thaw()
    ends = await arena.ended([*results, *rejected])
    assert states(ends) == {"SUCCESS": 600, "FAILURE": 200}
    arena.check_dead_letters(200)
    arena.check_repeats(often=True)
    await arena.at_rest()


async def test_long_and_blocking(arena: Arena) -> None:
    """D3: neither a long task nor one that blocks the event loop is run twice."""
    await arena.worker(concurrency=5)
    await arena.worker(concurrency=5)
    long = await arena.send("work", 3 * VISIBILITY_TIMEOUT, count=2)
    threads = await arena.send("thread", 3 * VISIBILITY_TIMEOUT, count=2)
    await arena.started([*long, *threads])
    blocking = await arena.send("block", 2.5 * VISIBILITY_TIMEOUT)
    prefetched = await arena.send("work", 0.01, count=20)
    results = [*long, *threads, *blocking, *prefetched]
    ends = await arena.ended(results)
    assert states(ends) == {"SUCCESS": len(results)}
    assert not arena.repeated()
    assert {(await result.get()).partition(":")[2] for result in results} == {"1"}
    await arena.at_rest()
