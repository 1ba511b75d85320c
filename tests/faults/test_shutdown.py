"""Stopping workers: what runs may end, what does not is at once with others, and nothing takes longer than it may."""

from __future__ import annotations

from time import monotonic

import pytest

from .arena import SLACK, Arena, states, until
from .proxy import Loss, Proxy

# Longer than any of these tests: what comes back within it has been handed back, not taken over.
_LONG_LEASE = 60.0


async def test_running_tasks_end(arena: Arena) -> None:
    """SIGTERM: running tasks end and are settled; what had not started is with others before that."""
    worker = await arena.worker(concurrency=5, worker_prefetch=20, visibility_timeout=_LONG_LEASE)
    running = await arena.send("work", 2.0, count=5)
    await arena.started(running, worker=worker)
    waiting = await arena.send("work", count=20)
    await until(lambda: arena.waiting() == (25, 25), what="20 tasks to be prefetched")
    other = await arena.worker(visibility_timeout=_LONG_LEASE)
    worker.terminate()
    await arena.ended(waiting)
    assert worker.exit_code is None, "the others should not have had to wait for its end"
    assert {await result.get() for result in waiting} == {f"{other.pid}:1"}
    assert await worker.ended() == 0
    assert {await result.get() for result in running} == {f"{worker.pid}:1"}
    assert len(arena.leases()) == 1
    assert not arena.repeated()
    await arena.at_rest()


async def test_stopped_under_load(arena: Arena) -> None:
    """SIGTERM while many tasks end: none of them runs again."""
    results = await arena.send("work", 0.001, count=6000)
    workers = []
    for turn in range(3):
        workers.append(await arena.worker(visibility_timeout=_LONG_LEASE))
        await until(lambda: len(arena.score.select("end", pid=workers[-1].pid)) >= 300)
        workers[-1].terminate()
        assert await workers[-1].ended() == 0, turn
    await arena.worker(visibility_timeout=_LONG_LEASE)
    assert states(await arena.ended(results)) == {"SUCCESS": 6000}
    assert not arena.repeated()
    assert len(arena.score.select("end")) == 6000
    await arena.at_rest()


async def test_stopped_under_load_and_bad_network(arena: Arena, proxy: Proxy) -> None:
    """The same when ends need several tries to be settled."""
    worker = await arena.worker(url=proxy.url, visibility_timeout=_LONG_LEASE)
    results = await arena.send("work", 0.3, count=20)
    await arena.started(results)
    lost = proxy.lose(Loss.REQUEST, "settle", "settle_one", times=4)
    await until(lambda: lost.done)
    worker.terminate()
    assert await worker.ended() == 0
    assert {await result.get(timeout=5) for result in results} == {f"{worker.pid}:1"}
    await arena.at_rest()


@pytest.mark.parametrize("kind", ["work", "stubborn", "thread"])
async def test_running_for_longer(arena: Arena, kind: str) -> None:
    """What runs for longer than the timeout is handed back, and another worker has it at once."""
    worker = await arena.worker(visibility_timeout=_LONG_LEASE, shutdown_timeout=0.5)
    results = await arena.send(kind, 2.0, count=5)
    await arena.started(results, worker=worker)
    other = await arena.worker(visibility_timeout=_LONG_LEASE)
    worker.terminate()
    assert await worker.ended() == 1
    await arena.started(results, worker=other)
    assert states(await arena.ended(results)) == {"SUCCESS": 5}
    assert {await result.get() for result in results} == {f"{other.pid}:1"}
    await arena.at_rest()


async def test_acknowledged_and_running_for_longer(arena: Arena) -> None:
    """D8: a task that was acknowledged early cannot be handed back; its waiter hears that it was cut short."""
    worker = await arena.worker(shutdown_timeout=0.3)
    results = await arena.send("early", 60.0, count=3)
    await arena.started(results, worker=worker)
    worker.terminate()
    assert await worker.ended() == 1
    assert states(await arena.ended(results, 5)) == {"FAILURE": 3}
    await arena.at_rest()


async def test_second_signal(arena: Arena) -> None:
    """The second SIGTERM: it leaves now, and hands back what runs."""
    worker = await arena.worker(visibility_timeout=_LONG_LEASE, shutdown_timeout=600.0)
    results = await arena.send("work", 1.0, count=5)
    await arena.started(results, worker=worker)
    worker.terminate()
    await until(lambda: "SIGTERM, it stops" in worker.log)
    # Signals that arrive together are one.
    heard = monotonic()
    await until(lambda: monotonic() > heard + 0.6)
    worker.terminate()
    assert await worker.ended() == 1
    await arena.worker(visibility_timeout=_LONG_LEASE)
    assert states(await arena.ended(results)) == {"SUCCESS": 5}
    await arena.at_rest()


async def test_idle(arena: Arena) -> None:
    """An idle worker that waits for work stops at once."""
    worker = await arena.worker()
    await until(lambda: any(c["cmd"] == "xreadgroup" for c in arena.server.client.client_list()))
    worker.terminate()
    asked = monotonic()
    assert await worker.ended() == 0
    assert monotonic() - asked < 1 + SLACK
    assert not arena.leases()
    await arena.at_rest()


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_while_the_broker_is_away(arena: Arena, how: str) -> None:
    """SIGTERM while there is no broker: it stops in bounded time, and its tasks come back when its lease ends."""
    worker = await arena.worker(shutdown_timeout=1.0, constants={"aioqueue.worker.departure._LEAVE_TIMEOUT": 1.0})
    results = await arena.send("work", 0.5, count=5)
    await arena.started(results, worker=worker)
    if how == "killed":
        arena.server.kill()
    else:
        arena.server.freeze()
    await until(lambda: len(arena.score.select("end")) == 5)
    worker.terminate()
    asked = monotonic()
    await worker.ended(60)
    # Handing back, settling and leaving are tried for so long each; a second for the thread that renews.
    assert monotonic() - asked < 1.0 + 3 * 1.0 + 1.0 + 2 * SLACK
    if how == "killed":
        await arena.server.start()
    else:
        arena.server.thaw()
    await arena.worker()
    assert states(await arena.ended(results)) == {"SUCCESS": 5}
    await arena.at_rest()


async def test_while_the_broker_is_away_for_a_moment(arena: Arena) -> None:
    """D3: it waits for the broker, within its timeout, with what has ended: a stop in good order repeats nothing."""
    worker = await arena.worker(constants={"aioqueue.worker.departure._LEAVE_TIMEOUT": 0.1})
    results = await arena.send("work", 0.5, count=5)
    await arena.started(results, worker=worker)
    worker.terminate()
    await until(lambda: "SIGTERM, it stops" in worker.log)
    arena.server.kill()
    await until(lambda: len(arena.score.select("end")) == 5)
    away = monotonic()
    # Longer than any of its steps is tried for when nothing has ended.
    await until(lambda: monotonic() > away + 1.0)
    assert worker.exit_code is None
    await arena.server.start()
    assert await worker.ended() == 0
    assert {await result.get(timeout=5) for result in results} == {f"{worker.pid}:1"}
    await arena.worker()
    await arena.ended(await arena.send("work", count=5))
    assert not arena.repeated()
    await arena.at_rest()


async def test_second_signal_while_the_broker_is_away(arena: Arena) -> None:
    """The second SIGTERM ends that wait, too."""
    worker = await arena.worker(shutdown_timeout=600.0)
    results = await arena.send("work", 0.5, count=5)
    await arena.started(results, worker=worker)
    arena.server.kill()
    await until(lambda: len(arena.score.select("end")) == 5)
    worker.terminate()
    await until(lambda: "SIGTERM, it stops" in worker.log)
    heard = monotonic()
    await until(lambda: monotonic() > heard + 0.6)
    worker.terminate()
    await worker.ended(20)
    await arena.server.start()
    await arena.worker()
    assert states(await arena.ended(results)) == {"SUCCESS": 5}
    await arena.at_rest()
