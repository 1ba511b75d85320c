"""One entry, key or message that is forged or broken harms nobody innocent (D12): it is set aside, alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aioqueue import AsyncResult, chain, chord
from aioqueue.exceptions import AioQueueError

from .world import World, outcomes, until, workflow_of

CHAINS = 60


async def _chains(world: World, count: int = CHAINS) -> list[AsyncResult[Any]]:
    async with world.app:
        return [await chain(world.add.s(n, 1), world.add.s(1), world.add.s(1)).send() for n in range(count)]


FORGED: dict[str, Callable[[str], dict[str, Any]]] = {
    "the states of a live workflow": lambda wid: {"workflow": f"{wid}:s", "node": 1},
    "the values of a live workflow": lambda wid: {"workflow": f"{wid}:v", "node": 1},
    "a node that is none": lambda wid: {"workflow": wid, "node": 77},
    "a node below zero": lambda wid: {"workflow": wid, "node": -1},
    "the start": lambda wid: {"workflow": wid, "node": 0},
    "the names": lambda wid: {"workflow": "names", "node": 1},
    "no workflow": lambda wid: {"workflow": "", "node": 1},
    "NUL": lambda wid: {"workflow": "\0" * 36, "node": 1},
    "a megabyte": lambda wid: {"workflow": "x" * 1_000_000, "node": 1},
}


@pytest.mark.parametrize("many", [pytest.param(1, marks=pytest.mark.slow), 5])
@pytest.mark.parametrize("name", FORGED)
async def test_forged_entries_among_chains(world: World, name: str, many: int) -> None:
    results = await _chains(world)
    for n in range(many):
        for stream in ("q:default:0", "q:default:front"):
            world.forge(stream, id=f"forged-{n}-{stream}", **FORGED[name](workflow_of(results[n])))
    async with world.working(concurrency=300):
        assert await outcomes(results) == [n + 3 for n in range(CHAINS)]
        await until(lambda: not world.client.xlen(world.key("q:default:0")))
        await until(lambda: not world.client.xlen(world.key("q:default:front")))


BROKEN: dict[str, Callable[[World, str], Any]] = {
    "a node is junk": lambda w, key: w.client.hset(key, "2", b"junk"),
    "a node is truncated": lambda w, key: w.client.hset(key, "2", w.client.hget(key, "2")[:20]),
    "a node is empty": lambda w, key: w.client.hset(key, "2", b""),
    "a node is gone": lambda w, key: w.client.hdel(key, "2"),
    "a state is junk": lambda w, key: w.client.hset(f"{key}:s", "1", b"q\xff\xff"),
    "a state names another": lambda w, key: w.client.hset(f"{key}:s", "1", b"q199"),
    "how many are open is junk": lambda w, key: w.client.hset(f"{key}:s", "open", b"many"),
    "for how long it is kept is junk": lambda w, key: w.client.hset(key, "keep", b"\xff"),
    "the states are text": lambda w, key: w.client.set(f"{key}:s", b"text"),
    "the values are text": lambda w, key: w.client.set(f"{key}:v", b"text"),
    "the states are gone": lambda w, key: w.client.delete(f"{key}:s"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_workflow_among_others(world: World, name: str) -> None:
    """The others go on; who waits for this one hears of it; what was in hand is a dead letter."""
    results = await _chains(world, 40)
    BROKEN[name](world, world.key(f"wf:{workflow_of(results[7])}"))
    async with world.working(concurrency=300):
        others = [result for n, result in enumerate(results) if n != 7]
        assert await outcomes(others) == [n + 3 for n in range(40) if n != 7]
        with pytest.raises(AioQueueError) as raised:
            await results[7].get(timeout=10)
        assert not isinstance(raised.value, TimeoutError)
        [letter] = await world.letters(1)
        assert letter.id.startswith(workflow_of(results[7]))
        assert letter.reason
        await until(lambda: not world.client.xlen(world.key("q:default:0")))


@pytest.mark.parametrize("how", ["text", "gone"])
async def test_a_workflow_of_which_nothing_is_known(world: World, how: str) -> None:
    """Who waits for something of it is told; nobody can know what it was."""
    good, bad = await _chains(world, 2)
    async with world.app:
        waiting = asyncio.create_task(bad.get(timeout=10))
        await until(lambda: world.client.keys(world.key("waiters:*")))
        key = world.key(f"wf:{workflow_of(bad)}")
        world.client.delete(key)
        if how == "text":
            world.client.set(key, "text")
        async with world.app.worker(queues=["default"]):
            assert await good.get(timeout=10) == 3
            with pytest.raises(AioQueueError) as raised:
                await waiting
            assert not isinstance(raised.value, TimeoutError)


async def test_a_broken_chord(world: World) -> None:
    async with world.app:
        good, bad = [await chord([world.add.s(n, 1) for n in range(30)], world.total.s()).send() for _ in range(2)]
    key = world.key(f"wf:{workflow_of(bad)}")
    join = next(f for f, v in world.client.hgetall(key).items() if f.isdigit() and f != b"0" and v[:1] == b"j")
    world.client.hset(key, join, b"j")
    async with world.working(concurrency=300):
        assert await good.get(timeout=10) == 465
        with pytest.raises(AioQueueError) as raised:
            await bad.get(timeout=10)
        assert not isinstance(raised.value, TimeoutError)


async def test_junk_in_the_work_that_is_left(world: World) -> None:
    """It is set aside, and not what lies beside it (a chord would wait for ever)."""
    async with world.app:
        result = await chord([world.add.s(n, 1) for n in range(2500)], world.total.s()).send()
    assert world.client.llen(world.key("work"))
    junk = [b"junk", b"", b"\xc1", b"\x93\x01\x02\x03", b"\x93\xa2go\xa1x\xa11", b"\xa4work"]
    for item in junk:
        world.client.lpush(world.key("work"), item)
        world.client.rpush(world.key("work"), item)
    async with world.working(concurrency=500):
        assert await result.get(timeout=30) == 2500 * 2501 // 2
        letters = await world.letters(len(junk))
        assert {letter.raw for letter in letters} == set(junk)
        assert not world.client.exists(world.key("work"))


async def test_a_result_that_is_junk(world: World) -> None:
    async with world.working():
        result = await world.add.send(1, 1)
        await result.get(timeout=10)
        for value in (b"", b"1", b"junk", b"1\xc1", b"1\x93\x01"):
            world.client.set(world.key(f"r:{result.id}"), value)
            looked = world.app.result(result.id)
            for look in (looked.get(timeout=5), looked.state(), looked.info(), looked.ready()):
                with pytest.raises(AioQueueError, match="cannot be read"):
                    await asyncio.wait_for(look, 10)
        world.client.delete(world.key(f"r:{result.id}"))
        world.client.hset(world.key(f"r:{result.id}"), "a", "b")
        with pytest.raises(AioQueueError):
            await asyncio.wait_for(looked.get(timeout=5), 10)


@pytest.mark.parametrize("name", [*BROKEN, "its names are junk"])
async def test_a_broken_workflow_is_forgotten_with_others(world: World, name: str) -> None:
    """Nothing of it stays for ever, and it keeps nobody else's from being forgotten."""
    results = await _chains(world, 3)
    async with world.working():
        assert await outcomes(results) == [3, 4, 5]
    key = world.key(f"wf:{workflow_of(results[1])}")
    world.client.hset(key, "2", world.client.hget(key, "2") or b"")
    breaks = BROKEN.get(name, lambda w, key: w.client.hset(key, "names", b"\xc1"))
    breaks(world, key)
    async with world.app:
        broker = await world.app.broker()
        await broker.forget([result.id for result in results])
        await broker.forget([result.id for result in results])
    left = [one for one in world.client.scan_iter(world.key("*")) if b":wf:" in one or b":r:" in one]
    assert all(results[1].id.partition(".")[0].encode() in one for one in left), left


@pytest.mark.parametrize("names", [b"\xc1", b"\x01", b"\x81\x01\x02", b"\x81\xa1a\xa1b"])
async def test_a_workflow_whose_names_are_junk_ends(world: World, names: bytes) -> None:
    async with world.app:
        result = await chain(world.add.s(1, 1), world.add.s(1)).send()
    world.client.hset(world.key(f"wf:{workflow_of(result)}"), "names", names)
    async with world.working():
        assert await result.get(timeout=10) == 3
