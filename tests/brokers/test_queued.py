"""Which tasks wait in a worker's queues: what a worker asks that stands still."""

from __future__ import annotations

import pytest
import redis

from aioqueue.brokers.protocol import Broker

from .conftest import MakeConsumer
from .steps import fetch, message, send

WORKFLOW = "01a21976-c959-7028-afb1-1f1e09d7527c"


@pytest.mark.needs("priorities")
async def test_what_waits_and_what_does_not(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    assert await worker.queued(["a"]) == [False]
    await send(broker, "a", "b", message("urgent", priority=9))
    assert await worker.queued(["a", "none", "b", "urgent"]) == [True, False, True, True]
    taken = await fetch(worker, 2)
    assert [one.id for one in taken] == ["urgent", "a"]
    assert await worker.queued(["a", "b", "urgent"]) == [False, True, False]
    await worker.hand_back([])
    assert await worker.queued(["a", "b", "urgent"]) == [True, True, True]


async def test_what_waits_for_its_time_or_elsewhere_does_not(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, message("later", delay=60_000), message("elsewhere", queue="other"))
    assert await worker.queued(["later", "elsewhere"]) == [False, False]


async def test_a_workflow_waits_with_any_task_of_it(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, f"{WORKFLOW}.7", "other.1")
    assert await worker.queued([f"{WORKFLOW}.", f"{WORKFLOW}.8", f"{WORKFLOW}.7", WORKFLOW]) == [
        True,
        False,
        True,
        False,
    ]


async def test_of_a_long_queue_the_newest_are_looked_at(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    ids = [f"task-{number}" for number in range(600)]
    await send(broker, *ids)
    assert all(await worker.queued(ids[-450:]))


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
@pytest.mark.parametrize("kind", ["string", "entries", "last id"])
async def test_what_is_broken_says_nothing(redis_url: str, broker: Broker, consumer: MakeConsumer, kind: str) -> None:
    worker = await consumer()
    await send(broker, "task", message("urgent", priority=9))
    with redis.Redis.from_url(redis_url) as client:
        [key] = client.keys("*:q:*:9")
        if kind == "string":
            client.set(key, "junk")
        elif kind == "entries":
            client.xadd(key, {b"\xff": b"\x00", b"i": b""})
        else:
            client.xadd(key, {"i": "x"}, id="18446744073709551615-18446744073709551615")
    assert await worker.queued(["task", "urgent"]) == [True, kind != "string"]


async def test_of_one_queue_alone(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("q", "other")
    await send(broker, "here", message("there", queue="other"))
    assert await worker.queued(["here", "there"], "q") == [True, False]
    assert await worker.queued(["here", "there"], "other") == [False, True]
