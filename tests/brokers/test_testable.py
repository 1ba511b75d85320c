"""The hand that tests have in a broker, and what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aioqueue.brokers.protocol import Capabilities

from .conftest import CANNOT, MakeConsumer
from .flows import Flow, leftovers
from .steps import LEASE, end, fetch_one, message, revoke, send

if TYPE_CHECKING:
    from aioqueue.brokers.protocol import Consumer, Delivery, TestableBroker


async def test_erased_it_holds_nothing_and_goes_on(broker: TestableBroker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await send(broker, "ended", "lent", "waiting", message("delayed", delay=60_000))
    await end(worker, await fetch_one_of(worker), dead=b"letter")
    await revoke(broker, "revoked")
    await broker.revoke_stamp(b"stamp", expires=60_000, terminate=False)
    flow = Flow()
    flow.chain(2)
    await flow.put(broker)
    await broker.erase()
    assert await leftovers(broker) == []
    assert await broker.queues() == []
    assert await broker.dead_letters(limit=10) == []
    assert await broker.workers() == []
    assert await broker.records(["ended", "revoked"]) == [None, None]
    assert await broker.workflow(flow.id) is None
    other = await consumer()
    assert await other.stamps() == []
    await send(broker, "after")
    assert (await fetch_one(other)).id == "after"


async def fetch_one_of(worker: Consumer) -> Delivery:
    [delivery, *_] = await worker.fetch(2, wait=0)
    return delivery


async def test_postponed_leases_outlive_a_clock_that_is_moved(broker: TestableBroker, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    await broker.postpone_leases(LEASE)
    broker.shift_clock(LEASE)
    await other.take_over()
    assert len(await broker.workers()) == 2
    assert await worker.fetch(1, wait=0) == []


async def test_it_says_what_it_is(broker: TestableBroker) -> None:
    assert broker.description
    assert "memory" in broker.description or broker.version.partition(" ")[0] in ("redis", "valkey")
    assert list(broker.warnings) == []


def test_a_test_can_need_each_capability() -> None:
    """But one: all tests are of one process."""
    assert {field.name for field in msgspec.structs.fields(Capabilities)} == {*CANNOT, "shared"}
