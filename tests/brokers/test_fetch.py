"""Fetching: by priority, up to a limit, and waiting without polling."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.waiting import until, within

from aioqueue.brokers.protocol import Broker, Delivery
from aioqueue.exceptions import LeaseLost

from .conftest import MakeConsumer
from .steps import blocks, counts, fall, fetch, ids, message, revoke, send


@pytest.mark.needs("priorities")
async def test_higher_priorities_come_first(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    order = [3, 0, 9, 5, 1, 8, 2, 7, 4, 6]
    await send(broker, *(message(f"p{priority}", priority=priority) for priority in order))
    first, rest = await fetch(worker, limit=3), await fetch(worker)
    assert ids(first) == ["p9", "p8", "p7"]
    assert ids(rest) == ["p6", "p5", "p4", "p3", "p2", "p1", "p0"]


@pytest.mark.needs("priorities")
async def test_a_later_message_of_higher_priority_overtakes(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, message("low-1"), message("low-2"))
    assert ids(await fetch(worker, limit=1)) == ["low-1"]
    await send(broker, message("high", priority=1))
    assert ids(await fetch(worker)) == ["high", "low-2"]


@pytest.mark.needs("priorities")
async def test_priorities_hold_across_queues(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("first", "second")
    await send(broker, message("low", queue="first", priority=1), message("high", queue="second", priority=8))
    assert ids(await fetch(worker, limit=1)) == ["high"]
    assert ids(await fetch(worker, limit=1)) == ["low"]


async def test_no_more_than_the_limit(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, *(message(f"{n}", priority=n % 3) for n in range(10)))
    assert len(await fetch(worker, limit=4)) == 4
    assert await counts(broker) == (6, 4, 0)
    assert len(await fetch(worker, limit=100)) == 6
    assert await fetch(worker) == []


@pytest.mark.needs("priorities")
async def test_limit_and_order_hold_for_a_fetch_that_may_wait(broker: Broker, consumer: MakeConsumer) -> None:
    """It looks at the queues in the same way, whether they were empty the last time or not."""
    worker = await consumer()
    for limit in (1, 4, 30):
        assert await fetch(worker) == []
        await send(
            broker, *(message(f"p{priority}-{n}", priority=priority) for n in range(3) for priority in (2, 0, 9))
        )
        fetched: list[str] = []
        while len(fetched) < 9:
            more = await within(worker.fetch(limit, wait=60))
            assert 0 < len(more) <= limit
            fetched += ids(more)
        assert fetched == ["p9-0", "p9-1", "p9-2", "p2-0", "p2-1", "p2-2", "p0-0", "p0-1", "p0-2"]


async def test_what_was_handed_back_keeps_its_count_in_a_fetch_that_may_wait(
    broker: Broker, consumer: MakeConsumer
) -> None:
    worker, other = await consumer(), await consumer()
    assert await fetch(worker) == []
    await send(broker, "task", "revoked")
    await fetch(other)
    await revoke(broker, "revoked")
    await fall(broker, other, by=worker)
    deliveries: list[Delivery] = []
    while len(deliveries) < 2:
        deliveries += await within(worker.fetch(10, wait=60))
    assert [(one.id, one.deliveries, one.revoked) for one in deliveries] == [("task", 2, False), ("revoked", 2, True)]


async def test_a_message_is_lent_to_one_worker(broker: Broker, consumer: MakeConsumer) -> None:
    workers = [await consumer() for _ in range(3)]
    await send(broker, *(f"{n}" for n in range(30)))
    shares = await asyncio.gather(*(fetch(worker, limit=10) for worker in workers))
    assert sorted(id for share in shares for id in ids(share)) == sorted(f"{n}" for n in range(30))


async def test_only_from_the_workers_own_queues(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer("mine", "ours"), await consumer("theirs", "ours")
    await send(broker, *(message(queue, queue=queue) for queue in ("mine", "theirs")))
    assert [(one.id, one.queue) for one in await fetch(worker)] == [("mine", "mine")]
    assert [(one.id, one.queue) for one in await fetch(other)] == [("theirs", "theirs")]


async def test_each_delivery_has_a_handle_of_its_own(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, *(message(f"{n}", priority=n) for n in range(3)))
    first = await fetch(worker)
    await worker.hand_back([])
    handles = [repr(one.handle) for one in (*first, *await fetch(worker))]
    assert len(set(handles)) == 6


async def test_nothing_can_be_fetched_before_joining(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer(join=False)
    await send(broker, "task")
    with pytest.raises(LeaseLost):
        await fetch(worker)
    await worker.join()
    assert ids(await fetch(worker)) == ["task"]


async def test_without_messages_it_waits_as_long_as_it_is_told(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    started = time.monotonic()
    assert await within(worker.fetch(1, wait=0.3)) == []
    assert 0.25 <= time.monotonic() - started < 5


async def test_a_message_wakes_a_waiting_fetch(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a", "b")
    for queue, priority in (("a", 0), ("b", 9), ("b", 4)):
        fetching = asyncio.create_task(worker.fetch(5, wait=60))
        await blocks(fetching)
        await send(broker, message("task", queue=queue, priority=priority))
        assert ids(await within(fetching)) == ["task"]


async def test_what_is_handed_back_wakes_a_waiting_fetch(broker: Broker, consumer: MakeConsumer) -> None:
    leaving, staying = await consumer(), await consumer()
    await send(broker, "task")
    assert ids(await fetch(leaving)) == ["task"]
    fetching = asyncio.create_task(staying.fetch(5, wait=60))
    await blocks(fetching)
    await leaving.leave()
    assert ids(await within(fetching)) == ["task"]


async def test_many_messages_wake_many_workers(broker: Broker, consumer: MakeConsumer) -> None:
    workers = [await consumer() for _ in range(4)]
    fetching = [asyncio.create_task(worker.fetch(1, wait=60)) for worker in workers]
    await asyncio.gather(*map(blocks, fetching))
    await send(broker, *(f"{n}" for n in range(4)))
    shares = await within(asyncio.gather(*fetching))
    assert sorted(id for share in shares for id in ids(share)) == ["0", "1", "2", "3"]


async def test_one_message_ends_one_wait(broker: Broker, consumer: MakeConsumer) -> None:
    workers = [await consumer() for _ in range(3)]
    fetching = {asyncio.create_task(worker.fetch(1, wait=60)) for worker in workers}
    await asyncio.gather(*map(blocks, fetching))
    for left in (2, 1, 0):
        await send(broker, f"{left}")
        done, fetching = await asyncio.wait(fetching, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert [ids(task.result()) for task in done] == [[f"{left}"]]
        assert len(fetching) == left


async def test_a_cancelled_wait_is_cancelled_and_takes_nothing_along(broker: Broker, consumer: MakeConsumer) -> None:
    """A read may be cancelled with messages already on their way: `hand_back` finds those."""
    worker, other = await consumer(), await consumer()
    kept: list[Delivery] = []
    sent = [f"{n:02}" for n in range(20)]
    for number, id in enumerate(sent):
        fetching = asyncio.create_task(worker.fetch(1, wait=60))
        await asyncio.sleep(0)
        sending = asyncio.create_task(send(broker, id))
        # Each round is cancelled at another point of the way.
        for _ in range(number):
            await asyncio.sleep(0)
        fetching.cancel()
        try:
            kept += await within(fetching)
        except asyncio.CancelledError:
            pass
        await sending
    found = ids(kept)

    async def all_are_found() -> bool:
        await worker.hand_back(kept)
        found.extend(ids(await fetch(other)))
        return len(found) >= len(sent)

    await until(all_are_found)
    assert sorted(found) == sent


async def test_a_cancelled_waiter_passes_the_message_on(broker: Broker, consumer: MakeConsumer) -> None:
    """The message wakes the first of two; it is cancelled in the same moment, so the second must get it."""
    first, second = await consumer(), await consumer()
    cancelled = asyncio.create_task(first.fetch(1, wait=60))
    await blocks(cancelled)
    waiting = asyncio.create_task(second.fetch(1, wait=60))
    await blocks(waiting)
    await send(broker, "task")
    cancelled.cancel()
    await asyncio.wait({cancelled}, timeout=10)
    # Either it was in time with the message, or it has been cancelled: then somebody else can have it.
    if cancelled.cancelled():
        await first.hand_back([])
        assert ids(await within(waiting)) == ["task"]
    else:
        assert ids(cancelled.result()) == ["task"]
        waiting.cancel()
        await asyncio.wait({waiting}, timeout=10)


@pytest.mark.needs("priorities")
async def test_what_is_urgent_comes_first_though_one_stream_has_been_read_for_long(
    broker: Broker, consumer: MakeConsumer
) -> None:
    """What alone fills a large room is read as it is; what else has come meanwhile does not fill it twice."""
    worker, other = await consumer(), await consumer()
    await broker.send([message(f"low-{n}") for n in range(1000)], timeout=5)
    for _ in range(3):
        assert len(await fetch(worker, limit=100)) == 100
    await broker.send([message(f"high-{n}", priority=9) for n in range(150)], timeout=5)
    urgent = [*await fetch(worker, limit=100), *await fetch(worker, limit=300)]
    assert [len(urgent), *ids(urgent)[:100]] == [400, *(f"high-{n}" for n in range(100))]
    assert {f"high-{n}" for n in range(150)} <= set(ids(urgent))
    rest = await fetch(other, limit=1000)  # what there was no room for is there for others, at once
    assert [one.deliveries for one in rest] == [1] * 450
