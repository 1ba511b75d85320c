"""Streams that take no more, and keys of a wrong kind: nothing is lost, and all goes on when that is mended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aioqueue import chain, chord
from aioqueue.brokers.protocol import Outgoing, Settlement, Verdict, WorkerStatus
from aioqueue.exceptions import BrokerUnavailable

from .world import LAST_ID, World, outcomes, until

DAMAGE: dict[str, Callable[[World, str], Any]] = {
    "wrong kind": lambda w, stream: (w.client.delete(w.key(stream)), w.client.set(w.key(stream), "text")),
    "exhausted": lambda w, stream: w.exhaust(stream),
}


def _status(id: str, *queues: str) -> WorkerStatus:
    return WorkerStatus(id=id, name=id, host="h", pid=1, queues=list(queues), concurrency=1, started=0)


async def test_what_is_due_for_a_broken_stream_waits(world: World) -> None:
    """400 are due, half of them for a stream that takes none: the others run, and these when it is mended."""
    async with world.app:
        marks = [await world.mark.options(countdown=0.01).send(str(n)) for n in range(200)]
        adds = [await world.add.options(countdown=0.01).send(n, 1) for n in range(200)]
    DAMAGE["wrong kind"](world, "q:other:0")
    async with world.working():
        assert await outcomes(adds) == [n + 1 for n in range(200)]
        assert world.client.zcard(world.key("delayed")) == 200
        world.client.delete(world.key("q:other:0"))
        assert await outcomes(marks) == [str(n) for n in range(200)]
    assert len(world.ran) == 200
    assert not world.client.exists(world.key("delayed"), world.key("delayed:data"), world.key("delayed:count"))


@pytest.mark.parametrize("damage", DAMAGE)
async def test_what_is_taken_over_while_the_front_is_broken(world: World, damage: str) -> None:
    async with world.app:
        results = [await world.add.send(n, 1) for n in range(30)]
        broker = await world.app.broker()
        dead = broker.consumer(_status("dead", "default"), visibility_timeout=1, dead_letters_max_length=10)
        await dead.join()
        assert len(await dead.fetch(100, wait=1)) == 30
        await dead.close()
    DAMAGE[damage](world, "q:default:front")
    async with world.working():
        assert await outcomes(results) == [n + 1 for n in range(30)]


async def test_what_a_worker_hands_back_while_all_is_broken(world: World) -> None:
    """Nothing can be added anywhere: it stays where it is, and runs when that is mended."""
    async with world.app:
        results = [await world.add.send(n, 1) for n in range(30)]
        broker = await world.app.broker()
        leaving = broker.consumer(_status("leaving", "default"), visibility_timeout=1, dead_letters_max_length=10)
        await leaving.join()
        assert len(await leaving.fetch(100, wait=1)) == 30
        for name in ("q:default:front", "q:default:0"):  # the last id is that of an entry which stays
            world.client.xadd(world.key(name), {"x": "y"}, id=LAST_ID)
        await leaving.leave()
        await leaving.close()
    assert world.client.xlen(world.key("q:default:0")) == 31
    async with world.working():
        assert await outcomes(results) == [n + 1 for n in range(30)]


@pytest.mark.parametrize(
    "key",
    ["delayed", "dead:data", "work"]
    + [pytest.param(key, marks=pytest.mark.slow) for key in ("delayed:data", "delayed:count", "revoked", "dead")],
)
async def test_a_key_of_a_wrong_kind_for_a_while(world: World, key: str) -> None:
    """Retries, delays, failures and chords that need it wait for it; then all of them end."""
    async with world.working():
        await world.add.call(1, 1, timeout=10)
        world.client.delete(world.key(key))
        world.client.set(world.key(key), "text")
        retried = [await world.again.send(2) for _ in range(10)]
        plain = [await world.add.send(n, 1) for n in range(10)]
        chained = [await chain(world.add.s(n, 1), world.add.s(1)).send() for n in range(10)]
        if key not in ("revoked",):
            assert await outcomes(plain) == [n + 1 for n in range(10)]
            assert await outcomes(chained) == [n + 2 for n in range(10)]
        await asyncio.sleep(1.2)
        world.client.delete(world.key(key))
        assert await outcomes([*retried, *plain]) == [2] * 10 + [n + 1 for n in range(10)]
        assert await outcomes(chained) == [n + 2 for n in range(10)]


async def test_one_whose_stream_is_broken_does_not_hold_up_the_batch(world: World) -> None:
    async with world.app:
        broker = await world.app.broker()
        consumer = broker.consumer(_status("w", "default"), visibility_timeout=30, dead_letters_max_length=10)
        await consumer.join()
        for n in range(20):
            await world.add.send(n, 1)
        deliveries = await consumer.fetch(100, wait=1)
        world.client.set(world.key("q:other:0"), "text")
        settlements = [Settlement(one, record=b"r", final=True) for one in deliveries]
        settlements[7] = Settlement(deliveries[7], sends=[Outgoing(deliveries[7].id, "other", 0, b"m")])
        verdicts = await consumer.settle(settlements)
        assert verdicts == [Verdict.APPLIED] * 7 + [Verdict.BLOCKED] + [Verdict.APPLIED] * 12
        assert "q:other:0 takes no more" in settlements[7].problem
        world.client.delete(world.key("q:other:0"))
        assert await consumer.settle([settlements[7]]) == [Verdict.APPLIED]
        assert world.client.xlen(world.key("q:other:0")) == 1
        await consumer.leave()
        await consumer.close()


async def test_a_chain_into_a_broken_stream(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for a while; then it ends as failed, and those who wait hear of it."""
    monkeypatch.setattr("aioqueue.brokers.redis.settler._BLOCKED_FOR", 1.0)
    async with world.working(queues=["default"]):
        soon = await chain(world.add.s(1, 1), world.mark.si("soon")).send()
        await until(lambda: world.client.exists(world.key("q:other:0")))
        DAMAGE["wrong kind"](world, "q:other:0")
        bad = await chain(world.add.s(1, 1), world.mark.si("bad")).send()
        good = await chord([world.add.s(n, 1) for n in range(10)], world.total.s()).send()
        assert await good.get(timeout=10) == 55
        with pytest.raises(Exception, match="takes no more"):
            await bad.get(timeout=10)
        [letter] = await world.letters(1)
        assert letter.name == "add"
        world.client.delete(world.key("q:other:0"))
        assert await world.app.dead_letters.requeue(letter.id)
        assert await bad.state() != "FAILURE"
        del soon


async def test_a_sender_hears_of_a_broken_stream_and_others_do_not(world: World) -> None:
    async with world.app:
        await world.add.send(0, 0)
        await world.mark.send("first")
        DAMAGE["wrong kind"](world, "q:other:0")
        results = await asyncio.gather(
            *[world.add.send(n, 1) for n in range(20)],
            *[world.mark.send("x") for _ in range(3)],
            return_exceptions=True,
        )
        assert [isinstance(one, BrokerUnavailable) for one in results] == [False] * 20 + [True] * 3
        assert world.client.xlen(world.key("q:default:0")) == 21


async def test_a_worker_of_a_stream_that_is_none_works_on_the_others(world: World) -> None:
    world.client.set(world.key("q:other:3"), "text")
    async with world.working():
        assert await world.add.call(1, 1, timeout=10) == 2
        assert await world.mark.call("a", timeout=10) == "a"
        world.client.set(world.key("q:default:9"), "text")
        for n in range(5):
            assert await world.add.call(n, 1, timeout=10) == n + 1
        world.client.delete(world.key("q:other:3"))
        assert await world.mark.options(priority=3).call("b", timeout=10) == "b"


async def test_names_of_queues_that_are_gone(world: World) -> None:
    """What a dead worker held is found all the same."""
    async with world.app:
        result = await world.mark.send("held")
        broker = await world.app.broker()
        dead = broker.consumer(_status("dead", "other"), visibility_timeout=1, dead_letters_max_length=10)
        await dead.join()
        assert len(await dead.fetch(100, wait=1)) == 1
        await dead.close()
        world.client.delete(world.key("queues"))
        async with world.app.worker(queues=["default"]):
            await until(lambda: world.client.xlen(world.key("q:other:front")))
        async with world.app.worker(queues=["other"]):
            assert await result.get(timeout=10) == "held"


async def test_delayed_messages_that_are_junk_are_set_aside(world: World) -> None:
    async with world.app:
        bad = await world.add.options(countdown=0.2).send(1, 1)
        gone = await world.add.options(countdown=0.2).send(1, 1)
        good = await world.add.options(countdown=0.2).send(1, 1)
        chained = await chain(world.add.s(1, 1).set(countdown=0.2), world.add.s(1)).send()
    world.client.hset(world.key("delayed:data"), bad.id, b"\xffjunk")
    world.client.hset(world.key("delayed:data"), f"{chained.id.partition('.')[0]}.1", b"default\n99\nx")
    world.client.hdel(world.key("delayed:data"), gone.id)
    world.client.hset(world.key("delayed:count"), "default", "many")
    world.client.set(world.key("dead:count"), "junk")
    world.client.zadd(world.key("delayed"), {b"\xff\xfe": 1})
    async with world.working():
        assert await good.get(timeout=10) == 2
        for result in (bad, gone, chained):
            with pytest.raises(Exception) as raised:
                await result.get(timeout=10)
            assert not isinstance(raised.value, TimeoutError)
        letters = await world.letters(4)
        assert b"\xffjunk" in {letter.raw for letter in letters}
        assert not world.client.exists(world.key("delayed"))


async def test_noise_on_the_channels(world: World) -> None:
    """Anybody may publish: what comes after it is heard all the same, over the same line."""
    async with world.working():
        await until(lambda: world.client.pubsub_numsub(world.key("notices"))[0][1])
        running = await world.slow.send(0.7)
        waiting = asyncio.create_task(running.get(timeout=10))
        channels = await until(lambda: world.client.pubsub_channels(world.key("done:*")))
        lines = {one["id"] for one in world.client.client_list(_type="pubsub")}
        for noise in (
            b"",
            b"junk",
            b"\x93\x01\x02",
            b"\xc1",
            b"\x93\xa7revoked\x91\x01\xc3",
            b"9:",
            b"99999999:x",
            b"-1:x",
        ):
            for channel in (world.key("notices"), *channels):
                world.client.publish(channel, noise)
        ended = asyncio.create_task((await world.slow.send(60)).get(timeout=10))
        await until(lambda: world.client.xlen(world.key("q:default:0")) == 2)
        revoked = await world.slow.send(60)
        await asyncio.sleep(0.2)
        assert await revoked.revoke(terminate=True)
        await waiting
        assert await world.add.options(countdown=0.1).call(1, 1, timeout=5) == 2
        assert lines == {one["id"] for one in world.client.client_list(_type="pubsub")}
        ended.cancel()


@pytest.mark.parametrize("key", ["delayed", pytest.param("delayed:data", marks=pytest.mark.slow)])
async def test_a_burst_waits_for_what_it_cannot_look_at(world: World, key: str) -> None:
    async with world.app:
        late = await world.add.options(countdown=0.05).send(1, 1)
        world.client.rename(world.key(key), world.key("aside"))
        world.client.set(world.key(key), "text")
        await asyncio.sleep(0.1)
        burst = asyncio.create_task(world.app.worker(queues=["default"], burst=True).run(install_signals=False))
        await asyncio.sleep(0.5)
        world.client.rename(world.key("aside"), world.key(key))
        assert await late.get(timeout=10) == 2
        assert await asyncio.wait_for(burst, 10) == 0


async def test_marks_of_early_acknowledgements_that_are_none(world: World) -> None:
    """What a worker has acknowledged early is written where something else is: it waits until that is mended."""

    @world.app.task(name="early", acks_late=False)
    async def early(n: int) -> int:
        return n

    async with world.app, world.app.worker(queues=["default"]) as worker:
        world.client.set(world.key(f"early:{worker.id}"), "text")
        results = [await early.send(n) for n in range(5)]
        plain = [await world.add.send(n, 1) for n in range(10)]
        assert await outcomes(plain) == [n + 1 for n in range(10)]
        world.client.delete(world.key(f"early:{worker.id}"))
        assert await outcomes(results) == [0, 1, 2, 3, 4]
