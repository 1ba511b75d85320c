"""Each script, each key that it touches, each kind of damage (D12): nothing innocent is lost, nothing hangs, and
nothing stays for ever once the key is mended.

The innocents are plain tasks, chains, chords, delayed tasks and retries, sent before, during and after the damage.
"""

from __future__ import annotations

import asyncio
import random
import re
from importlib.resources import files
from typing import Any

import pytest
import redis

from aioqueue import AsyncResult, chain, chord
from aioqueue.brokers.redis import keys
from aioqueue.exceptions import AioQueueError

from .world import LAST_ID, World, outcomes, until

# The keys that all share, by what scripts call them; a queue's streams are among them.
SHARED = [
    "q:default:0",
    "q:default:9",
    "q:default:front",
    "q:other:0",
    "delayed",
    "delayed:data",
    "delayed:count",
    "revoked",
    "revoked:stamps",
    "dead",
    "dead:data",
    "dead:count",
    "leases",
    "fallen",
    "workers",
    "queues",
    "epoch",
    "work",
    "wf:names",
]
# Those of one task, workflow, client or minute: `test_entries.py` and below.
SINGLE = ["r:", "sent:", "answer:", "waiters:", "wf:", "early:", "done:", "notices"]
# Those of schedules: `test_schedules.py`.
SCHEDULES = [
    "schedules",
    "schedules:state",
    "schedules:due",
    "schedules:revision",
    "schedules:changes",
    "schedulers",
    "schedulers:leader",
    "scheduler:",
]

DAMAGE = ["wrong kind", "another wrong kind", "exhausted", "junk", "missing"]
STREAMS = [name for name in SHARED if name.startswith("q:")]


def _damage(world: World, name: str, kind: str, rng: random.Random) -> bool:
    """Damage a key; False where there is nothing of the kind to be damaged."""
    client, key = world.client, world.key(name)
    found = client.type(key)
    if kind == "missing":
        return bool(client.delete(key))
    if kind == "wrong kind":
        client.rename(key, key + "~") if found != b"none" else None
        client.set(key, rng.randbytes(20))
    elif kind == "another wrong kind":
        client.rename(key, key + "~") if found != b"none" else None
        client.rpush(key, "a") if name != "work" else client.sadd(key, "a")
    elif kind == "exhausted":
        world.exhaust(name)
    else:
        # What is truncated, and then random bytes.
        scribbled = _scribble(client, key, found, lambda value: value[: len(value) // 2])
        return _scribble(client, key, found, lambda value: rng.randbytes(9)) or scribbled
    return True


def _scribble(client: redis.Redis, key: str, found: bytes, change: Any) -> bool:
    """Into what is there, beside what is ours: entries that are no entries."""
    if found == b"string":
        client.set(key, change(client.get(key)))
    elif found == b"hash":
        [field, *_] = client.hkeys(key)
        value = change(client.hget(key, field))
        client.hset(key, mapping={b"\xff" + change(field): value, b"": value})
    elif found == b"zset":
        [member, *_] = client.zrange(key, 0, 0)
        client.zadd(key, {change(member): 1, b"": 2, b"\xff\x00": 3})
    elif found == b"set":
        client.sadd(key, change(client.srandmember(key)), b"", b"\xff\x00")
    elif found == b"list":
        client.rpush(key, change(client.lindex(key, 0)), b"")
    elif found == b"stream" and client.xinfo_stream(key)["last-generated-id"] != LAST_ID.encode():
        client.xadd(key, {b"i": b"\xff\x00", b"m": change(b"\x82\xa4task\xa3add\xa4body\xc4\x00")})
        client.xadd(key, {b"\xff": change(b"12345678")})
    else:
        return False
    return True


def _mend(world: World, name: str, kind: str) -> None:
    """Set it right: what was there before comes back."""
    client, key = world.client, world.key(name)
    if kind in ("wrong kind", "another wrong kind"):
        client.delete(key)
        if client.exists(key + "~"):
            client.rename(key + "~", key)


class Innocents:
    """What is sent around the damage."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.results: list[tuple[AsyncResult[Any], Any]] = []

    async def send(self) -> None:
        """Some of each kind. What cannot be sent is told to its sender, and is not sent."""
        world = self._world
        for make, gives in (
            (lambda: world.add.send(1, 2), 3),
            (lambda: world.mark.send("mark"), "mark"),
            (lambda: world.again.send(2), 2),
            (lambda: world.add.options(countdown=0.1).send(2, 2), 4),
            (lambda: chain(world.add.s(1, 1), world.mark.si("next"), world.add.si(2, 3)).send(), 5),
            (lambda: chord([world.add.s(n, 1) for n in range(5)], world.total.s()).send(), 15),
        ):
            try:
                self.results.append((await make(), gives))
            except AioQueueError:
                pass

    async def check(self) -> None:
        """All that were sent have come to what they should."""
        assert await outcomes([result for result, _ in self.results]) == [gives for _, gives in self.results]


def _cases() -> list[Any]:
    """All that make sense; the second wrong kind only in the long run."""
    marks = {"another wrong kind": [pytest.mark.slow]}
    return [
        pytest.param(name, kind, id=f"{name}-{kind}", marks=marks.get(kind, []))
        for name in SHARED
        for kind in DAMAGE
        if (kind != "exhausted" or name in STREAMS)
        # What is in a stream, or waits for its time, is lost with the key, whoever drops that.
        and not (kind == "missing" and name in (*STREAMS, "delayed", "delayed:data", "work"))
    ]


@pytest.mark.parametrize(("name", "kind"), _cases())
async def test_walk(world: World, name: str, kind: str) -> None:
    rng = random.Random(f"{name} {kind}")
    innocents = Innocents(world)
    async with world.working(concurrency=20):
        await innocents.send()
        if name in ("work", "fallen", "wf:names"):  # there for a moment only
            world.client.delete(world.key(name))
        done = _damage(world, name, kind, rng)
        await innocents.send()
        if done:
            await asyncio.sleep(0.15)
        _mend(world, name, kind)
        await innocents.send()
        await innocents.check()
        await until(lambda: _at_rest(world))


@pytest.mark.parametrize("kind", ["wrong kind", "junk", "missing"])
@pytest.mark.parametrize("pattern", ["answer:*", "waiters:*", "sent:*"])
async def test_walk_over_those_of_one(world: World, pattern: str, kind: str) -> None:
    """Keys of one client, one minute, one task, which nobody mends: again and again, while there is work."""
    rng = random.Random(f"{pattern} {kind}")
    innocents = Innocents(world)
    async with world.working(concurrency=20):
        for turn in range(5):
            await innocents.send()
            innocents.results.append((await world.add.options(task_id=f"mine-{turn}").send(1, 1), 2))
            await asyncio.sleep(0)
            for key in world.client.scan_iter(world.key(pattern)):
                name = key.decode().removeprefix(world.key(""))
                if kind == "wrong kind":
                    world.client.delete(key)
                    world.client.sadd(key, "a")
                else:
                    _damage(world, name, kind, rng)
        await innocents.check()
        await until(lambda: _at_rest(world))


@pytest.mark.parametrize("delivered", [True, False])
async def test_one_entry_with_the_last_id_does_not_end_a_queue(world: World, delivered: bool) -> None:
    """Nobody mends it: when that entry is gone, the stream's ids go on from now."""
    async with world.working():
        await world.add.call(1, 1, timeout=10)
        if delivered:
            world.client.xadd(world.key("q:default:0"), {"i": "last", "m": b"junk"}, id=f"{2**64 - 1}-{2**64 - 1}")
            await world.letters(1)
        else:
            world.exhaust("q:default:0")
        await until(lambda: not world.client.xlen(world.key("q:default:0")))
        assert await world.add.call(1, 2, timeout=10) == 3
        assert await world.again.call(2, timeout=10) == 2
        assert await chain(world.add.s(1, 1), world.add.s(1)).call(timeout=10) == 3
        assert await world.add.options(countdown=0.05).call(2, 2, timeout=10) == 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
async def test_a_walk_at_random(world: World, seed: int) -> None:
    """Several keys at once, in any order."""
    rng = random.Random(seed)
    innocents = Innocents(world)
    async with world.working(concurrency=20):
        for _ in range(4):
            await innocents.send()
            broken = [case.values for case in rng.sample(_cases(), 3)]
            names = {name for name, _ in broken}
            broken = [(name, kind) for name, kind in broken if name in names and not names.discard(name)]
            for name, kind in broken:
                _damage(world, name, kind, rng)
            await innocents.send()
            await asyncio.sleep(rng.uniform(0, 0.5))
            for name, kind in broken:
                _mend(world, name, kind)
        await innocents.send()
        await innocents.check()
        await until(lambda: _at_rest(world))


def _at_rest(world: World) -> bool:
    """No message of anybody is left."""
    client = world.client
    left = sum(client.xlen(key) for key in client.scan_iter(world.key("q:*")) if client.type(key) == b"stream")
    return not left and not client.zcard(world.key("delayed")) and not client.exists(world.key("work"))


def test_no_key_is_left_out() -> None:
    """Each key that a script names is walked here, or in `test_entries.py` or `test_schedules.py`."""
    known = {*SHARED, *SINGLE, *SCHEDULES}
    folder = files("aioqueue.brokers.redis") / "lua"
    scripts = [*folder.iterdir(), *(folder / "lib").iterdir()]
    for file in scripts:
        if not file.name.endswith(".lua"):
            continue
        for name in re.findall(r"prefix \.\. '([^']*)'", file.read_text()):
            assert any(one.startswith(name) or (name and name.startswith(one)) for one in known), (
                f"{name} in {file.name}"
            )
    assert keys.GROUP == "workers"
