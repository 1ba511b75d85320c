"""A queue that is empty, that nobody consumes and that was not used for a day leaves nothing."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio as aioredis

from aioqueue.brokers.protocol import UNUSED_FOR, Broker
from aioqueue.brokers.redis import RedisBroker

from .conftest import MakeConsumer
from .steps import AN_HOUR, end, fetch, fetch_one, ids, message, send, worker_status


async def _names(broker: Broker) -> list[str]:
    return [status.name for status in await broker.queues()]


async def _use(broker: Broker, consumer: MakeConsumer, *queues: str) -> None:
    """Send to queues, and let a worker run that and leave."""
    worker = await consumer(*queues)
    for queue in queues:
        await send(broker, message(f"in-{queue}", queue=queue))
    for delivery in await fetch(worker):
        await end(worker, delivery)
    await worker.leave()


async def test_an_unused_queue_vanishes_after_a_day(broker: Broker, consumer: MakeConsumer) -> None:
    await _use(broker, consumer, "a", "b:0", "b", "a:front")
    other = await consumer("other")
    assert await other.tidy() == 0
    broker.shift_clock(UNUSED_FOR - AN_HOUR)
    assert await other.tidy() == 0
    assert await _names(broker) == ["a", "a:front", "b", "b:0", "other"]
    broker.shift_clock(AN_HOUR)
    assert await other.tidy() == 4
    assert await _names(broker) == ["other"]
    assert await other.tidy() == 0


async def test_one_that_was_never_used_counts_from_the_first_look(broker: Broker, consumer: MakeConsumer) -> None:
    await (await consumer("never")).leave()
    other = await consumer("other")
    assert await other.tidy() == 0
    broker.shift_clock(UNUSED_FOR)
    assert await other.tidy() == 1
    assert await _names(broker) == ["other"]


@pytest.mark.parametrize("what", ["waiting", "delayed", "running", "consumed"])
async def test_one_that_is_in_use_stays(broker: Broker, consumer: MakeConsumer, what: str) -> None:
    await _use(broker, consumer, "a")
    other = await consumer("other")
    broker.shift_clock(UNUSED_FOR - AN_HOUR)
    if what == "waiting":
        await send(broker, message("x", queue="a"))
    elif what == "delayed":
        await send(broker, message("x", queue="a", delay=10 * UNUSED_FOR))
    elif what == "running":
        worker = await consumer("a")
        await send(broker, message("x", queue="a"))
        await fetch_one(worker)
    else:
        await consumer("a")
    broker.shift_clock(2 * UNUSED_FOR)
    assert await other.tidy() == 0
    assert "a" in await _names(broker)


@pytest.mark.parametrize("delay", [None, 10])
async def test_what_is_sent_afterwards_arrives(broker: Broker, consumer: MakeConsumer, delay: int | None) -> None:
    # The sender knows the queue, and need not say its name again.
    await send(broker, message("first", queue="a"))
    await _use(broker, consumer, "a")
    other = await consumer("other")
    broker.shift_clock(UNUSED_FOR)
    assert await other.tidy() == 1
    await send(broker, message("x", queue="a", delay=delay))
    assert "a" in await _names(broker)
    broker.shift_clock(100)
    await other.promote()
    assert "a" in await _names(broker)
    assert ids(await fetch(await consumer("a"))) == ["x"]


async def test_a_dead_letter_goes_back_to_a_queue_that_was_cleared_away(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a")
    await send(broker, message("x", queue="a"))
    await end(worker, await fetch_one(worker), dead=b"letter")
    await worker.leave()
    other = await consumer("other")
    broker.shift_clock(UNUSED_FOR)
    assert await other.tidy() == 1
    assert await broker.requeue_dead(message("x", queue="a"))
    assert await _names(broker) == ["a", "other"]


async def test_many_are_cleared_away_some_at_a_time(broker: Broker, consumer: MakeConsumer) -> None:
    await _use(broker, consumer, *[f"queue{n}" for n in range(50)])
    other = await consumer("other")
    broker.shift_clock(UNUSED_FOR)
    dropped = 0
    async with asyncio.timeout(10):
        while dropped < 50:
            dropped += await other.tidy()
    assert await _names(broker) == ["other"]


async def test_senders_and_tidying_do_not_meet(broker: Broker, consumer: MakeConsumer) -> None:
    """Whenever the queue is cleared away, nothing that is sent is lost, and its name is there with it."""
    await _use(broker, consumer, "a")
    other = await consumer("other")
    broker.shift_clock(UNUSED_FOR)

    async def sends() -> None:
        for number in range(100):
            await send(broker, message(f"{number:03}", queue="a", priority=number % 3))
            await asyncio.sleep(0)

    async def tidies() -> None:
        for _ in range(100):
            await other.tidy()
            await asyncio.sleep(0)

    await asyncio.gather(sends(), tidies())
    assert "a" in await _names(broker)
    assert len(await fetch(await consumer("a"))) == 100


async def test_no_key_is_left(redis_url: str) -> None:
    broker = RedisBroker(redis_url, "tests")
    await broker.open()
    async with aioredis.from_url(redis_url) as client:

        async def keys() -> set[bytes]:
            return {key for key in await client.keys("*") if b"answer:" not in key and b"r:in" not in key}

        try:
            other = broker.consumer(worker_status("o", "other"), visibility_timeout=30, dead_letters_max_length=10)
            await other.join()
            before = await keys()
            worker = broker.consumer(worker_status("a", "a"), visibility_timeout=30, dead_letters_max_length=10)
            await worker.join()
            for priority in range(10):
                await send(broker, message(f"in{priority}", queue="a", priority=priority))
            await worker.hand_back([])
            for delivery in await fetch(worker):
                await end(worker, delivery)
            await worker.leave()
            assert await keys() > before
            broker.shift_clock(UNUSED_FOR)
            assert await other.tidy() == 1
            assert await keys() == before
            await worker.close()
            await other.close()
        finally:
            await broker.close()
