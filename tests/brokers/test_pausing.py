"""Queues that are paused, and what a worker asks for beside them."""

from __future__ import annotations

import asyncio

import pytest
from support.waiting import PATIENCE, within

from aioqueue.brokers.protocol import Broker, QueuesPaused, Verdict
from aioqueue.brokers.redis import RedisBroker

from .conftest import MakeConsumer
from .steps import counts, end, fetch, ids, listening, message, send, status


async def test_it_is_kept_and_told(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    assert await worker.paused() == []
    async with listening(worker) as heard:
        assert await broker.pause_queue("q", True)
        await heard.next(QueuesPaused)
        assert await worker.paused() == ["q"] and await (await consumer("other")).paused() == ["q"]
        assert not await broker.pause_queue("q", True)
        assert await broker.pause_queue("unused", True)
        assert await broker.pause_queue("q", False)
        await heard.next(QueuesPaused)
        assert await worker.paused() == ["unused"] and not await broker.pause_queue("q", False)


async def test_it_is_seen(broker: Broker, consumer: MakeConsumer) -> None:
    await send(broker, "task")
    for name in ("q", "unused", "ü"):
        await broker.pause_queue(name, True)
    await send(broker, message(queue="open"))
    assert [(one.name, one.paused) for one in await broker.queues()] == [
        ("open", False),
        ("q", True),
        ("unused", True),
        ("ü", True),
    ]
    assert (await status(broker)).waiting == 1


async def test_of_some_queues_nothing_is_wanted(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a", "b", "c")
    await send(broker, *(message(queue + level, queue=queue, priority=int(level)) for queue in "abc" for level in "05"))
    found = await worker.fetch(10, wait=0, but={"a", "c"})
    assert sorted(ids(found)) == ["b0", "b5"]
    waiting = asyncio.create_task(worker.fetch(10, wait=PATIENCE, but={"a", "c"}))
    await send(broker, message("b1", queue="b"))
    assert ids(await within(waiting)) == ["b1"]
    assert sorted(ids(await worker.fetch(10, wait=0, but={"b"}))) == ["a0", "a5", "c0", "c5"]
    await send(broker, message("late", queue="c"))
    assert ids(await fetch(worker)) == ["late"]


async def test_much_of_one_queue_beside_others(broker: Broker, consumer: MakeConsumer) -> None:
    """Where one stream alone gives much, it is read in another way."""
    worker = await consumer("a", "b")
    await send(broker, *(message(f"b{n}", queue="b") for n in range(200)), message("a", queue="a", priority=9))
    found: list[str] = []
    while more := await worker.fetch(50, wait=0, but=["a"]):
        found += ids(more)
    assert sorted(found) == sorted(f"b{n}" for n in range(200))
    assert ids(await fetch(worker)) == ["a"]


async def test_giving_back(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    await send(broker, "a", "b", "c")
    a, b, c = await fetch(worker)
    assert await worker.give_back([a, c]) == 2
    assert await counts(broker) == (2, 1, 0)
    assert await end(worker, a) is Verdict.FENCED
    assert await end(worker, b) is Verdict.APPLIED
    found = await fetch(other)
    assert sorted(ids(found)) == ["a", "c"] and all(one.deliveries == 1 for one in found)
    assert await worker.give_back([a, b]) == 0 == await worker.give_back([])


@pytest.mark.needs("front")
async def test_what_is_given_back_comes_first(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, "a", "b", "c")
    await worker.give_back((await fetch(worker))[:2])
    await send(broker, message("urgent", priority=9))
    assert ids(await fetch(worker)) == ["a", "b", "urgent"]


async def test_a_key_that_is_something_else(redis_url: str, broker: Broker, consumer: MakeConsumer) -> None:
    if not isinstance(broker, RedisBroker):
        pytest.skip("it has no keys")
    worker = await consumer()
    await broker._call("SET", broker._keys.paused, "x")
    await send(broker, "task")
    assert await worker.paused() == []
    assert "WRONGTYPE" in (await status(broker)).problem
