"""Fetching in portions: which queue comes first, and how much of each is wanted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from support.waiting import PATIENCE, within

from aioqueue.brokers.protocol import Broker, Consumer, Delivery, Portion

from .conftest import MakeConsumer
from .steps import blocks, counts, fetch, ids, message, revoke, send


async def take(worker: Consumer, limit: int, *portions: tuple[str, int]) -> list[Delivery]:
    async with asyncio.timeout(PATIENCE):
        return await worker.fetch(limit, wait=0, portions=[Portion(*one) for one in portions])


def queues(deliveries: Sequence[Delivery]) -> dict[str, int]:
    return dict(Counter(delivery.queue for delivery in deliveries))


async def fill(broker: Broker, **count: int) -> None:
    """Send so many messages to each queue."""
    await send(broker, *(message(f"{queue}{n}", queue=queue) for queue, most in count.items() for n in range(most)))


async def test_the_first_queue_comes_before_the_second(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a", "b")
    await fill(broker, b=5, a=5)
    assert queues(await take(worker, 4, ("a", 4), ("b", 4))) == {"a": 4}
    assert ids(await take(worker, 4, ("a", 4), ("b", 4))) == ["a4", "b0", "b1", "b2"]
    assert ids(await take(worker, 4, ("b", 4), ("a", 4))) == ["b3", "b4"]


@pytest.mark.needs("priorities")
async def test_priorities_hold_within_a_queue(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a", "b")
    await send(
        broker,
        *(message(f"{queue}{priority}", queue=queue, priority=priority) for queue in "ab" for priority in (0, 9, 5)),
    )
    assert ids(await take(worker, 10, ("a", 10), ("b", 10))) == ["a9", "a5", "a0", "b9", "b5", "b0"]


async def test_no_more_of_a_queue_than_its_portion(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a", "b")
    await fill(broker, a=10, b=10)
    assert queues(await take(worker, 100, ("a", 2), ("b", 3))) == {"a": 2, "b": 3}
    assert await counts(broker, "a") == (8, 2, 0)
    assert await counts(broker, "b") == (7, 3, 0)


async def test_a_second_turn_takes_what_others_leave(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a", "b")
    await fill(broker, a=10, b=1)
    assert queues(await take(worker, 6, ("b", 3), ("a", 3), ("b", 3), ("a", 3))) == {"b": 1, "a": 5}


async def test_a_queue_that_is_not_named_has_no_turn(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a", "b")
    await fill(broker, a=2, b=2)
    assert ids(await take(worker, 10, ("b", 10))) == ["b0", "b1"]
    fetching = asyncio.create_task(worker.fetch(10, wait=60, portions=[Portion("b", 10)]))
    await blocks(fetching)
    await fill(broker, b=1)
    assert ids(await within(fetching)) == ["b0"]
    assert await counts(broker, "a") == (2, 0, 0)


async def test_no_more_than_a_portion_when_it_has_waited(broker: Broker, consumer: MakeConsumer) -> None:
    """Whatever was read beyond that is there for others, as if nobody had read it."""
    worker, other = await consumer("a", "b"), await consumer("a", "b")
    fetching = asyncio.create_task(worker.fetch(100, wait=60, portions=[Portion("a", 2), Portion("b", 100)]))
    await blocks(fetching)
    await fill(broker, a=6, b=6)
    held = queues(await within(fetching))
    assert held.get("a", 0) <= 2
    assert (await counts(broker, "a"))[:2] == (6 - held.get("a", 0), held.get("a", 0))
    rest = await fetch(other)
    assert [one.deliveries for one in rest] == [1] * (12 - sum(held.values()))


async def test_each_queue_that_waits_wakes(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a", "b", "c")
    portions = [Portion("a", 5), Portion("b", 5), Portion("c", 5)]
    for queue in "bca":
        fetching = asyncio.create_task(worker.fetch(5, wait=60, portions=portions))
        await blocks(fetching)
        await fill(broker, **{queue: 1})
        assert ids(await within(fetching)) == [f"{queue}0"]


async def test_it_waits_as_long_as_it_is_told(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a", "b")
    assert await within(worker.fetch(5, wait=0.2, portions=[Portion("a", 5), Portion("b", 5)])) == []


async def test_what_was_handed_back_comes_first_in_its_queue(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a", "b")
    await fill(broker, a=2, b=2)
    assert ids(await take(worker, 1, ("a", 1))) == ["a0"]
    await worker.hand_back([])
    first = await take(worker, 10, ("b", 10), ("a", 10))
    assert ids(first)[:2] == ["b0", "b1"]
    assert sorted(ids(first)[2:]) == ["a0", "a1"]
    if broker.capabilities.front:
        assert ids(first)[2:] == ["a0", "a1"]
    assert {one.deliveries for one in first} == {1}


async def test_revoked_ones_are_marked(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("a", "b")
    await fill(broker, a=2, b=1)
    await revoke(broker, "a1", "b0")
    found = await take(worker, 10, ("a", 10), ("b", 10))
    assert {one.id for one in found if one.revoked} == {one.id for one in found} - {"a0"}


async def test_a_queue_that_has_many_is_read_to_its_end(broker: Broker, consumer: MakeConsumer) -> None:
    """However it is read while it is alone, in the middle another one's turn has come."""
    worker = await consumer("a", "b")
    await fill(broker, b=300)
    order = ("a", 100), ("b", 100)
    assert queues(await take(worker, 100, *order)) == {"b": 100}
    assert queues(await take(worker, 50, *order)) == {"b": 50}
    await fill(broker, a=120)
    assert queues(await take(worker, 100, *order)) == {"a": 100}
    assert queues(await take(worker, 100, *order)) == {"a": 20, "b": 80}
    assert queues(await take(worker, 100, *order)) == {"b": 70}


@pytest.mark.needs("priorities")
async def test_without_portions_queues_take_turns_at_being_first(broker: Broker, consumer: MakeConsumer) -> None:
    """Where both are always full, none starves beside the other."""
    worker = await consumer("a", "b", "c")
    await fill(broker, a=30, b=30, c=30)
    found: list[Delivery] = []
    for _ in range(9):
        found += await fetch(worker, limit=1)
    assert queues(found) == {"a": 3, "b": 3, "c": 3}
