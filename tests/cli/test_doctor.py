"""`aioqueue doctor`: each thing that can be wrong is found, and what to do about it is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from docs.pages import DOCS, blocks

from aioqueue import AioQueue
from aioqueue.brokers.protocol import Finding, Health
from aioqueue.brokers.redis.rights import OF_WORKERS, named
from aioqueue.doctor import examine

from .conftest import Shell

Found = Mapping[str, Finding]


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def _app(url: str) -> AioQueue:
    app = AioQueue("shop", broker=url)

    @app.task(name="add")
    async def add(x: int, y: int) -> int:
        return x + y

    return app


async def _found(app: AioQueue) -> Found:
    """What is worst of each check."""
    order = list(Health)
    found: dict[str, Finding] = {}
    for one in await examine(app):
        if one.check not in found or order.index(one.health) > order.index(found[one.check].health):
            found[one.check] = one
    return found


def test_as_a_person_sees_it(aioqueue: Shell) -> None:
    aioqueue("call", "shop", "add", "1", "2")
    run = aioqueue("doctor", "shop")
    assert run.code == 1
    assert "No worker consumes 'default', where 1 task waits." in " ".join(run.out.split())
    assert "aioqueue -A shop worker -Q default" in " ".join(run.out.split())
    assert "2 problems" in run.err
    worker = aioqueue.worker()
    healthy = aioqueue("doctor", "shop", "--json")
    found = {one["check"]: one for one in healthy.json}
    assert healthy.code == 0, healthy.out
    assert (found["queues"]["health"], found["workers"]["health"], found["rights"]["health"]) == ("ok", "ok", "ok")
    assert found["queues"]["advice"] is None
    worker.end()


def test_a_broker_that_is_away_or_none(folder_shell: Shell) -> None:
    folder_shell.write("shop.py", (folder_shell.folder / "shop.py").read_text() + "\napp.conf.send_timeout = 0.2\n")
    for url, says in (("redis://127.0.0.1:1", "No answer"), ("reddis://x", "has the scheme")):
        run = folder_shell("doctor", "shop", "-b", url, "--json")
        *software, broker = run.json
        assert (run.code, broker["check"], broker["health"]) == (1, "broker", "problem")
        assert says in broker["says"]
        assert broker["advice"]
        assert {one["check"] for one in software} == {"software", "extras"}


async def test_a_server_that_may_lose_tasks(redis_url: str, server: redis.Redis) -> None:
    app = _app(redis_url)
    before = server.config_get("maxmemory*")
    try:
        server.config_set("maxmemory-policy", "allkeys-lru")
        assert (await _found(app))["memory"].health is Health.WARNING
        server.config_set("maxmemory", "500mb")
        memory = (await _found(app))["memory"]
        assert (memory.health, "noeviction" in memory.advice) == (Health.PROBLEM, True)
        server.config_set("maxmemory-policy", "noeviction")
        assert (await _found(app))["memory"].health is Health.OK
        assert (await _found(app))["persistence"].health is (
            Health.OK if server.info("persistence")["aof_enabled"] else Health.WARNING
        )
    finally:
        for name in ("maxmemory", "maxmemory-policy"):
            server.config_set(name, before[name])


async def test_rights_that_are_missing(redis_url: str, server: redis.Redis) -> None:
    [worker] = [block for block in blocks(DOCS / "reference" / "redis.md", "acl") if "shop-worker" in block.text]
    _, name, *rules = worker.text.split()
    place = urlsplit(redis_url)
    app = _app(f"redis://{name}:a-password@{place.hostname}:{place.port}/0")
    try:
        server.execute_command("ACL", "SETUSER", name, *rules)
        found = await _found(app)
        assert found["rights"].health is Health.OK, found["rights"].says
        assert found["keys"].health is Health.UNKNOWN  # workers may not SCAN
        server.execute_command("ACL", "SETUSER", name, "-xack", "-xgroup|create", "-subscribe")
        lacking = (await _found(app))["rights"]
        assert lacking.health is Health.WARNING
        assert "+subscribe +xack +xgroup|create" in lacking.says
        assert "~{shop:0}:*" in lacking.advice
    finally:
        server.acl_deluser(name)
    # Each command of the documentation is asked about, and no other.
    given = {rule for rule in rules if rule.startswith("+") and "client" not in rule}
    for_connecting = {"+hello", "+auth", "+ping", "+select", "+info", "+eval", "+evalsha"}
    assert {named(words) for words in OF_WORKERS} == given - for_connecting


async def test_what_is_stuck_and_what_is_nobodys(redis_url: str, server: redis.Redis) -> None:
    app = _app(redis_url)
    async with app:
        broker = await app.broker()
        server.zadd("{shop:0}:leases", {"dead": broker.now() - 3_600_000})
        silent = (await _found(app))["leases"]
        assert (silent.health, "dead" in silent.says, "Start a worker" in silent.advice) == (Health.PROBLEM, True, True)
        server.zadd("{shop:0}:leases", {"dead": "inf"})
        endless = (await _found(app))["leases"]
        assert "ZADD '{shop:0}:leases' 1 dead" in endless.advice
        server.delete("{shop:0}:leases")
        assert (await _found(app))["keys"].health is Health.OK
        server.xadd("{shop:0}:q:lost:0", {"i": "x"})
        server.hset("{shop:0}:dead:data", "x", "y")
        server.hset("{shop:0}:early:gone", "x", "1")
        keys = (await _found(app))["keys"]
        assert keys.health is Health.WARNING
        assert all(name in keys.says for name in ("q:lost:0", "early:gone", "dead:data"))
        server.set("{shop:0}:leases", "no set")
        found = await _found(app)
        assert [found[check].health for check in ("leases", "workers", "dead letters")] == [
            Health.UNKNOWN,
            Health.UNKNOWN,
            Health.OK,
        ]


async def test_who_works_on_what(redis_url: str) -> None:
    app = _app(redis_url)
    app.conf.beat_schedule = {"poll": {"task": "add", "schedule": 60, "args": (1, 2)}}

    @app.task(name="mail", queue="mail")
    async def mail() -> None: ...

    async with app, app.worker(queues=["default"]):
        found = await _found(app)
        assert (found["queues"].health, "'mail'" in found["queues"].says) == (Health.WARNING, True)
        assert found["schedules"].health is Health.PROBLEM
        await mail.send()
        assert (await _found(app))["queues"].health is Health.PROBLEM
        await (await app.send_task("nothing of that name")).state()
        dead: Any = None
        while not dead:
            dead = await app.dead_letters.list()
        assert (await _found(app))["dead letters"].health is Health.WARNING


async def test_a_broker_in_memory() -> None:
    found = await _found(_app("memory://"))
    assert (found["broker"].health, found["clock"].health) == (Health.WARNING, Health.OK)
