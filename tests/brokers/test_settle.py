"""Settling: whole, once, and only by the worker that has the delivery (promise D2)."""

from __future__ import annotations

from aioqueue.brokers.protocol import Broker, Settlement, Verdict

from .conftest import MakeConsumer
from .steps import AN_HOUR, counts, end, fall, fetch, fetch_one, ids, message, revoke, send, send_and_fetch, settle

NOTHING = (0, 0, 0)


async def test_an_end_takes_the_message_out_and_keeps_the_record(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    assert await counts(broker) == (0, 1, 0)
    assert await end(worker, delivery, b"result") is Verdict.APPLIED
    assert await counts(broker) == NOTHING
    assert await broker.records(["task"]) == [b"result"]


async def test_everything_in_one_step(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer("q", "next")
    delivery = await send_and_fetch(broker, worker)
    sends = [message("b", queue="next"), message("c", queue="next", priority=9), message("later", delay=AN_HOUR)]
    assert await end(worker, delivery, b"failed", sends=sends, dead=b"letter") is Verdict.APPLIED
    assert await broker.records(["task"]) == [b"failed"]
    assert [(one.id, one.data) for one in await broker.dead_letters(limit=10)] == [("task", b"letter")]
    assert await counts(broker) == (0, 0, 1)
    assert ids(await fetch(worker)) == (["c", "b"] if broker.capabilities.priorities > 1 else ["b", "c"])


async def test_an_end_without_a_record(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    assert await settle(worker, delivery) is Verdict.APPLIED
    assert await counts(broker) == NOTHING
    assert await broker.records(["task"]) == [None]


async def test_a_retry_is_the_same_task_sent_again(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    retry = message("task", data=b"second try", delay=1_000)
    assert await settle(worker, delivery, record=b"retry", sends=[retry]) is Verdict.APPLIED
    assert await counts(broker) == (0, 0, 1)
    broker.shift_clock(1_000)
    await worker.promote()
    again = await fetch_one(worker)
    assert (again.id, again.data, again.deliveries) == ("task", b"second try", 1)
    assert await end(worker, again) is Verdict.APPLIED
    assert await broker.records(["task"]) == [b"done"]


async def test_news_leaves_the_message_where_it_is(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    for news in (b"started", b"progress"):
        assert await settle(worker, delivery, acknowledge=False, record=news, expires=AN_HOUR) is Verdict.APPLIED
        assert await broker.records(["task"]) == [news]
        assert await counts(broker) == (0, 1, 0)
    assert await end(worker, delivery) is Verdict.APPLIED
    assert await broker.records(["task"]) == [b"done"]


async def test_a_second_settlement_of_a_delivery_applies_nothing(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    assert await end(worker, delivery, b"first") is Verdict.APPLIED
    second = await end(worker, delivery, b"second", sends=[message("unwanted")], dead=b"letter")
    assert second is Verdict.FENCED
    assert await broker.records(["task"]) == [b"first"]
    assert await broker.dead_letters(limit=10) == []
    assert await counts(broker) == NOTHING


async def test_a_delivery_that_is_named_twice_in_one_call_counts_once(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    verdicts = await worker.settle(
        [Settlement(delivery, sends=[message("once")]), Settlement(delivery, sends=[message("twice")])]
    )
    assert verdicts == [Verdict.APPLIED, Verdict.FENCED]
    assert ids(await fetch(worker)) == ["once"]


async def test_each_settlement_of_a_call_has_its_own_verdict(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    await send(broker, "fine", "ended", "revoked", "news")
    deliveries = {one.id: one for one in await fetch(worker)}
    await send(broker, "others")
    foreign = await fetch_one(other)
    await end(worker, deliveries["ended"], b"before")
    await revoke(broker, "revoked")
    verdicts = await worker.settle(
        [
            Settlement(deliveries["ended"], record=b"after", final=True),
            Settlement(deliveries["fine"], record=b"fine", final=True),
            Settlement(deliveries["revoked"], record=b"too late", final=True),
            Settlement(foreign, record=b"stolen", final=True),
            Settlement(deliveries["news"], acknowledge=False, record=b"news"),
        ]
    )
    assert verdicts == [Verdict.FENCED, Verdict.APPLIED, Verdict.REVOKED, Verdict.FENCED, Verdict.APPLIED]
    records = await broker.records(["ended", "fine", "revoked", "others", "news"])
    assert records == [b"before", b"fine", b"revoked", None, b"news"]
    assert await counts(broker) == (0, 2, 0)


async def test_a_delivery_of_another_worker_is_fenced(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    delivery = await send_and_fetch(broker, worker)
    assert await end(other, delivery, b"stolen", sends=[message("x")], dead=b"letter") is Verdict.FENCED
    assert await broker.records(["task"]) == [None]
    assert await broker.dead_letters(limit=10) == []
    assert await counts(broker) == (0, 1, 0)
    assert await end(worker, delivery) is Verdict.APPLIED


async def test_news_of_a_delivery_that_has_gone_is_fenced(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    delivery = await send_and_fetch(broker, worker)
    await fall(broker, worker, by=other)
    assert await settle(worker, delivery, acknowledge=False, record=b"started") is Verdict.FENCED
    assert await broker.records(["task"]) == [None]


async def test_a_thousand_at_once(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    names = [f"{number:04}" for number in range(1_000)]
    await send(broker, *names)
    deliveries = await fetch(worker, limit=1_000)
    verdicts = await worker.settle(
        [
            Settlement(one, record=one.id.encode(), final=True, expires=AN_HOUR, sends=[message(f"next-{one.id}")])
            for one in deliveries
        ]
    )
    assert set(verdicts) == {Verdict.APPLIED}
    assert await broker.records(names) == [name.encode() for name in names]
    assert await counts(broker) == (1_000, 0, 0)


async def test_nothing_to_settle(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    assert await worker.settle([]) == []


async def test_sends_of_a_settlement_know_no_limit(broker: Broker, consumer: MakeConsumer) -> None:
    """What a task's end sends was admitted with the task: it cannot be refused without losing it."""
    worker = await consumer()
    await send(broker, "task", max_length=1)
    delivery = await fetch_one(worker)
    assert await end(worker, delivery, sends=[message("a"), message("b")]) is Verdict.APPLIED
    assert await counts(broker) == (2, 0, 0)
