"""Bytes that nobody of ours has written, straight in the streams: to the dead letters with them, and on."""

from __future__ import annotations

import random

import msgspec
import pytest

from aioqueue.message import Message, encode_message

from .arena import Arena, states, until

_STREAM = "q:default:0"


def _good(**fields: object) -> bytes:
    message = Message(task="work", body=msgspec.msgpack.encode([[], {}]))
    return encode_message(msgspec.structs.replace(message, **fields))


def _with(**fields: object) -> bytes:
    """A message with fields of any type."""
    return msgspec.msgpack.encode({"task": "work", "body": msgspec.msgpack.encode([[], {}]), **fields})


_UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "text": b"hello",
    "nul": b"\0" * 1000,
    "json": b'{"task": "work"}',
    "pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "truncated": _good()[:-3],
    "trailing": _good() + b"\x00",
    "4 GB of bytes claimed": b"\xc6\xff\xff\xff\xff",
    "4 G of items claimed": b"\xdd\xff\xff\xff\xff" + b"\x00" * 100,
    "4 G of pairs claimed": b"\xdf\xff\xff\xff\xff" + b"\x00" * 100,
    "too deep": b"\x81\xa4task" + b"\x91" * 100_000 + b"\xc0",
    "too deep, not ours": b"\x82\xa4task\xa4work\xa1x" + b"\x91" * 100_000 + b"\xc0",
    "list": msgspec.msgpack.encode([1, 2, 3]),
    "task of a wrong type": _with(task=17),
    "task missing": msgspec.msgpack.encode({"queue": "default"}),
    "task unknown": _with(task="no such task"),
    "task of a megabyte": _with(task="x" * 1_000_000),
    "task with control characters": _with(task="\r\n\x1b[31m\0"),
    "retries of a wrong type": _with(retries="many"),
    "expires of a wrong type": _with(expires=[]),
    "headers of a wrong type": _with(headers=3),
    "headers with a wrong mark": _with(headers={"a": "$Dnever"}, marked=True),
    "stamps with a wrong mark": _with(stamps={"a": "$Dnever"}, marked_stamps=True),
    "stamps with an unknown mark": _with(stamps={"a": ["$t", "$?"]}, marked_stamps=True),
    "body of a wrong type": _with(body=1),
    "body truncated": _with(body=b"\x92\x91"),
    "body huge": _with(body=b"\x92\xdd\xff\xff\xff\xff"),
    "body too deep": _with(body=b"\x92" + b"\x91" * 50_000 + b"\x80"),
    "body of no arguments": _with(body=msgspec.msgpack.encode({})),
    "compression unknown": _with(content="msgpack+rot13"),
    "compression broken": _with(content="msgpack+zlib"),
    "content unknown": _with(content="pickle"),
    "too large": _with(body=b"x" * 9 * 1024 * 1024),
}


async def _go_on(arena: Arena) -> None:
    """The worker works as before."""
    assert states(await arena.ended(await arena.send("work", count=20))) == {"SUCCESS": 20}
    assert {worker.exit_code for worker in arena.workers if worker.broken_at is None} == {None}
    await arena.at_rest()


async def _letters(arena: Arena, count: int) -> dict[str, bytes]:
    """The dead letters when there are so many; what arrived, by id."""

    async def enough() -> bool:
        return len(await arena.app.dead_letters.list()) >= count

    await until(enough, seconds=10, what=f"{count} dead letters")
    letters = await arena.app.dead_letters.list()
    assert len(letters) == count
    assert all(letter.reason for letter in letters)
    return {letter.id: letter.raw for letter in letters}


async def test_unreadable_messages(arena: Arena) -> None:
    """Each ends among the dead letters, with its bytes as they came, and good ones between them run."""
    worker = await arena.worker()
    client = arena.server.client
    good = []
    for name, data in _UNREADABLE.items():
        client.xadd(arena.key(_STREAM), {"i": name, "m": data})
        good += await arena.send("work")
    assert states(await arena.ended(good)) == {"SUCCESS": len(good)}
    assert await _letters(arena, len(_UNREADABLE)) == _UNREADABLE
    assert worker.exit_code is None
    await _go_on(arena)


async def test_random_bytes(arena: Arena) -> None:
    """Good messages with random damage, and noise: run or buried, and nothing else."""
    worker = await arena.worker()
    rng = random.Random(20_261_121)
    client = arena.server.client
    base = _good(headers={"a": 1}, expires=None, priority=3)
    sent = 0
    for _ in range(1500):
        if rng.random() < 0.3:
            data = rng.randbytes(rng.randint(0, 200))
        else:
            damaged = bytearray(base)
            for _ in range(rng.randint(1, 4)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            data = bytes(damaged)
        client.xadd(arena.key(_STREAM), {"i": f"noise-{sent}", "m": data})
        sent += 1
    await until(lambda: not any(arena.contents().values()), what="the noise to be dealt with")
    assert worker.exit_code is None
    # Whatever could be read has run, and whatever could not is buried.
    ran = {line.id for line in arena.score.select("start")}
    buried = {letter.id for letter in await arena.app.dead_letters.list(limit=10_000)}
    revoked = {id for id, record in (await _records(arena, sent)).items() if record == "REVOKED"}
    assert ran | buried | revoked == {f"noise-{number}" for number in range(sent)}
    await _go_on(arena)


async def _records(arena: Arena, count: int) -> dict[str, str]:
    found = await arena.records([arena.app.result(f"noise-{number}") for number in range(count)])
    return {id: record.state for id, record in found.items()}


async def test_entries_of_other_shapes(arena: Arena) -> None:
    """Fields that are missing, too many, in another order, of wrong kinds; none of them is thrown away."""
    await arena.worker()
    client = arena.server.client
    good = _good()
    shapes: list[dict[bytes | str, bytes | str]] = [
        {"x": "y"},
        {"x": "z"},
        {"m": b"junk 1"},
        {"m": b"junk 2"},
        {"i": "only an id"},
        {"i": "", "m": b"junk 3"},
        {"i": b"\xff\xfe", "m": b"junk 4"},
        {"i": "counts", "m": b"junk 5", "d": "many"},
        {"i": "counts a lot", "m": good, "d": "9" * 400},
        {"i": "counts backwards", "m": b"junk 6", "d": "-5"},
        {b"\0": b"\0" * 100},
    ]
    for shape in shapes:
        client.xadd(arena.key(_STREAM), shape)
    client.xadd(arena.key(_STREAM), {"m": good, "i": "other order"})
    client.xadd(arena.key(_STREAM), {"i": "more", "m": good, "extra": "field"})
    await until(lambda: {line.id for line in arena.score.select("end")} >= {"other order", "more"})
    letters = await _letters(arena, len(shapes))
    assert {b"junk %d" % number for number in range(1, 7)} <= set(letters.values())
    await _go_on(arena)


async def test_hostile_when_it_was_handed_back(arena: Arena) -> None:
    """The same through the hands of a worker that dies: what takes over moves entries, whatever is in them."""
    dead = await arena.worker()
    [running] = await arena.send("work", 60.0)
    await arena.started([running], worker=dead)
    await dead.kill()
    client = arena.server.client
    [consumer] = [c["name"] for c in client.xinfo_consumers(arena.key(_STREAM), "workers") if c["pending"]]
    for shape in ({"x": "y"}, {"i": "d", "m": b"junk", "d": "nan"}, {"m": b"junk"}, {"d": "1e999"}):
        client.xadd(arena.key(_STREAM), shape)
    client.xreadgroup("workers", consumer, {arena.key(_STREAM): ">"}, count=100)
    gone = client.xadd(arena.key(_STREAM), {"i": "gone", "m": _good()})
    client.xreadgroup("workers", consumer, {arena.key(_STREAM): ">"}, count=100)
    client.xdel(arena.key(_STREAM), gone)
    assert await running.revoke()
    await arena.worker()
    await _letters(arena, 4)
    await _go_on(arena)


async def test_delayed_and_hostile(arena: Arena) -> None:
    """Among the delayed: no message to a due id, a message without a form."""
    await arena.worker()
    client = arena.server.client
    client.hset(arena.key("delayed:data"), "no form", b"junk")
    client.zadd(arena.key("delayed"), {"no message": 1, "no form": 2})
    [due] = await arena.send("work", countdown=0.2)
    await arena.ended([due])
    await _go_on(arena)


@pytest.mark.parametrize("priority", [0, 9, "front"])
async def test_key_of_a_wrong_type(arena: Arena, priority: int | str) -> None:
    """A stream's name that holds something else stops work, but not the worker: when it is gone, work goes on."""
    client = arena.server.client
    broken = arena.key(f"q:default:{priority}")
    client.set(broken, "not a stream")
    worker = await arena.worker(ready=False)
    results = await arena.send("work", count=5, priority=5)
    await until(lambda: "WRONGTYPE" in worker.log)
    client.delete(broken)
    assert states(await arena.ended(results)) == {"SUCCESS": 5}
    client.delete(broken)
    client.set(broken, "not a stream")
    results = await arena.send("work", count=5, priority=5)
    await until(lambda: "cannot fetch" in worker.log)
    client.delete(broken)
    results += await arena.send("work", count=5, priority=0)
    assert states(await arena.ended(results)) == {"SUCCESS": 10}
    assert worker.exit_code is None
    assert not arena.repeated()
    await arena.at_rest()


async def test_notices_of_others(arena: Arena) -> None:
    """Anybody may publish: noise on our channels ends neither the worker nor the waiters."""
    worker = await arena.worker()
    client = arena.server.client
    await until(lambda: client.pubsub_numsub(arena.key("notices"))[0][1])
    [result] = await arena.send("work", 0.5)
    waiting = result.get(timeout=20)
    for noise in (b"", b"junk", b"\x93\x01\x02", b"\xc1", b"\x93\xa7revoked\x91\x01\xc3"):
        client.publish(arena.key("notices"), noise)
        for channel in client.pubsub_channels(arena.key("done:*")):
            client.publish(channel, noise)
    await waiting
    [delayed] = await arena.send("work", countdown=0.2)
    await arena.ended([delayed], 5)
    assert worker.exit_code is None
    await arena.at_rest()
