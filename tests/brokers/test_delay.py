"""Messages that wait for their time (promise D6)."""

from __future__ import annotations

import asyncio

import pytest
from support.waiting import within

from aioqueue.brokers.protocol import Broker, Due

from .conftest import MakeConsumer
from .steps import AN_HOUR, blocks, counts, end, fetch, fetch_one, ids, listening, message, send


async def test_a_delayed_message_is_not_delivered_early(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, message("later", delay=60_000))
    assert await counts(broker) == (0, 0, 1)
    await worker.promote()
    assert await fetch(worker) == []
    broker.shift_clock(55_000)
    await worker.promote()
    assert await fetch(worker) == []
    broker.shift_clock(5_000)
    await worker.promote()
    assert await counts(broker) == (1, 0, 0)
    delivery = await fetch_one(worker)
    assert (delivery.id, delivery.data, delivery.deliveries) == ("later", b"later", 1)


async def test_a_message_may_say_its_moment(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, message("later", due=broker.now() + 60_000))
    broker.shift_clock(55_000)
    await worker.promote()
    assert await fetch(worker) == []
    broker.shift_clock(5_000)
    await worker.promote()
    assert ids(await fetch(worker)) == ["later"]


async def test_what_was_due_in_the_past_is_due(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, message("past", due=broker.now() - 60_000), message("now", delay=0))
    await worker.promote()
    assert sorted(ids(await fetch(worker))) == ["now", "past"]


async def test_the_clock_follows_its_shift(broker: Broker) -> None:
    before = broker.now()
    broker.shift_clock(AN_HOUR)
    assert AN_HOUR <= broker.now() - before < AN_HOUR + 60_000
    broker.shift_clock(-AN_HOUR)
    assert abs(broker.now() - before) < 60_000


async def test_in_real_time(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    sent = broker.now()
    await send(broker, message("soon", delay=150))
    async with asyncio.timeout(10):
        while (wait := await worker.promote()) is not None:  # noqa: ASYNC110 - it says how long
            await asyncio.sleep(wait)
    assert broker.now() - sent >= 149
    assert ids(await fetch(worker)) == ["soon"]


async def test_promote_says_when_the_next_is_due(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    assert await worker.promote() is None
    await send(broker, message("a", delay=60_000), message("b", delay=20_000))
    wait = await worker.promote()
    assert wait is not None and 10 < wait <= 20
    broker.shift_clock(20_000)
    wait = await worker.promote()
    assert wait is not None and 30 < wait <= 40
    broker.shift_clock(40_000)
    assert await worker.promote() is None
    assert ids(await fetch(worker)) == ["b", "a"]


async def test_many_are_due_at_once_earliest_first(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    names = [f"{number:04}" for number in range(2_100)]
    due = broker.now() + 10_000
    await send(broker, *(message(name, due=due - int(name)) for name in names))
    broker.shift_clock(10_000)
    # However many it moves at a time: it says 0 while there are more.
    async with asyncio.timeout(10):
        while await worker.promote() is not None:
            pass
    assert await counts(broker) == (2_100, 0, 0)
    fetched: list[str] = []
    while more := await fetch(worker, limit=1_000):
        fetched += ids(more)
    assert fetched == names[::-1]


@pytest.mark.needs("priorities")
async def test_a_due_message_keeps_its_priority(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(
        broker, message("low", delay=1_000), message("high", delay=2_000, priority=9), message("now", priority=5)
    )
    broker.shift_clock(2_000)
    await worker.promote()
    assert ids(await fetch(worker)) == ["high", "now", "low"]


async def test_each_goes_to_its_own_queue(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer("a"), await consumer("b")
    await send(broker, message("for-a", queue="a", delay=1_000), message("for-b", queue="b", delay=1_000))
    assert (await counts(broker, "a"), await counts(broker, "b")) == ((0, 0, 1), (0, 0, 1))
    broker.shift_clock(1_000)
    await worker.promote()
    assert (ids(await fetch(worker)), ids(await fetch(other))) == (["for-a"], ["for-b"])


async def test_two_who_promote_at_once(broker: Broker, consumer: MakeConsumer) -> None:
    first, second = await consumer(), await consumer()
    await send(broker, *(message(f"{n}", delay=1_000) for n in range(20)))
    broker.shift_clock(1_000)
    await asyncio.gather(first.promote(), second.promote())
    assert await counts(broker) == (20, 0, 0)


async def test_a_due_message_wakes_a_waiting_fetch(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, message("later", delay=60_000))
    fetching = asyncio.create_task(worker.fetch(1, wait=60))
    await blocks(fetching)
    broker.shift_clock(60_000)
    await worker.promote()
    assert ids(await within(fetching)) == ["later"]


async def test_sending_a_delayed_id_again_replaces_it(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, message("first", delay=5_000), message("task", data=b"old", delay=10_000))
    await send(broker, message("task", data=b"new", delay=60_000))
    assert await counts(broker) == (0, 0, 2)
    broker.shift_clock(10_000)
    await worker.promote()
    assert ids(await fetch(worker)) == ["first"]
    broker.shift_clock(50_000)
    await worker.promote()
    delivery = await fetch_one(worker)
    assert delivery.data == b"new"
    await end(worker, delivery)
    assert await worker.promote() is None


async def test_it_is_replaced_by_an_earlier_one_too(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("q", "other")
    await send(broker, message("task", data=b"old", delay=60_000))
    await send(broker, message("task", data=b"new", delay=10_000, queue="other"))
    assert (await counts(broker), await counts(broker, "other")) == ((0, 0, 0), (0, 0, 1))
    broker.shift_clock(60_000)
    await worker.promote()
    assert [(one.data, one.queue) for one in await fetch(worker)] == [(b"new", "other")]


async def test_workers_are_told_of_what_is_due_first(broker: Broker, consumer: MakeConsumer) -> None:
    """They sleep until the next message is due: one that is due before that must wake them."""
    async with listening(await consumer()) as heard, listening(await consumer()) as other:
        for delay in (60_000, 30_000, 10_000):
            await send(broker, message(f"in-{delay}", delay=delay))
            await heard.next(Due)
            await other.next(Due)


async def test_workers_are_told_of_what_a_settlement_sends(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, "task")
    delivery = await fetch_one(worker)
    async with listening(worker) as heard:
        await end(worker, delivery, sends=[message("later", delay=60_000)])
        await heard.next(Due)
