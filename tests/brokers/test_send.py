"""Sending: all of the messages or none, and not more than fit."""

from __future__ import annotations

import msgspec
import pytest

from aioqueue.brokers.protocol import Broker, Outgoing, Settlement, Verdict
from aioqueue.exceptions import QueueFull

from .conftest import MakeConsumer
from .steps import AN_HOUR, counts, end, fetch, fetch_one, ids, message, revoke, send, settle


async def test_what_is_sent_arrives_as_it_was(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    data = bytes(range(256)) + b"\r\n\x00\n"
    await send(broker, message("task-1", data=data))
    delivery = await fetch_one(worker)
    assert (delivery.id, delivery.data, delivery.queue) == ("task-1", data, "q")
    assert (delivery.deliveries, delivery.revoked) == (1, False)


async def test_empty_data_and_odd_ids_are_data(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    odd = ["{a}:0:", "with space", "ünï", "q:9", "%s$1", "-1"]
    await send(broker, *(message(id, data=b"") for id in odd))
    deliveries = await fetch(worker)
    assert ids(deliveries) == odd
    assert {delivery.data for delivery in deliveries} == {b""}


async def test_messages_of_one_priority_keep_their_order(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, "a", "b", "c")
    await send(broker, "d")
    assert ids(await fetch(worker)) == ["a", "b", "c", "d"]


async def test_nothing_to_send(broker: Broker) -> None:
    await send(broker)
    assert await broker.queues() == []


async def test_thousands_of_messages_at_once(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("left", "right")
    sent = [message(f"{number:05}", queue=("left", "right")[number % 2]) for number in range(2_500)]
    await send(broker, *sent)
    fetched: list[str] = []
    while more := await fetch(worker, limit=400):
        assert len(more) <= 400
        fetched += ids(more)
    assert sorted(fetched) == [one.id for one in sent]


async def test_what_was_sent_before_there_was_a_worker_is_delivered(broker: Broker, consumer: MakeConsumer) -> None:
    await send(broker, "early")
    assert ids(await fetch(await consumer())) == ["early"]


@pytest.mark.needs("bounded")
async def test_a_queue_takes_as_many_as_it_may_hold(broker: Broker) -> None:
    await send(broker, "a", "b", max_length=3)
    await send(broker, "c", max_length=3)
    assert await counts(broker) == (3, 0, 0)
    with pytest.raises(QueueFull, match="q"):
        await send(broker, "d", max_length=3)
    assert await counts(broker) == (3, 0, 0)


@pytest.mark.needs("bounded")
async def test_messages_that_do_not_all_fit_are_all_refused(broker: Broker) -> None:
    await send(broker, "a")
    with pytest.raises(QueueFull):
        await send(broker, "b", "c", "d", max_length=3)
    assert await counts(broker) == (1, 0, 0)


@pytest.mark.needs("bounded")
async def test_one_full_queue_refuses_the_messages_to_others_too(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("full", "free")
    await send(broker, message("old", queue="full"))
    with pytest.raises(QueueFull, match="full"):
        await send(broker, message("a", queue="free"), message("b", queue="full"), max_length=1)
    assert ids(await fetch(worker)) == ["old"]


@pytest.mark.needs("bounded")
async def test_all_priorities_count_and_so_does_what_runs(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, message("a", priority=9), message("b", priority=3))
    [first] = await fetch(worker, limit=1)
    with pytest.raises(QueueFull):
        await send(broker, "c", max_length=2)
    await end(worker, first)
    await send(broker, "c", max_length=2)
    assert await counts(broker) == (2, 0, 0)


@pytest.mark.needs("bounded")
async def test_each_queue_may_have_a_bound_of_its_own(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("tight", "wide", "free")
    lengths = {"tight": 1, "wide": 3}
    batch = [message(f"{queue}{n}", queue=queue) for queue, count in (("wide", 2), ("free", 5)) for n in range(count)]
    await send(broker, *batch, message("only", queue="tight"), max_length=lengths)
    with pytest.raises(QueueFull, match=r"'tight'.*queue_max_length=1") as full:
        await send(broker, message("a", queue="free"), message("b", queue="tight"), max_length=lengths)
    assert full.value.queue == "tight"
    with pytest.raises(QueueFull, match=r"'wide'.*queue_max_length=3"):
        await send(broker, message("a", queue="wide"), message("b", queue="wide"), max_length=lengths)
    await send(broker, message("last", queue="wide"), max_length=lengths)
    assert len(await fetch(worker, limit=100)) == 9


async def test_a_limit_is_each_sends_own(broker: Broker) -> None:
    await send(broker, "a", max_length=1)
    await send(broker, "b")
    await send(broker, "c", max_length=3)
    assert await counts(broker) == (3, 0, 0)


async def test_an_id_of_the_senders_own_can_be_sent_again(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    mine = msgspec.structs.replace(message("mine"), once=True)
    await send(broker, mine)
    await send(broker, mine)
    [delivery] = await fetch(worker, 10)
    await send(broker, mine)  # it runs
    assert await worker.fetch(10, wait=0) == []
    await worker.settle([Settlement(delivery, record=b"the first", final=True, expires=AN_HOUR)])
    # It has ended: this is a new task of the same id, and what became of the first is forgotten.
    await send(broker, mine)
    assert await broker.records(["mine"]) == [None]
    assert ids(await fetch(worker, 10)) == ["mine"]


async def test_an_id_of_the_senders_own_is_free_after_an_end_without_a_record(
    broker: Broker, consumer: MakeConsumer
) -> None:
    worker = await consumer()
    mine = msgspec.structs.replace(message("mine"), once=True)
    for _ in range(3):
        await send(broker, mine)
        [delivery] = await fetch(worker, 10)
        assert await worker.settle([Settlement(delivery, final=True)]) == [Verdict.APPLIED]


async def test_an_id_of_the_senders_own_is_free_when_it_was_forgotten(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    mine = msgspec.structs.replace(message("mine"), once=True)
    for _ in range(3):
        await send(broker, mine)
        assert await end(worker, await fetch_one(worker)) is Verdict.APPLIED
        await broker.forget(["mine"])


async def test_an_id_of_the_senders_own_that_waits_for_its_retry_is_kept(
    broker: Broker, consumer: MakeConsumer
) -> None:
    """The sender that repeats itself knows nothing of the retry; it must not begin from the start."""
    worker = await consumer()
    mine = msgspec.structs.replace(message("mine"), once=True)
    await send(broker, mine)
    again = message("mine", data=b"the retry", delay=AN_HOUR)
    assert await settle(worker, await fetch_one(worker), record=b"retry", sends=[again]) is Verdict.APPLIED
    await send(broker, mine)
    assert await counts(broker) == (0, 0, 1)
    assert await broker.records(["mine"]) == [b"retry"]
    broker.shift_clock(AN_HOUR)
    await worker.promote()
    assert (await fetch_one(worker)).data == b"the retry"


async def test_an_id_of_the_senders_own_that_waits_for_its_time_is_replaced(
    broker: Broker, consumer: MakeConsumer
) -> None:
    worker = await consumer()
    later = msgspec.structs.replace(message("mine", delay=AN_HOUR), once=True)
    await send(broker, later)
    await send(broker, later)
    assert [status.delayed for status in await broker.queues()] == [1]
    await send(broker, msgspec.structs.replace(message("mine"), once=True))
    assert [(status.delayed, status.waiting) for status in await broker.queues()] == [(0, 1)]
    assert ids(await fetch(worker, 10)) == ["mine"]
    broker.shift_clock(2 * AN_HOUR)
    await worker.promote()
    assert await worker.fetch(10, wait=0) == []


async def test_an_id_of_the_senders_own_can_be_sent_again_after_a_purge(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    mine = Outgoing("mine", "q", 0, b"", once=True)
    await send(broker, mine)
    assert await broker.purge("q") == 1
    await send(broker, mine)
    assert ids(await fetch(worker)) == ["mine"]


async def test_which_ids_of_the_senders_own_are_of_tasks_that_go_on(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    names = ["waits", "later", "runs", "retried", "ended", "silent", "revoked"]
    await send(broker, *(msgspec.structs.replace(message(name), once=True) for name in names[2:]))
    deliveries = {delivery.id: delivery for delivery in await fetch(worker, len(names))}
    await settle(worker, deliveries["retried"], record=b"retry", sends=[message("retried", delay=AN_HOUR)])
    await end(worker, deliveries["ended"], own_id=True)
    await settle(worker, deliveries["silent"], final=True, own_id=True)
    await revoke(broker, "revoked")
    await send(broker, msgspec.structs.replace(message("waits"), once=True))
    await send(broker, msgspec.structs.replace(message("later", delay=AN_HOUR), once=True))
    found = await broker.going_on([*names, "never sent"])
    assert dict(zip(names, found, strict=False)) == {
        "waits": True,
        "later": True,
        "runs": True,
        "retried": True,
        "ended": False,
        "silent": False,
        "revoked": False,
    }
    assert found[-1] is False
    assert await broker.going_on([]) == []
    many = [f"none {n}" for n in range(2500)]
    assert await broker.going_on([*many, "runs"]) == [False] * 2500 + [True]
