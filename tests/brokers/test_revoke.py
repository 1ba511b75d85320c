"""Revoking: an end that comes from outside, in whatever state the task is."""

from __future__ import annotations

from aioqueue.brokers.protocol import Broker, Settlement, TasksRevoked, Verdict

from .conftest import MakeConsumer
from .steps import (
    AN_HOUR,
    counts,
    end,
    fall,
    fetch,
    fetch_one,
    ids,
    listening,
    message,
    revoke,
    send,
    send_and_fetch,
    settle,
)

NOTHING = (0, 0, 0)


async def test_a_waiting_task_ends_at_once_and_is_thrown_away_when_met(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, "task")
    assert await revoke(broker, "task", record=b"revoked: why") == [True]
    assert await broker.records(["task"]) == [b"revoked: why"]
    delivery = await fetch_one(worker)
    assert (delivery.id, delivery.revoked) == ("task", True)
    assert await worker.revoked(["task", "other"]) == [True, False]
    assert await settle(worker, delivery, record=b"done", final=True) is Verdict.REVOKED
    assert await broker.records(["task"]) == [b"revoked: why"]
    assert await counts(broker) == NOTHING
    # Its message is gone, so there is nothing left to remember.
    assert await worker.revoked(["task"]) == [False]


async def test_others_are_not_touched(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, "a", "b", "c")
    await revoke(broker, "b")
    assert [(one.id, one.revoked) for one in await fetch(worker)] == [("a", False), ("b", True), ("c", False)]


async def test_a_delayed_task_is_removed_at_once(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, message("task", delay=10_000), message("other", delay=20_000))
    assert await revoke(broker, "task") == [True]
    assert await broker.records(["task"]) == [b"revoked"]
    assert await counts(broker) == (0, 0, 1)
    broker.shift_clock(20_000)
    await worker.promote()
    assert ids(await fetch(worker)) == ["other"]
    assert await worker.revoked(["task"]) == [False]


async def test_the_end_of_a_revoked_task_changes_nothing(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("q", "next")
    delivery = await send_and_fetch(broker, worker)
    assert await revoke(broker, "task") == [True]
    assert await worker.revoked(["task"]) == [True]
    sends = [message("a", queue="next"), message("b", queue="next", delay=1_000)]
    assert await end(worker, delivery, sends=sends, dead=b"letter") is Verdict.REVOKED
    assert await broker.records(["task"]) == [b"revoked"]
    assert await broker.dead_letters(limit=10) == []
    assert await counts(broker) == NOTHING
    assert "next" not in [one.name for one in await broker.queues()] or await counts(broker, "next") == NOTHING
    assert await worker.promote() is None


async def test_news_of_a_revoked_task_changes_nothing(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    await revoke(broker, "task")
    assert await settle(worker, delivery, acknowledge=False, record=b"progress") is Verdict.REVOKED
    assert await broker.records(["task"]) == [b"revoked"]
    assert await end(worker, delivery) is not Verdict.APPLIED
    assert await broker.records(["task"]) == [b"revoked"]
    assert await counts(broker) == NOTHING


async def test_an_early_acknowledgement_of_a_revoked_task_is_refused(broker: Broker, consumer: MakeConsumer) -> None:
    """So that a task which is revoked before it starts does not start."""
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    await revoke(broker, "task")
    assert await settle(worker, delivery, record=b"started") is Verdict.REVOKED
    assert await broker.records(["task"]) == [b"revoked"]
    assert await counts(broker) == NOTHING
    assert await worker.revoked(["task"]) == [False]


async def test_what_has_ended_cannot_be_revoked(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    await end(worker, delivery)
    assert await revoke(broker, "task") == [False]
    assert await broker.records(["task"]) == [b"done"]
    assert await worker.revoked(["task"]) == [False]


async def test_only_the_first_revocation_counts(broker: Broker) -> None:
    await send(broker, "task")
    assert await revoke(broker, "task", record=b"first") == [True]
    assert await revoke(broker, "task", record=b"second") == [False]
    assert await broker.records(["task"]) == [b"first"]


async def test_news_are_no_end(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    await settle(worker, delivery, acknowledge=False, record=b"started")
    assert await revoke(broker, "task") == [True]
    assert await broker.records(["task"]) == [b"revoked"]


async def test_many_at_once_each_with_its_answer(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await end(worker, await send_and_fetch(broker, worker, "ended"))
    await send(broker, "waiting", message("delayed", delay=1_000))
    assert await revoke(broker, "waiting", "ended", "delayed", "unknown") == [True, False, True, True]
    records = await broker.records(["waiting", "ended", "delayed", "unknown"])
    assert records == [b"revoked", b"done", b"revoked", b"revoked"]


async def test_a_task_may_be_revoked_before_it_is_sent(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    assert await revoke(broker, "task") == [True]
    await send(broker, "task")
    delivery = await fetch_one(worker)
    assert delivery.revoked
    assert await settle(worker, delivery) is Verdict.REVOKED


async def test_a_revoked_task_stays_so_when_it_changes_hands(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    await send_and_fetch(broker, worker)
    await revoke(broker, "task")
    await worker.hand_back([])
    assert (await fetch_one(worker)).revoked
    await fall(broker, worker, by=other)
    delivery = await fetch_one(other)
    assert (delivery.revoked, delivery.deliveries) == (True, 2)
    assert await end(other, delivery) is Verdict.REVOKED
    assert await counts(broker) == NOTHING


async def test_a_fallen_worker_does_not_settle_a_revoked_task(broker: Broker, consumer: MakeConsumer) -> None:
    """Its message belongs to another by now, who is to be told that it was revoked."""
    zombie, other = await consumer(), await consumer()
    old = await send_and_fetch(broker, zombie)
    await fall(broker, zombie, by=other)
    await revoke(broker, "task")
    assert await end(zombie, old) is Verdict.FENCED
    new = await fetch_one(other)
    assert new.revoked
    assert await end(other, new) is Verdict.REVOKED


async def test_all_workers_are_told(broker: Broker, consumer: MakeConsumer) -> None:
    async with listening(await consumer()) as first, listening(await consumer("elsewhere")) as second:
        for id, terminate in (("a", False), ("b", True)):
            await send(broker, id)
            await revoke(broker, id, terminate=terminate)
            for heard in (first, second):
                notice = await heard.next(TasksRevoked)
                assert (notice.ids, notice.terminate) == ((id,), terminate)


async def test_workers_are_not_told_of_what_had_ended(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await end(worker, await send_and_fetch(broker, worker, "ended"))
    await send(broker, "a", "b")
    async with listening(worker) as heard:
        await revoke(broker, "ended")
        await revoke(broker, "a", "ended", "b")
        assert (await heard.next(TasksRevoked)).ids == ("a", "b")


async def test_a_long_queue_does_not_outlive_a_revocation(broker: Broker, consumer: MakeConsumer) -> None:
    """The record may expire before the message is met; the task does not run for that."""
    worker = await consumer()
    await send(broker, "task")
    assert await broker.revoke(["task"], b"revoked", expires=1_000, terminate=False) == [True]
    broker.shift_clock(AN_HOUR)
    delivery = await fetch_one(worker)
    assert delivery.revoked
    assert await end(worker, delivery) is Verdict.REVOKED


async def test_revoked_ones_among_many(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    names = [f"{number:03}" for number in range(300)]
    await send(broker, *names)
    assert await revoke(broker, *names[::3]) == [True] * 100
    deliveries = await fetch(worker, limit=300)
    assert [one.id for one in deliveries if one.revoked] == names[::3]
    verdicts = await worker.settle([Settlement(one, record=b"done", final=True) for one in deliveries])
    assert [one.id for one, verdict in zip(deliveries, verdicts, strict=True) if verdict is Verdict.REVOKED] == (
        names[::3]
    )
    assert await counts(broker) == NOTHING
    assert not any(await worker.revoked(names))
