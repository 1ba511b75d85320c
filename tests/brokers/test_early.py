"""What was acknowledged before its end: it stays lent, is never handed out to be run again, and never lost (D8, D9)."""

from __future__ import annotations

from typing import Any

import pytest

from aioqueue.brokers.protocol import Broker, Consumer, Delivery, Verdict

from .conftest import MakeConsumer
from .flows import Flow, revoke_node, states, step
from .steps import (
    counts,
    end,
    fall,
    fetch,
    fetch_one,
    ids,
    message,
    revoke,
    send,
    send_and_fetch,
    settle,
)

NOTHING = (0, 0, 0)


async def acknowledge(worker: Consumer, delivery: Delivery) -> Verdict:
    return await settle(worker, delivery, acknowledge=False, early=True)


async def end_early(worker: Consumer, delivery: Delivery, record: bytes = b"done", **what: Any) -> Verdict:
    return await end(worker, delivery, record, early=True, **what)


async def test_it_stays_with_its_worker_until_its_end(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    assert not delivery.acknowledged
    assert await acknowledge(worker, delivery) is Verdict.APPLIED
    assert await acknowledge(worker, delivery) is Verdict.APPLIED
    assert await counts(broker) == (0, 1, 0)
    assert await settle(worker, delivery, acknowledge=False, record=b"progress") is Verdict.APPLIED
    assert await end_early(worker, delivery, sends=[message("next")]) is Verdict.APPLIED
    assert await end_early(worker, delivery, b"again") is Verdict.FENCED
    assert await broker.records(["task"]) == [b"done"]
    assert ids(await fetch(worker)) == ["next"]


@pytest.mark.parametrize("mark", [True, False])
async def test_after_a_death_the_next_one_is_told(broker: Broker, consumer: MakeConsumer, mark: bool) -> None:
    worker, other = await consumer(), await consumer()
    await send(broker, "acknowledged", "not")
    first, _ = await fetch(worker)
    if mark:
        await acknowledge(worker, first)
    await fall(broker, worker, by=other)
    again = await fetch(other)
    assert [(one.id, one.acknowledged, one.deliveries) for one in again] == [
        ("acknowledged", mark, 2),
        ("not", False, 2),
    ]
    assert await end_early(worker, first) is Verdict.FENCED
    assert await broker.records(["acknowledged"]) == [None]
    for one in again:
        assert await end(other, one, b"lost") is Verdict.APPLIED
    assert await counts(broker) == NOTHING


async def test_it_is_told_again_after_another_death(broker: Broker, consumer: MakeConsumer) -> None:
    one, two = await consumer(), await consumer()
    await acknowledge(one, await send_and_fetch(broker, one))
    await fall(broker, one, by=two)
    assert (await fetch_one(two)).acknowledged
    three = await consumer()
    await fall(broker, two, by=three)
    assert (await fetch_one(three)).acknowledged


@pytest.mark.parametrize("how", ["leave", "hand back"])
async def test_what_is_handed_back_is_told(broker: Broker, consumer: MakeConsumer, how: str) -> None:
    worker, other = await consumer(), await consumer()
    await acknowledge(worker, await send_and_fetch(broker, worker))
    assert await (worker.leave() if how == "leave" else worker.hand_back([])) == 1
    again = await fetch_one(other)
    assert (again.acknowledged, again.deliveries) == (True, 1)


async def test_an_ended_one_is_told_to_nobody(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    delivery = await send_and_fetch(broker, worker)
    await acknowledge(worker, delivery)
    await end_early(worker, delivery)
    await fall(broker, worker, by=other)
    assert await fetch(other) == []


async def test_a_retry_is_acknowledged_anew(broker: Broker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    delivery = await send_and_fetch(broker, worker)
    await acknowledge(worker, delivery)
    await settle(worker, delivery, record=b"retry", sends=[message("task")], early=True)
    assert not (await fetch_one(worker)).acknowledged
    await fall(broker, worker, by=other)
    assert not (await fetch_one(other)).acknowledged


async def test_one_that_was_revoked_before_does_not_start(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    await revoke(broker, "task")
    assert await acknowledge(worker, delivery) is Verdict.REVOKED
    assert await counts(broker) == NOTHING
    assert await worker.revoked(["task"]) == [False]


async def test_one_that_is_revoked_later_leaves_nothing(broker: Broker, consumer: MakeConsumer) -> None:
    """The id is free for another task at once."""
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    await acknowledge(worker, delivery)
    assert await revoke(broker, "task", terminate=True) == [True]
    assert await settle(worker, delivery, if_revoked=True, early=True) is Verdict.REVOKED
    assert await worker.revoked(["task"]) == [False]
    assert await broker.records(["task"]) == [b"revoked"]
    await send(broker, "task")
    again = await fetch_one(worker)
    assert (again.revoked, again.acknowledged) == (False, False)


async def test_one_whose_revocation_was_taken_back_runs_again(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(1)
    await flow.put(broker)
    delivery = await fetch_one(worker)
    await acknowledge(worker, delivery)
    assert await revoke_node(broker, flow.name(1))
    assert await broker.resume(flow.id) == 1
    assert await settle(worker, delivery, if_revoked=True, early=True) is Verdict.REVOKED
    again = await fetch_one(worker)
    assert not again.acknowledged
    assert await end(worker, again, step=step(again)) is Verdict.APPLIED
    assert await states(broker, flow.id) == "d"


async def test_one_that_is_revoked_in_a_workflow(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(2)
    await flow.put(broker)
    delivery = await fetch_one(worker)
    await acknowledge(worker, delivery)
    assert await revoke_node(broker, flow.name(1))
    assert await settle(worker, delivery, acknowledge=False, record=b"progress") is Verdict.REVOKED
    assert await end_early(worker, delivery, step=step(delivery), sends=[message("next")]) is Verdict.REVOKED
    assert await states(broker, flow.id) == "ru"
    assert await worker.revoked([flow.name(1)]) == [False]
    assert await counts(broker) == NOTHING
