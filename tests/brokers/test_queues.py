"""What can be seen of queues and workers, and emptying a queue."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from support.waiting import within

from aioqueue.brokers.protocol import Broker, Verdict

from .conftest import MakeConsumer
from .steps import AN_HOUR, LEASE, counts, end, fetch, ids, message, revoke, send, send_and_fetch, status, worker_status


async def test_no_queues(broker: Broker) -> None:
    assert await broker.queues() == []
    assert await broker.workers() == []


async def test_where_messages_are(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, *(message(f"{n}", priority=n) for n in range(10)), message("later", delay=AN_HOUR))
    assert await counts(broker) == (10, 0, 1)
    held = await fetch(worker, limit=4)
    assert await counts(broker) == (6, 4, 1)
    await worker.hand_back(held[:1])
    assert await counts(broker) == (9, 1, 1)
    await end(worker, held[0])
    assert await counts(broker) == (9, 0, 1)
    broker.shift_clock(AN_HOUR)
    await worker.promote()
    assert await counts(broker) == (10, 0, 0)


async def test_the_oldest_message(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    before = broker.now()
    await send(broker, message("first", priority=1))
    between = broker.now()
    # The moment is told in ms; the next message must not share it.
    while broker.now() <= between + 1:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await send(broker, message("second", priority=9))
    oldest = (await status(broker)).oldest
    assert oldest is not None and before - 1 <= oldest <= between + 1
    for delivery in await fetch(worker):
        await end(worker, delivery)
    assert (await status(broker)).oldest is None


async def test_queues_are_told_apart(broker: Broker) -> None:
    names = ["q", "q:9", "q:front", "{q}", "ü", "with space", "0"]
    for number, name in enumerate(names):
        await send(broker, *(message(queue=name) for _ in range(number + 1)), message(queue=name, delay=AN_HOUR))
    seen = await broker.queues()
    assert sorted((one.name, one.waiting, one.delayed) for one in seen) == sorted(
        (name, number + 1, 1) for number, name in enumerate(names)
    )


async def test_an_empty_queue_is_still_a_queue(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("q", "unused")
    await end(worker, await send_and_fetch(broker, worker))
    assert await counts(broker) == (0, 0, 0)
    assert await counts(broker, "unused") == (0, 0, 0)


async def test_purging_drops_what_waits(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("q", "other")
    await send(broker, *(message(f"{n}", priority=n) for n in range(10)), message("safe", queue="other"))
    assert await broker.purge("q") == 10
    assert await counts(broker) == (0, 0, 0)
    assert ids(await fetch(worker)) == ["safe"]
    assert await broker.purge("q") == 0
    assert await broker.purge("unknown") == 0


async def test_purging_ends_the_tasks(broker: Broker, consumer: MakeConsumer) -> None:
    await consumer()
    await send(broker, "a", "b")
    async with broker.watch("a") as watch:
        assert await broker.purge("q", b"purged", expires=AN_HOUR) == 2
        assert await within(watch.next()) == b"purged"
    assert await broker.records(["a", "b"]) == [b"purged", b"purged"]
    assert await revoke(broker, "a") == [False], "it has ended"


async def test_purging_leaves_what_runs(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    running = await send_and_fetch(broker, worker, "running")
    await send_and_fetch(broker, other, "handed back")
    await other.hand_back([])
    await send(broker, "waiting")
    assert await broker.purge("q") == 2
    assert await counts(broker) == (0, 1, 0)
    assert await end(worker, running) is Verdict.APPLIED
    await send(broker, "next")
    assert ids(await fetch(worker)) == ["next"]


async def test_purging_a_very_long_queue(broker: Broker, consumer: MakeConsumer) -> None:
    """One script drops a bounded number, so that nobody waits for it long; a purge drops them all."""
    worker = await consumer()
    await send_and_fetch(broker, worker, "running")
    await send(broker, *(message(f"{n}", data=b"") for n in range(50_500)))
    assert await broker.purge("q") == 50_500
    assert await counts(broker) == (0, 1, 0)


async def test_what_runs_comes_back_after_a_purge(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    await send(broker, "running", "waiting")
    assert ids(await fetch(worker, limit=1)) == ["running"]
    assert await broker.purge("q") == 1
    await worker.leave()
    assert ids(await fetch(other)) == ["running"]


async def test_purging_a_revoked_task(broker: Broker, consumer: MakeConsumer) -> None:
    await send(broker, "task")
    await revoke(broker, "task")
    assert await broker.purge("q") == 1
    assert await broker.records(["task"]) == [b"revoked"]


async def test_workers_say_who_they_are(broker: Broker) -> None:
    status = worker_status("someone", "a", "b")
    consumer = broker.consumer(status, visibility_timeout=30, dead_letters_max_length=10)
    assert consumer.id == status.id
    assert await broker.workers() == []
    await consumer.join()
    [seen] = await broker.workers()
    assert 25_000 < seen.lease <= 30_000
    assert msgspec.structs.replace(seen, lease=0) == msgspec.structs.replace(status, lease=0)
    await consumer.leave()
    assert await broker.workers() == []
    await consumer.close()


async def test_silent_workers_are_not_listed(broker: Broker, consumer: MakeConsumer) -> None:
    silent, alive = await consumer(), await consumer()
    assert {one.id for one in await broker.workers()} == {silent.id, alive.id}
    broker.shift_clock(LEASE + 1)
    assert await asyncio.to_thread(alive.renew)
    assert [one.id for one in await broker.workers()] == [alive.id]
    assert await asyncio.to_thread(silent.renew)
    assert {one.id for one in await broker.workers()} == {silent.id, alive.id}


async def test_each_worker_has_its_own_timeout(broker: Broker, consumer: MakeConsumer) -> None:
    short, long = await consumer(visibility_timeout=5), await consumer(visibility_timeout=60)
    delivery = await send_and_fetch(broker, long, "long")
    await send_and_fetch(broker, short, "short")
    broker.shift_clock(10_000)
    await long.take_over()
    assert ids(await fetch(long)) == ["short"]
    broker.shift_clock(10_000)
    assert await end(long, delivery) is Verdict.APPLIED


async def test_a_broker_says_what_it_is(broker: Broker) -> None:
    assert broker.description


@pytest.mark.needs("priorities")
async def test_what_is_in_a_queue(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    assert await broker.waiting("q", limit=10) == await broker.delayed("q", limit=10) == []
    await send(broker, message("running"))
    await fetch(worker)
    before = broker.now()
    due = before + AN_HOUR
    await send(broker, *(message(f"{n}", priority=n) for n in range(3)), message(queue="other"))
    await send(broker, message("late", due=due + 1), message("soon", due=due), message(queue="other", due=due))
    waiting = await broker.waiting("q", limit=10)
    assert [(one.id, one.data) for one in waiting] == [("2", b"2"), ("1", b"1"), ("0", b"0")]
    assert all(before - 1 <= one.at <= broker.now() + 1 for one in waiting)
    delayed = await broker.delayed("q", limit=10)
    assert [(one.id, one.data, one.at) for one in delayed] == [("soon", b"soon", due), ("late", b"late", due + 1)]
    assert [one.id for one in await broker.waiting("q", limit=2)] == ["2", "1"]
    assert [one.id for one in await broker.delayed("q", limit=1)] == ["soon"]
    assert await broker.holds(["running", "1", "late", "never", "3"]) == [True, True, True, False, False]


async def test_looking_at_many(broker: Broker) -> None:
    due = broker.now() + AN_HOUR
    await send(broker, *(message(f"{n}") for n in range(250)), *(message(f"d{n}", due=due + n) for n in range(250)))
    assert [one.id for one in await broker.waiting("q", limit=240)] == [f"{n}" for n in range(240)]
    assert [one.id for one in await broker.delayed("q", limit=240)] == [f"d{n}" for n in range(240)]
    assert await broker.holds(["249", "d249", "250"]) == [True, True, False]
