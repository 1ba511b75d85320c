"""A workflow of which something is lost or broken: who waits for it is told, and it does not stay (D8, D12)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aioqueue import AsyncResult, chain, chord, group
from aioqueue.exceptions import AioQueueError

from .world import World, until, workflow_of


def _junk(world: World, key: str) -> None:
    for field in world.client.hkeys(key):
        world.client.hset(key, field, b"\xff\x00")


def _text(world: World, key: str) -> None:
    world.client.delete(key)
    world.client.set(key, b"text")


def _another(world: World, key: str) -> None:
    world.client.delete(key)
    world.client.hset(key, "zz", b"junk")


DAMAGE: dict[str, Callable[[World, str], Any]] = {
    "gone": lambda world, key: world.client.delete(key),
    "text": _text,
    "another hash": _another,
    "junk": _junk,
}


# The first tasks take so long that who waits has begun to, even where the machine stands still for a moment.
def _chain(world: World) -> Any:
    return chain(world.slow.si(1.0), world.add.si(1, 1), world.add.si(1, 1))


SHAPES: dict[str, Callable[[World], Any]] = {
    "chain": _chain,
    "chord": lambda w: chord([w.slow.si(1.0), w.slow.si(1.2), w.add.si(1, 1)], w.add.si(1, 1)),
    "named": lambda w: chain(w.slow.si(1.0), w.add.si(1, 1).set(task_id="mine"), w.add.si(1, 1).set(task_id="my-end")),
    "group": lambda w: group(_chain(w), _chain(w)),
}


def _of_workflows(world: World) -> list[str]:
    """What there is of them, but for the one task that lasts."""
    found = [key.decode().partition(":0}:")[2] for key in world.client.scan_iter(world.key("*"))]
    return [key for key in found if key.startswith(("wf:", "r:"))]


async def _ends_badly(result: Any) -> None:
    with pytest.raises(AioQueueError) as raised:
        await result.get(timeout=15)
    assert not isinstance(raised.value, TimeoutError)


def _waited_for(result: Any) -> list[AsyncResult[Any]]:
    return list(getattr(result, "results", [result]))


@pytest.mark.parametrize("late", [False, True], ids=["while it goes on", "afterwards"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("part", ["", ":s"], ids=["nodes", "states"])
async def test_who_waits_is_told(world: World, part: str, damage: str, shape: str, late: bool) -> None:
    """Although something else goes on that is not broken."""
    async with world.working(concurrency=50):
        await world.add.options(countdown=600).send(1, 1)
        result: Any = await SHAPES[shape](world).send()
        [key] = [world.key(one) for one in _of_workflows(world) if len(one) == len("wf:") + 36]
        waiting = [] if late else [asyncio.create_task(_ends_badly(one)) for one in _waited_for(result)]
        if not late:
            await until(lambda: world.client.keys(world.key("waiters:*")))
        DAMAGE[damage](world, key + part)
        if late:
            await world.letters(1)
            waiting = [asyncio.create_task(_ends_badly(one)) for one in _waited_for(result)]
        await asyncio.gather(*waiting)
        await until(lambda: not world.client.xlen(world.key("q:default:0")))
        await until(lambda: not world.client.exists(world.key("work")))
        assert _of_workflows(world)
        assert [one for one in _of_workflows(world) if world.client.ttl(world.key(one)) < 0] == []


async def test_what_goes_on_in_the_place_of_a_task(world: World) -> None:
    """When it is lost, those who wait for what is around it hear of it, too."""

    @world.app.task(name="becomes", bind=True)
    async def becomes(ctx: Any) -> None:
        raise ctx.replace(_chain(world))

    async with world.working(concurrency=50):
        await world.add.options(countdown=600).send(1, 1)
        result = await chain(becomes.s(), world.add.si(1, 1)).send()
        outer = world.key(f"wf:{workflow_of(result)}")
        inner = (await until(lambda: world.client.hget(f"{outer}:s", "g1"))).decode()
        world.client.delete(world.key(f"wf:{inner}"))
        await _ends_badly(result)
        await until(lambda: not world.client.xlen(world.key("q:default:0")))
        assert [one for one in _of_workflows(world) if world.client.ttl(world.key(one)) < 0] == []


async def test_the_last_task_of_one_whose_nodes_are_lost(world: World) -> None:
    """It does not need them to end well."""
    async with world.working():
        result = await chain(world.add.s(1, 1), world.slow.si(0.5)).send()
        key = world.key(f"wf:{workflow_of(result)}")
        await until(lambda: (world.client.hget(f"{key}:s", "2") or b"").startswith(b"q"))
        world.client.delete(key)
        assert await result.get(timeout=10) is None
        assert [one for one in _of_workflows(world) if world.client.ttl(world.key(one)) < 0] == []
