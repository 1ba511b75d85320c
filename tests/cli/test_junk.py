"""What others have written into Redis is shown as what it is, and the rest beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis

from .conftest import Shell

NS = "{shop:0}:"
RAW = b"\xff\x1b[31m\x00"


@pytest.fixture
def client(redis_url: str, aioqueue: Shell) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def _shown(text: str) -> None:
    """Nothing in it acts on a terminal, and it was not cut off by an error of ours."""
    assert "Traceback" not in text
    assert "\x1b" not in text
    assert "\x00" not in text


def test_workers(aioqueue: Shell, client: redis.Redis) -> None:
    worker = aioqueue.worker()
    for name, said in (("junk", b"\xc1"), (RAW, RAW), ("number", b"\x01"), ("silent", None)):
        client.zadd(f"{NS}leases", {name: 10**15})
        if said is not None:
            client.hset(f"{NS}workers", name, said)
    client.zadd(f"{NS}leases", {"endless": float("inf")})
    run = aioqueue("workers", "shop")
    assert run.code == 0
    _shown(run.out + run.err)
    lines = run.out.splitlines()
    assert len(lines) == 7
    assert sum("cannot be read" in line for line in lines) == 3
    assert sum("nothing of itself" in line for line in lines) == 2
    assert r"\xff\x1b[31m\x00" in run.out
    found = aioqueue("workers", "shop", "--json").json
    assert sum("problem" in one for one in found) == 5
    client.delete(f"{NS}workers")
    client.set(f"{NS}workers", "text")
    run = aioqueue("workers", "shop")
    assert (run.code, len(run.out.splitlines())) == (0, 7)
    assert run.out.count("WRONGTYPE") == 6
    client.delete(f"{NS}workers")
    del worker


def test_queues(aioqueue: Shell, client: redis.Redis) -> None:
    assert aioqueue("call", "shop", "add", "1", "2").code == 0
    client.sadd(f"{NS}queues", RAW, "")
    client.set(f"{NS}q:default:9", "text")
    client.hset(f"{NS}delayed:count", mapping={"default": "many", RAW: "\xff", "other": "7"})
    run = aioqueue("queues", "shop")
    assert run.code == 0
    _shown(run.out + run.err)
    assert {line.split()[0]: line.split()[1] for line in run.out.splitlines() if "default" in line} == {"default": "1"}
    assert "q:default:9" in run.err
    found = {one["queue"]: one for one in aioqueue("queues", "shop", "--json").json}
    assert "WRONGTYPE" in found["default"]["problem"]
    assert (found["other"]["delayed"], "problem" in found["other"]) == (7, False)
    client.delete(f"{NS}delayed:count")
    client.set(f"{NS}delayed:count", "text")
    run = aioqueue("queues", "shop")
    assert run.code == 0
    assert "default" in run.out


def test_dead(aioqueue: Shell, client: redis.Redis) -> None:
    id = aioqueue("call", "shop", "reject").out.strip()
    assert aioqueue("worker", "shop", "--burst").code == 0
    [good] = client.hgetall(f"{NS}dead:data").values()
    for number, (name, letter) in enumerate(((RAW, good), ("junk", b"\xc1"), ("empty", b""), ("list", b"\x91\x01"))):
        client.zadd(f"{NS}dead", {name: 100 + number})
        client.hset(f"{NS}dead:data", name, letter)
    client.zadd(f"{NS}dead", {"alone": 200})
    run = aioqueue("dead", "shop")
    assert run.code == 0
    _shown(run.out + run.err)
    assert sum("cannot be read" in line for line in run.out.splitlines()) == 4
    assert id in run.out
    shown = aioqueue("dead", "show", "-A", "shop", "junk")
    assert shown.code == 0
    assert r"\xc1" in shown.out
    assert len(json.loads(aioqueue("dead", "list", "shop", "--json").out)) == 6
    run = aioqueue("dead", "requeue", "shop", "--all")
    assert run.code == 1
    _shown(run.out + run.err)
    assert run.out.count("sent again") == 2
    assert run.err.count("cannot be sent again") == 4
    assert client.xlen(f"{NS}q:default:0") == 2
    assert client.zcard(f"{NS}dead") == 4
    assert aioqueue("dead", "purge", "shop", "--yes").code == 0
    assert client.zcard(f"{NS}dead") == 0


def test_result(aioqueue: Shell, client: redis.Redis) -> None:
    id = aioqueue("call", "shop", "add", "1", "2").out.strip()
    assert aioqueue("worker", "shop", "--burst").code == 0
    good = client.get(f"{NS}r:{id}")
    assert good is not None
    for value in (b"", b"1", RAW, b"1\xc1", good[:-3], good.replace(b"SUCCESS", b"\x1b[31mXX")):
        client.set(f"{NS}r:{id}", value)
        for words in (["result", "shop:app", id], ["result", "shop:app", id, "--timeout", "1s"]):
            run = aioqueue(*words)
            assert run.code in (1, 3)
            _shown(run.out + run.err)


def test_workflow_and_revoke(aioqueue: Shell, client: redis.Redis) -> None:
    aioqueue.write(
        "flow.py",
        "import asyncio\nfrom aioqueue import chain\nfrom shop import add, app\n"
        "async def main():\n    async with app:\n"
        "        for _ in range(2):\n            print((await chain(add.s(1, 1), add.s(1), add.s(1)).send()).id)\n"
        "asyncio.run(main())\n",
    )
    made = subprocess.run(
        [sys.executable, "flow.py"],
        cwd=aioqueue.folder,
        env=aioqueue.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = made.stdout.split()
    key = f"{NS}wf:{first.partition('.')[0]}"
    client.hset(key, mapping={"2": b"\xffjunk", RAW: RAW})
    client.hset(f"{key}:s", mapping={"1": b"\xff", RAW: RAW})
    run = aioqueue("workflow", "show", "shop:app", first)
    _shown(run.out + run.err)
    run = aioqueue("revoke", "shop:app", first, second)
    _shown(run.out + run.err)
    assert second in run.out


def test_the_good_are_shown_as_ever_beside_the_junk(aioqueue: Shell, client: redis.Redis) -> None:
    worker = aioqueue.worker()
    assert aioqueue("call", "shop", "reject", "--wait").code != 0
    before = aioqueue("dead", "list", "shop", "--json").json
    client.zadd(f"{NS}dead", {b"\xff\xfe": 7})
    after = aioqueue("dead", "list", "shop", "--json").json
    assert len(after) == 2
    assert before[0] in after
    del worker
