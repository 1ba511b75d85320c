"""The access rights of docs/reference/redis.md are enough for what it says, and not for more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from support.waiting import PATIENCE

import aioqueue.brokers.redis
from aioqueue import AioQueue, Reject, TaskContext, chain, chord, group
from aioqueue.brokers.protocol import Broker, Claim, ClaimVerdict, Outgoing, Question, StoredSchedule, WorkerStatus
from aioqueue.exceptions import AioQueueError, TaskFailed

from .pages import DOCS, blocks

# In the words of Valkey, and of Redis 7.0 when it is in a script.
_REFUSED = "permission|can't run this command"


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    """With the users of the documentation."""
    with redis.Redis.from_url(redis_url) as client:
        users: list[str] = []
        for block in blocks(DOCS / "reference" / "redis.md", "acl"):
            _, name, *rules = block.text.split()
            users.append(name)
            if client.info("server").get("redis_version", "").startswith("7.0"):
                rules = [rule for rule in rules if rule != "+client|setinfo"]
            client.execute_command("ACL", "SETUSER", name, *rules)
        client.acl_log_reset()
        yield client
        client.acl_deluser(*users)


def _app(url: str, user: str) -> AioQueue:
    place = urlsplit(url)
    return AioQueue(
        "shop",
        broker=f"redis://{user}:a-password@{place.hostname}:{place.port}/0",
        visibility_timeout=1,
        queue_max_length=10_000,
        result_expires=60,
    )


def _refused(server: redis.Redis) -> list[str]:
    return [f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in server.acl_log()]


async def test_a_producer_sends_and_sees_nothing(server: redis.Redis, redis_url: str) -> None:
    async with _app(redis_url, "shop-producer") as app:
        sent = await app.send_task("add", (1, 2))
        await app.send_many([app.signature("add", (n, n), countdown=60) for n in range(20)])
        await app.send_task("add", (1, 2), countdown=90, task_id="again")
        await app.send_task("add", (1, 2), countdown=60, task_id="again")
        add = app.signature("add", (1, 2))
        await chain(add, group(add for _ in range(20)), add).on_error(app.signature("add")).send()
        await chord([], add).send()
        await group(add.clone(countdown=60) for _ in range(1200)).send()
        with pytest.raises(ZeroDivisionError):  # in the midst of it
            await group(add.clone(args=(1 / (1100 - n),)) for n in range(1200)).send()
        assert _refused(server) == []
        with pytest.raises(AioQueueError, match=_REFUSED):
            await sent.state()
        with pytest.raises(AioQueueError, match=_REFUSED):
            await sent.revoke()
        with pytest.raises(AioQueueError, match=_REFUSED):
            await (await app.broker()).workers()


async def test_a_client_waits_and_revokes(server: redis.Redis, redis_url: str) -> None:
    async with _app(redis_url, "shop-client") as app:
        later = await app.send_task("add", (1, 2), countdown=60)
        waiting = await app.send_task("add", (1, 2))
        waiter = asyncio.create_task(waiting.get(timeout=PATIENCE))
        await asyncio.sleep(0.1)
        assert await later.revoke() and await waiting.revoke(terminate=True)
        with pytest.raises(AioQueueError, match="revoked"):
            await waiter
        assert await waiting.state() == "REVOKED"
        await waiting.forget()
        add = app.signature("add", (1, 2))
        whole = await chord((add for _ in range(60)), add.clone(task_id="mine")).send()
        assert not (await app.result("mine").graph()).ended
        assert await whole.revoke(terminate=True)
        assert (await whole.graph()).state == "REVOKED"
        await (await group(add for _ in range(2_000)).send()).forget()
        await app.revoke_by_stamp("tenant", "a", terminate=True)
        broker = await app.broker()
        schedule = StoredSchedule(name="poll", definition=b"", source="api", due=1, at=1)
        assert await broker.put_schedule(schedule, replace=False)
        assert await broker.put_schedule(schedule, replace=True)
        assert await broker.pause_schedule("poll", True)
        assert await broker.pause_schedule("poll", False, due=1, at=1)
        assert [one.paused for one in await broker.schedules()] == [False]
        assert await broker.schedulers() == []
        assert await broker.remove_schedule("poll")
        assert await app.inspect.ping(destination="w1") == {}
        async with _app(redis_url, "shop-worker") as other, other.worker(hostname="w1"):
            assert await app.inspect.ping() == {"w1": "pong"}
        assert _refused(server) == []
        with pytest.raises(AioQueueError, match=_REFUSED):
            await anext(broker.ask(Question(id="1", name="ping", steers=True)))
        with pytest.raises(AioQueueError, match=_REFUSED):
            await app.dead_letters.list()


async def test_a_worker_does_all_of_it(server: redis.Redis, redis_url: str) -> None:
    app = _app(redis_url, "shop-worker")

    @app.task(name="add")
    async def add(x: int, y: int) -> int:
        return x + y

    @app.task(name="broken", autoretry_for=(ValueError,), max_retries=1, default_retry_delay=0.05)
    async def broken() -> None:
        raise ValueError

    @app.task(name="rejected", bind=True, acks_late=False)
    async def rejected(ctx: TaskContext) -> None:
        await ctx.progress(1, 2)
        raise Reject("no")

    @app.task(name="total")
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    @app.task(name="more", bind=True)
    async def more(ctx: TaskContext, x: int) -> int:
        await ctx.add_to_group(add.si(1, x))
        return x

    @app.task(name="instead", bind=True)
    async def instead(ctx: TaskContext, x: int) -> int:
        raise ctx.replace(chain(add.s(x, 1), add.s(1)))

    @app.task(name="slow", bind=True)
    async def slow(ctx: TaskContext) -> None:
        await asyncio.sleep(3600)

    async with app, _app(redis_url, "shop-client") as client:
        broker = await app.broker()
        # A worker that dies with a task in its hands.
        dead = WorkerStatus(id="d", name="d", host="h", pid=1, queues=["default"], concurrency=1, started=0)
        consumer = broker.consumer(dead, visibility_timeout=1, dead_letters_max_length=10)
        await consumer.join()
        orphan = await client.send_task("add", (1, 2))
        assert len(await consumer.fetch(5, wait=1)) == 1
        await consumer.close()

        async with app.worker(shutdown_timeout=0.1):
            assert await orphan.get(timeout=PATIENCE) == 3
            for name, error in (("broken", ValueError), ("rejected", TaskFailed)):
                with pytest.raises(error):
                    await (await client.send_task(name)).get(timeout=PATIENCE)
            letters = await app.dead_letters.list()
            assert len(letters) == 2
            await app.dead_letters.requeue(letters[0].id)
            one = client.signature("add", (1, 2))
            parts = [client.signature(name) for name in ("more", "instead")]
            flow = chain(one, group(parts), client.signature("total")).on_error(client.signature("total"))
            assert await (await flow.send()).get(timeout=PATIENCE) == 12
            failing = await chain(chord([one] * 1200, client.signature("broken")), one).on_error(one).send()
            for _ in range(2):
                with pytest.raises(AioQueueError):
                    await failing.get(timeout=PATIENCE)
                await app.result(failing.id).resume()
            assert (await app.result(failing.id).graph()).nodes
            await app.revoke_by_stamp("tenant", "a")
            revoked = await client.send_task("slow")
            await asyncio.sleep(0.1)
            assert await revoked.revoke(terminate=True)
            await client.send_task("slow")
            assert await app.queues.pause("default") == () == await app.queues.resume("default")
            assert [status.name for status in await broker.queues()] == ["default"]
            assert len(await broker.workers()) == 1
            await asyncio.sleep(0.6)  # two renewals of the lease
        assert await broker.purge("default") == 1
        await app.dead_letters.purge()
        await _run_schedules(broker)
        # A look at everything, as is taken every two minutes.
        auditor = broker.consumer(
            WorkerStatus(id="a", name="a", host="h", pid=1, queues=["default"], concurrency=1, started=0),
            visibility_timeout=1,
            dead_letters_max_length=10,
        )
        await auditor.join()
        auditor._audit_at = 0  # type: ignore[attr-defined]
        await auditor.take_over()
        await auditor.leave()
        await auditor.close()
    assert _refused(server) == []


async def _run_schedules(broker: Broker) -> None:
    """What a scheduler does, in all of its scripts."""
    schedule = StoredSchedule(name="poll", definition=b"", source="code", due=1, at=1)
    assert await broker.declare_schedules("one", [schedule], lease=1000) == []
    assert (await broker.lead_schedules("one", lease=1000)).leads
    assert await broker.sweep_schedules() == []
    [due], _ = await broker.due_schedules(10)
    sent = (Outgoing("scheduled", "other", 0, b"", once=True), Outgoing("later", "other", 0, b"", delay=60_000))
    claim = Claim(name="poll", revision=due.revision, due=1, next_due=None, next_at=None, messages=sent)
    assert [one.verdict for one in await broker.claim_schedules([claim], until=2**50)] == [ClaimVerdict.SENT]
    changes = broker.schedule_changes()
    await anext(changes)
    await broker.resign_schedules("one")
    await anext(changes)
    await changes.aclose()  # type: ignore[attr-defined]
    assert await broker.sweep_schedules() == ["poll"]


def test_the_commands_are_those_that_scripts_use() -> None:
    """Whatever a script calls, a worker may."""
    rules = next(block.text for block in blocks(DOCS / "reference" / "redis.md", "acl") if "shop-worker" in block.text)
    allowed = set(re.findall(r"\+([\w|]+)", rules))
    [folder] = aioqueue.brokers.redis.__path__
    for file in sorted(Path(folder, "lua").rglob("*.lua")):
        for command, sub in re.findall(r"redis\.p?call\('(\w+)'(?:, '([A-Z]+)')?", file.read_text()):
            name = command.lower()
            assert name in allowed or f"{name}|{sub.lower()}" in allowed, f"{command} {sub} in {file.name}"
