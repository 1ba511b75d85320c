"""A broker that is killed, frozen, emptied, or refuses to work (D1, D2, D3)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic

import pytest
import redis

from aioqueue.exceptions import BrokerUnavailable

from .arena import VISIBILITY_TIMEOUT, Arena, states, until
from .proxy import Loss, Proxy
from .tasks import make_app


async def test_killed_under_load(arena: Arena) -> None:
    """D1: with an append-only file nothing is lost; workers come back by themselves, senders do not notice."""
    workers = [await arena.worker() for _ in range(2)]
    results = await arena.send("work", 0.05, count=400)
    results += await arena.send("again", 0.02, 1, count=100)
    rejected = await arena.send("reject", 0.02, count=100)
    for kill in range(2):
        await until(lambda: len(arena.score.select("end")) >= 100 * (kill + 1))  # noqa: B023 - awaited at once
        arena.server.kill()
        sending = asyncio.create_task(arena.send("work", 0.01, count=50))
        await asyncio.sleep(0.3)
        await arena.server.start()
        results += await sending
    ends = await arena.ended([*results, *rejected])
    assert states(ends) == {"SUCCESS": len(results), "FAILURE": 100}
    arena.check_dead_letters(100)
    assert not arena.repeated()
    assert {worker.exit_code for worker in workers} == {None}
    await arena.at_rest()


@pytest.mark.parametrize("how", ["killed", "frozen", "read-only"])
async def test_away_for_long(arena: Arena, how: str) -> None:
    """D3: when the broker has been away for longer than the leases last, the living are not taken for dead."""
    workers = [await arena.worker(concurrency=10) for _ in range(3)]
    results = await arena.send("work", 3 * VISIBILITY_TIMEOUT, count=15)
    results += await arena.send("work", 0.5, count=10)
    await arena.started(results)
    if how == "killed":
        arena.server.kill()
    elif how == "frozen":
        arena.server.freeze()
    else:
        arena.server.client.replicaof("127.0.0.1", 1)
    await until(lambda: len(arena.score.select("end")) == 10, what="the short tasks to end")
    away_since = monotonic()
    await until(lambda: monotonic() > away_since + 1.4 * VISIBILITY_TIMEOUT)
    if how == "killed":
        await arena.server.start()
    elif how == "frozen":
        arena.server.thaw()
    else:
        arena.server.client.replicaof("NO", "ONE")
    more = await arena.send("work", 0.01, count=50)
    ends = await arena.ended([*results, *more])
    assert states(ends) == {"SUCCESS": 75}
    assert not arena.repeated()
    assert {worker.exit_code for worker in workers} == {None}
    await arena.at_rest()


async def test_dead_worker_and_restarted_broker(arena: Arena) -> None:
    """D1: whoever died while the broker was away is found all the same."""
    dead, _ = await arena.worker(concurrency=5), await arena.worker(concurrency=5)
    results = await arena.send("work", 0.5, count=10)
    await arena.started(results)
    arena.server.kill()
    await dead.kill()
    await arena.server.start()
    assert states(await arena.ended(results)) == {"SUCCESS": 10}
    arena.check_repeats()
    await arena.at_rest()


async def test_new_worker_at_restarted_broker(arena: Arena, proxy: Proxy) -> None:
    """D3: a worker that comes first to a broker that has come back does not take the others for dead."""
    worker = await arena.worker(url=proxy.url)
    results = await arena.send("work", 3 * VISIBILITY_TIMEOUT, count=5)
    await arena.started(results, worker=worker)
    proxy.lose(Loss.REQUEST, times=None)
    arena.server.kill()
    away_since = monotonic()
    await until(lambda: monotonic() > away_since + 1.2 * VISIBILITY_TIMEOUT)
    await arena.server.start()
    await arena.worker()
    await arena.ended(await arena.send("work"))
    back_since = monotonic()
    await until(lambda: monotonic() > back_since + 0.3 * VISIBILITY_TIMEOUT)
    proxy.heal()
    assert states(await arena.ended(results)) == {"SUCCESS": 5}
    assert not arena.repeated()
    await arena.at_rest()


async def test_emptied(arena: Arena) -> None:
    """FLUSHALL: what was there is gone, but workers go on, and run what is sent afterwards."""
    workers = [await arena.worker() for _ in range(2)]
    results = await arena.send("work", 0.5, count=60)
    await arena.started(results[:20])
    arena.server.client.flushall()
    after = await arena.send("work", 0.01, count=60)
    assert states(await arena.ended(after)) == {"SUCCESS": 60}
    assert all(len(arena.score.select("start", id=result.id)) == 1 for result in after)
    assert {worker.exit_code for worker in workers} == {None}
    await until(lambda: len(arena.leases()) == 2)
    await arena.at_rest()


async def test_group_gone(arena: Arena) -> None:
    """A stream that is made again by a sender has no group: what is in it runs all the same."""
    worker = await arena.worker(visibility_timeout=30.0)
    await arena.ended(await arena.send("work"))
    worker.freeze()
    arena.server.client.delete(arena.key("q:default:0"))
    results = await arena.send("work", count=20)
    worker.thaw()
    assert states(await arena.ended(results)) == {"SUCCESS": 20}
    assert not arena.repeated()
    await arena.at_rest()


async def test_scripts_and_clients_dropped(arena: Arena) -> None:
    """SCRIPT FLUSH and CLIENT KILL, again and again: nothing is lost, nothing is run again."""
    workers = [await arena.worker(visibility_timeout=5.0) for _ in range(2)]
    results = await arena.send("work", 0.02, count=1500)
    rejected = await arena.send("reject", 0.02, count=100)

    async def drop() -> None:
        while True:
            for _ in range(10):
                arena.server.client.script_flush()
                await asyncio.sleep(0.005)
            arena.server.drop_clients()

    dropping = asyncio.create_task(drop())
    try:
        await until(lambda: len(arena.score.select("end")) >= 800)
    finally:
        dropping.cancel()
        await asyncio.wait({dropping})
    ends = await arena.ended([*results, *rejected])
    assert states(ends) == {"SUCCESS": 1500, "FAILURE": 100}
    assert not arena.repeated()
    arena.check_dead_letters(100)
    assert {worker.exit_code for worker in workers} == {None}
    await arena.at_rest()


async def test_scripts_always_forgotten(arena: Arena) -> None:
    """A server that forgets each script before it can be called is no reason to give up a task or its end."""
    forget = redis.Redis(port=arena.server.port)
    stop = asyncio.Event()

    def flush() -> None:
        while not stop.is_set():
            with suppress(redis.RedisError):
                forget.script_flush()

    flushing = asyncio.create_task(asyncio.to_thread(flush))
    try:
        await arena.worker(visibility_timeout=5.0)
        results = [(await arena.send("work"))[0] for _ in range(50)]
        assert states(await arena.ended(results)) == {"SUCCESS": 50}
    finally:
        stop.set()
        await flushing
        forget.close()
    assert not arena.repeated()
    await arena.at_rest()


async def test_out_of_memory(arena: Arena) -> None:
    """Sending fails whole, what runs keeps its lease and ends; when there is memory again all is well."""
    workers = [await arena.worker(concurrency=5) for _ in range(2)]
    long = await arena.send("work", 2.5 * VISIBILITY_TIMEOUT, count=4)
    short = await arena.send("work", 0.3, count=3)
    early = await arena.send("early", 0.3, count=3)
    delayed = await arena.send("work", countdown=0.5)
    await arena.started([*long, *short, *early])
    arena.server.set(maxmemory=1)
    async with make_app(arena.server.url, send_timeout=0.3) as app:
        with pytest.raises(BrokerUnavailable):
            await app.tasks["work"].send()
        with pytest.raises(BrokerUnavailable):
            await app.send_many([app.tasks["work"].s() for _ in range(10)])
        with pytest.raises(BrokerUnavailable):
            await app.tasks["work"].options(countdown=60).send()
    # There is no memory, and yet they end, and are not run by others.
    assert states(await arena.ended([*long, *short, *early, *delayed])) == {"SUCCESS": 11}
    assert not any(arena.contents().values()), "something was half sent"
    arena.server.set(maxmemory=0)
    assert states(await arena.ended(await arena.send("work", count=20))) == {"SUCCESS": 20}
    assert not arena.repeated()
    assert len(arena.score.select("ready")) == 2
    assert {worker.exit_code for worker in workers} == {None}
    assert not any("taken for dead" in worker.log for worker in workers)
    await arena.at_rest()


async def test_out_of_memory_from_the_start(arena: Arena) -> None:
    """A worker that starts while there is no memory takes over from a dead one and works."""
    dead = await arena.worker()
    results = await arena.send("work", 0.5, count=5)
    await arena.started(results)
    await dead.kill()
    arena.server.set(maxmemory=1)
    await arena.worker()
    assert states(await arena.ended(results)) == {"SUCCESS": 5}
    arena.server.set(maxmemory=0)
    await arena.at_rest()


async def test_read_only(arena: Arena) -> None:
    """A server that was made a replica: sending fails whole, ends are kept until they can be written."""
    worker = await arena.worker(visibility_timeout=10.0)
    results = await arena.send("work", 0.3, count=10)
    await arena.started(results)
    arena.server.client.replicaof("127.0.0.1", 1)
    async with make_app(arena.server.url, send_timeout=0.3) as app:
        with pytest.raises(BrokerUnavailable):
            await app.tasks["work"].send()
    await until(lambda: len(arena.score.select("end")) == 10)
    arena.server.client.replicaof("NO", "ONE")
    assert states(await arena.ended(results)) == {"SUCCESS": 10}
    assert arena.waiting() == (0, 0), "something was half sent"
    await arena.ended(await arena.send("work"))
    assert not arena.repeated()
    assert worker.exit_code is None
    await arena.at_rest()


async def test_sending_while_away(arena: Arena) -> None:
    """A send waits for the broker as long as its timeout, and says what happened when that was not enough."""
    async with make_app(arena.server.url, send_timeout=0.3) as app:
        arena.server.kill()
        with pytest.raises(BrokerUnavailable):
            await app.tasks["work"].send()
    sending = asyncio.create_task(arena.send("work"))
    await arena.server.start()
    await sending
    assert arena.waiting() == (1, 0)
