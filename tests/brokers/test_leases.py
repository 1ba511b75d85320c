"""Leases: what a silent worker held goes to others, and the silent one can touch it no more (promises D2 to D5)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from support.waiting import until, within

from aioqueue.brokers.protocol import Broker, Settlement, Verdict
from aioqueue.brokers.redis.broker import RedisBroker
from aioqueue.brokers.redis.consumer import RedisConsumer
from aioqueue.exceptions import LeaseLost

from .conftest import MakeConsumer
from .steps import (
    LEASE,
    VISIBILITY_TIMEOUT,
    blocks,
    counts,
    end,
    fall,
    fetch,
    fetch_one,
    ids,
    message,
    send,
    send_and_fetch,
)


async def test_what_a_silent_worker_held_goes_to_another(broker: Broker, consumer: MakeConsumer) -> None:
    silent, other = await consumer(), await consumer()
    old = await send_and_fetch(broker, silent)
    await fall(broker, silent, by=other)
    assert await counts(broker) == (1, 0, 0)
    new = await fetch_one(other)
    assert (new.id, new.data, new.deliveries) == ("task", b"task", 2)
    assert repr(new.handle) != repr(old.handle)
    assert await end(other, new) is Verdict.APPLIED


async def test_nothing_is_taken_while_the_lease_lasts(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    delivery = await send_and_fetch(broker, worker)
    broker.shift_clock(LEASE - 5_000)
    await other.take_over()
    assert await fetch(other) == []
    assert await end(worker, delivery) is Verdict.APPLIED


async def test_a_renewed_lease_lasts(broker: Broker, consumer: MakeConsumer) -> None:
    """`renew` comes from a thread, so that a blocked event loop loses nothing (D3)."""
    worker, other = await consumer(), await consumer()
    delivery = await send_and_fetch(broker, worker)
    for _ in range(4):
        broker.shift_clock(LEASE - 5_000)
        assert await asyncio.to_thread(worker.renew) is True
        await other.take_over()
    assert await counts(broker) == (0, 1, 0)
    assert await end(worker, delivery) is Verdict.APPLIED


async def test_a_worker_is_never_declared_fallen_by_itself(broker: Broker, consumer: MakeConsumer) -> None:
    """An outage that nobody else noticed is none: nothing ran twice, so nothing needs to be fenced."""
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    broker.shift_clock(10 * LEASE)
    await worker.take_over()
    assert await counts(broker) == (0, 1, 0)
    assert await fetch(worker) == []
    assert await end(worker, delivery) is Verdict.APPLIED
    assert await asyncio.to_thread(worker.renew) is True
    assert await send_and_fetch(broker, worker, "next")


async def test_a_fallen_worker_can_settle_nothing(broker: Broker, consumer: MakeConsumer) -> None:
    zombie, other = await consumer(), await consumer()
    old = await send_and_fetch(broker, zombie)
    await fall(broker, zombie, by=other)
    assert await end(zombie, old, b"zombie", sends=[message("unwanted")], dead=b"letter") is Verdict.FENCED
    assert await broker.records(["task"]) == [None]
    assert await broker.dead_letters(limit=10) == []
    new = await fetch_one(other)
    assert await end(zombie, old, b"zombie") is Verdict.FENCED
    assert await end(other, new, b"mine") is Verdict.APPLIED
    assert await end(zombie, old, b"zombie") is Verdict.FENCED
    assert await broker.records(["task"]) == [b"mine"]
    assert await counts(broker) == (0, 0, 0)


async def test_an_old_delivery_does_not_end_a_new_one_of_the_same_worker(
    broker: Broker, consumer: MakeConsumer
) -> None:
    """The handle is the fence, not the worker's name: what came back to its first worker is a new delivery."""
    worker = await consumer()
    old = await send_and_fetch(broker, worker)
    assert await worker.hand_back([]) == 1
    new = await fetch_one(worker)
    assert await end(worker, old, b"old") is Verdict.FENCED
    assert await end(worker, new, b"new") is Verdict.APPLIED
    assert await broker.records(["task"]) == [b"new"]


async def test_a_fallen_worker_stays_fallen(broker: Broker, consumer: MakeConsumer) -> None:
    zombie, other = await consumer(), await consumer()
    await fall(broker, zombie, by=other)
    await send(broker, "task")
    for _ in range(2):
        assert await asyncio.to_thread(zombie.renew) is False
        with pytest.raises(LeaseLost):
            await fetch(zombie)
    assert ids(await fetch(other)) == ["task"]


async def test_a_fallen_worker_learns_it_from_a_fetch_that_would_wait(broker: Broker, consumer: MakeConsumer) -> None:
    zombie, other = await consumer(), await consumer()
    assert await fetch(zombie) == []
    await fall(broker, zombie, by=other)
    with pytest.raises(LeaseLost):
        await within(zombie.fetch(1, wait=0.5))
    await send(broker, "task")
    with pytest.raises(LeaseLost):
        await within(zombie.fetch(1, wait=0.5))
    assert ids(await fetch(other)) == ["task"]


async def test_a_fallen_worker_hands_nothing_back(broker: Broker, consumer: MakeConsumer) -> None:
    zombie, other = await consumer(), await consumer()
    await send_and_fetch(broker, zombie)
    await fall(broker, zombie, by=other)
    new = await fetch_one(other)
    assert await zombie.hand_back([]) == 0
    assert await zombie.leave() == 0
    assert await counts(broker) == (0, 1, 0)
    assert await end(other, new) is Verdict.APPLIED


async def test_a_worker_that_falls_while_it_waits_keeps_nothing(broker: Broker, consumer: MakeConsumer) -> None:
    zombie, other = await consumer(), await consumer()
    waiting = asyncio.create_task(zombie.fetch(10, wait=2))
    await blocks(waiting)
    await fall(broker, zombie, by=other)
    await send(broker, "task")
    with pytest.raises(LeaseLost):
        await within(waiting)
    # Should the message have reached it on the way: it is nobody's stray once the worker has gone.
    await zombie.leave()

    async def other_has_ended_it() -> bool:
        await other.take_over()
        for delivery in await fetch(other):
            assert await end(other, delivery) is Verdict.APPLIED
        return await broker.records(["task"]) == [b"done"]

    await until(other_has_ended_it)


async def test_take_overs_count_as_deliveries(broker: Broker, consumer: MakeConsumer) -> None:
    """So that a task which kills its workers can be told from one that was only unlucky once (D5)."""
    worker = await consumer()
    await send(broker, "task")
    for deliveries in (1, 2, 3, 4):
        assert (await fetch_one(worker)).deliveries == deliveries
        worker, fallen = await consumer(), worker
        await fall(broker, fallen, by=worker)


async def test_handing_back_does_not_count(broker: Broker, consumer: MakeConsumer) -> None:
    worker, silent = await consumer(), await consumer()
    await send_and_fetch(broker, silent)
    await fall(broker, silent, by=worker)
    for _ in range(3):
        assert (await fetch_one(worker)).deliveries == 2
        assert await worker.hand_back([]) == 1
    other = await consumer()
    await worker.leave()
    assert (await fetch_one(other)).deliveries == 2


async def test_two_who_take_over_at_once(broker: Broker, consumer: MakeConsumer) -> None:
    silent, first, second = await consumer(), await consumer(), await consumer()
    names = [f"{number:02}" for number in range(50)]
    await send(broker, *names)
    assert len(await fetch(silent)) == 50
    broker.shift_clock(LEASE + 1)
    assert await asyncio.to_thread(first.renew)
    assert await asyncio.to_thread(second.renew)
    await asyncio.gather(first.take_over(), second.take_over())
    assert await counts(broker) == (50, 0, 0)
    deliveries = await fetch(first)
    assert ids(deliveries) == names
    assert {one.deliveries for one in deliveries} == {2}


async def test_more_than_one_silent_worker(broker: Broker, consumer: MakeConsumer) -> None:
    silent, other = [await consumer() for _ in range(3)], await consumer()
    for number, worker in enumerate(silent):
        await send(broker, f"{number}-a", f"{number}-b")
        assert len(await fetch(worker)) == 2
    broker.shift_clock(LEASE + 1)
    assert await asyncio.to_thread(other.renew)
    await other.take_over()
    assert await counts(broker) == (6, 0, 0)
    assert [await asyncio.to_thread(worker.renew) for worker in silent] == [False, False, False]


@pytest.mark.parametrize("priorities", [[0], [9], range(10)], ids=["0", "9", "all"])
async def test_a_silent_worker_that_held_more_than_one_look_takes_over(
    broker: Broker, consumer: MakeConsumer, priorities: Sequence[int]
) -> None:
    """A look takes over a bounded number of entries: the worker is not forgotten while it may hold more (D1)."""
    silent, other = await consumer(), await consumer()
    names = [f"{number:03}" for number in range(450)]
    await send(broker, *(message(name, priority=priorities[n % len(priorities)]) for n, name in enumerate(names)))
    assert len(await fetch(silent, limit=1000)) == 450
    await fall(broker, silent, by=other)
    while await other.take_over() == 0:
        pass
    assert await counts(broker) == (450, 0, 0)
    deliveries = await fetch(other, limit=1000)
    assert sorted(ids(deliveries)) == names
    assert {one.deliveries for one in deliveries} == {2}


@pytest.mark.needs("front")
async def test_what_is_taken_over_goes_to_the_front(broker: Broker, consumer: MakeConsumer) -> None:
    silent, other = await consumer(), await consumer()
    await send(broker, "low")
    assert ids(await fetch(silent)) == ["low"]
    await send(broker, message("high", priority=9))
    await fall(broker, silent, by=other)
    assert ids(await fetch(other)) == ["low", "high"]


async def test_what_is_taken_over_stays_in_its_queue(broker: Broker, consumer: MakeConsumer) -> None:
    """Also when the one who takes over does not consume that queue."""
    silent, other, same = await consumer("special"), await consumer("q"), await consumer("special")
    await send(broker, message("task", queue="special"))
    assert len(await fetch(silent)) == 1
    broker.shift_clock(LEASE + 1)
    for worker in (other, same):
        assert await asyncio.to_thread(worker.renew)
    await other.take_over()
    assert await fetch(other) == []
    assert (await fetch_one(same)).queue == "special"


async def test_what_is_taken_over_wakes_a_waiting_fetch(broker: Broker, consumer: MakeConsumer) -> None:
    silent, other = await consumer(), await consumer()
    await send_and_fetch(broker, silent)
    fetching = asyncio.create_task(other.fetch(5, wait=60))
    await blocks(fetching)
    await fall(broker, silent, by=other)
    assert ids(await within(fetching)) == ["task"]


async def test_take_over_says_when_to_ask_again(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    # Workers don't ask all at once: up to a second may be added (D4).
    assert 0 < await other.take_over() <= VISIBILITY_TIMEOUT + 1
    broker.shift_clock(LEASE - 2_000)
    assert await asyncio.to_thread(other.renew)
    assert await other.take_over() <= 2 + 1
    assert await asyncio.to_thread(worker.renew)


async def test_handing_back_strays(broker: Broker, consumer: MakeConsumer) -> None:
    """What is lent to a worker that does not know of it, because the answer was lost, is nobody's otherwise."""
    worker, other = await consumer(), await consumer()
    await send(broker, "a", "b", "c", message("d", priority=9))
    held = {one.id: one for one in await fetch(worker)}
    assert await worker.hand_back(list(held.values())) == 0
    assert await worker.hand_back([held["b"], held["d"]]) == 2
    assert await counts(broker) == (2, 2, 0)
    strays = await fetch(other)
    assert sorted((one.id, one.deliveries) for one in strays) == [("a", 1), ("c", 1)]
    verdicts = await worker.settle([Settlement(held[id]) for id in "abcd"])
    assert verdicts == [Verdict.FENCED, Verdict.APPLIED, Verdict.FENCED, Verdict.APPLIED]


@pytest.mark.needs("withdraws")
async def test_a_thread_hands_back_what_is_not_held(broker: Broker, consumer: MakeConsumer) -> None:
    """The loop that the rest belongs to stands still meanwhile."""
    worker, other = await consumer(), await consumer()
    await send(broker, "a", "b", "c")
    held = {one.id: one for one in await fetch(worker)}
    assert worker.withdraw([held["b"]]) == 2
    assert worker.withdraw([held["b"]]) == 0
    assert ids(await fetch(other)) == ["a", "c"]
    verdicts = await worker.settle([Settlement(held[id]) for id in "abc"])
    assert verdicts == [Verdict.FENCED, Verdict.APPLIED, Verdict.FENCED]


@pytest.mark.needs("front")
async def test_what_is_handed_back_goes_to_the_front(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, "a", "b")
    await fetch(worker)
    await send(broker, message("high", priority=9))
    await worker.hand_back([])
    assert ids(await fetch(worker)) == ["a", "b", "high"]


async def test_leaving_hands_back_everything(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    await send(broker, *(message(f"{n}", priority=n) for n in range(5)))
    held = await fetch(worker)
    assert await worker.leave() == 5
    assert [one.id for one in await broker.workers()] == [other.id]
    assert sorted((one.id, one.deliveries) for one in await fetch(other)) == [(f"{n}", 1) for n in range(5)]
    assert await end(worker, held[0]) is Verdict.FENCED
    with pytest.raises(LeaseLost):
        await fetch(worker)
    assert await asyncio.to_thread(worker.renew) is False


async def test_leaving_with_nothing(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    assert await worker.leave() == 0
    assert await broker.workers() == []


async def test_closing_without_leaving_is_like_dying(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    await send_and_fetch(broker, worker)
    await worker.close()
    await other.take_over()
    assert await fetch(other) == []
    await fall(broker, worker, by=other)
    assert (await fetch_one(other)).deliveries == 2


async def test_a_worker_that_never_fetched_is_forgotten(broker: Broker, consumer: MakeConsumer) -> None:
    silent, other = await consumer(), await consumer()
    await fall(broker, silent, by=other)
    assert [one.id for one in await broker.workers()] == [other.id]
    await other.take_over()
    assert await asyncio.to_thread(silent.renew) is False


# By weight


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
@pytest.mark.parametrize("how", ["hand back", "leave", "take over"])
async def test_heavy_messages_are_moved_a_few_at_a_time(
    broker: Broker, consumer: MakeConsumer, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait while a script runs, and one that moves all of a worker's 200 messages of 8 MiB takes long."""
    moved: list[int] = []
    run = RedisConsumer._run

    async def counted(self: RedisConsumer, name: str, *arguments: Any) -> Any:
        answer = await run(self, name, *arguments)
        if name in ("hand_back", "take_over"):
            moved.append(answer[0])
        return answer

    monkeypatch.setattr(RedisConsumer, "_run", counted)
    worker, other = await consumer(), await consumer()
    names = [f"{number}" for number in range(5)]
    for name in names:
        await send(broker, message(name, data=b"x" * 3 * 1024 * 1024, priority=int(name) % 2))
    assert len(await fetch(worker)) == 5
    if how == "hand back":
        assert await worker.hand_back([]) == 5
    elif how == "leave":
        assert await worker.leave() == 5
    else:
        await fall(broker, worker, by=other)
        while await other.take_over() == 0.0:
            pass
    assert sum(moved) == 5
    assert max(moved) == 3, "8 MiB, and what is begun"
    assert sorted(ids(await fetch(other))) == names


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
@pytest.mark.parametrize("how", ["promote", "purge"])
async def test_heavy_messages_are_promoted_and_purged_a_few_at_a_time(
    broker: Broker, consumer: MakeConsumer, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[int] = []
    kind: Any = RedisConsumer if how == "promote" else RedisBroker
    run = kind._run

    async def counted(self: Any, name: str, *arguments: Any) -> Any:
        answer = await run(self, name, *arguments)
        if name == how:
            moved.append(answer[0] if how == "promote" else answer)
        return answer

    monkeypatch.setattr(kind, "_run", counted)
    worker = await consumer()
    names = [f"{number}" for number in range(5)]
    due = broker.now() + 60_000 if how == "promote" else None
    for name in names:
        await send(broker, message(name, data=b"x" * 3 * 1024 * 1024, due=due))
    if how == "promote":
        broker.shift_clock(61_000)
        while await worker.promote() == 0.0:
            pass
        assert ids(await fetch(worker)) == names
    else:
        assert await broker.purge("q") == 5
    assert sum(moved) == 5
    assert max(moved) == 3, "8 MiB, and what is begun"
