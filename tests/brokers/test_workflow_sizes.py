"""Workflows of thousands of tasks, and what is left of workflows in the end: nothing."""

from __future__ import annotations

import asyncio
import sys

import pytest
from support.waiting import PATIENCE, until

from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.protocol import Broker, Settlement, Verdict
from aioqueue.brokers.redis import RedisBroker

from .conftest import MakeConsumer
from .flows import (
    PART,
    Flow,
    adds,
    bad_step,
    becomes,
    done,
    drain,
    failed,
    flat,
    leftovers,
    next_tasks,
    numbers,
    states,
    status,
    step,
)
from .steps import AN_HOUR, counts, fetch_one, settle, worker_status

SOON = 150
"""ms for which what has ended is kept: Redis drops it by its own clock, which cannot be shifted."""


async def gone(broker: Broker) -> None:
    """Assert that soon nothing is left."""
    if not isinstance(broker, RedisBroker):
        broker.shift_clock(SOON + 1)
        assert await leftovers(broker) == []
    else:

        async def nothing() -> bool:
            return await leftovers(broker) == []

        try:
            await until(nothing, seconds=3)
        except AssertionError:
            assert await leftovers(broker) == []


async def test_nothing_is_left_when_all_went_well(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    handler = flow.handler()
    first = flow.task(name="mine", on_error=[handler])
    _, join = flow.group(3, first)
    flow.task(flow.join([], join), delay=1)
    await flow.put(broker, keep=SOON)
    while deliveries := await next_tasks(worker):
        for delivery in deliveries:
            await settle(worker, delivery, step=step(delivery))
        await asyncio.sleep(0.002)
    assert set(await states(broker, flow.id)) == {".", "d"}
    await gone(broker)
    assert await broker.workflow(flow.id) is None
    assert await broker.resume(flow.id) == 0


async def test_nothing_is_left_after_failures_and_handlers(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    handler = flow.handler()
    members = [flow.task(on_error=[handler]) for _ in range(3)]
    flow.task(flow.join(members), on_error=[handler])
    await flow.put(broker, keep=SOON)
    while deliveries := await next_tasks(worker):
        for delivery in deliveries:
            await settle(worker, delivery, step=step(delivery, "f"))
    await gone(broker)


async def test_a_workflow_is_kept_while_a_handler_runs(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    handler = flow.handler()
    flow.task(on_error=[handler])
    await flow.put(broker, keep=1)
    delivery = await fetch_one(worker)
    await settle(worker, delivery, step=step(delivery, "f"))
    await asyncio.sleep(0.01)
    assert flat(await worker.failure(flow.id, "2")) == "failed: failure 2"
    call = await fetch_one(worker)
    assert (await broker.revoke([call.id], b"revoked", expires=SOON, terminate=False)) == [True]
    assert await settle(worker, call) is Verdict.REVOKED
    await gone(broker)


async def test_nothing_is_left_of_grafts_and_additions(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, graft, more = await consumer(), Flow(), Flow(), Flow()
    members, join = flow.group(2)
    flow.task(join)
    graft.task()
    graft.task(1, name=flow.name(members[0]))
    more.chain(2)
    await flow.put(broker, keep=SOON)
    await graft.put(broker, held=True, names={"x": 2}, keep=SOON)
    await more.put(broker, held=True, names={}, keep=SOON)
    one, two = await next_tasks(worker)
    await becomes(worker, one, graft.id)
    await adds(worker, two, join, more.id)
    while deliveries := await next_tasks(worker):
        for delivery in deliveries:
            await settle(worker, delivery, step=step(delivery))
    assert await states(broker, flow.id) == "ddddd"
    await broker.forget([flow.name(2)])
    await gone(broker)


@pytest.mark.parametrize("which", [1, 2, 3])
async def test_nothing_is_left_after_a_revocation(broker: Broker, consumer: MakeConsumer, which: int) -> None:
    """Of a node that goes on elsewhere, of what comes after it, and of the whole."""
    worker, flow, graft = await consumer(), Flow(), Flow()
    flow.chain(3)
    graft.group(2)
    graft.task(3, name=flow.name(1))
    await flow.put(broker, keep=SOON)
    await graft.put(broker, held=True, names={}, keep=SOON)
    await becomes(worker, await fetch_one(worker), graft.id)
    revoked = await broker.revoke(
        [flow.name(which)], b"revoked", expires=SOON, terminate=False, told=bad_step("by hand").told
    )
    assert revoked == [True]
    while deliveries := await next_tasks(worker):
        for delivery in deliveries:
            verdict = await settle(worker, delivery, step=step(delivery))
            assert verdict is (Verdict.APPLIED if which == 2 else Verdict.REVOKED)
    await gone(broker)


async def test_nothing_is_left_after_a_resumption(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.task(name="mine")
    flow.task(1)
    await flow.put(broker, keep=10_000)
    delivery = await fetch_one(worker)
    await settle(worker, delivery, step=step(delivery, "f"))
    assert await broker.resume(flow.id) == 2
    while deliveries := await next_tasks(worker):
        for delivery in deliveries:
            await settle(worker, delivery, step=step(delivery))
    assert await states(broker, flow.id) == "dd"
    if not isinstance(broker, RedisBroker):
        broker.shift_clock(10_001)
        assert await leftovers(broker) == []
    else:
        assert sorted(await times(broker)) == sorted([f"wf:{flow.id}", f"wf:{flow.id}:s", "wf:at:mine"])
        assert all(0 < left <= 10_000 for left in (await times(broker)).values())


async def times(broker: Broker) -> dict[str, int]:
    """For how long the keys of workflows are kept, in Redis."""
    assert isinstance(broker, RedisBroker)
    names = await broker._call("KEYS", "*wf:*")
    return {name.decode().partition(":0}:")[2]: await broker._call("PTTL", name) for name in names}


async def test_stamps_are_forgotten(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await broker.revoke_stamp(b"one", expires=SOON, terminate=False)
    assert len(await worker.stamps()) == 1
    await gone(broker)
    assert await worker.stamps() == []


async def test_what_never_begins_vanishes(broker: Broker, consumer: MakeConsumer) -> None:
    part, held = Flow(), Flow()
    part.group(2 * PART)
    held.task(name="mine")
    for one in part.parts()[:-1]:
        await broker.put_part(part.id, one, None, timeout=PATIENCE)
    await held.put(broker, held=True)
    if not isinstance(broker, RedisBroker):
        broker.shift_clock(24 * AN_HOUR + 1)
        assert await leftovers(broker) == []
    else:
        left = await times(broker)
        assert f"wf:{part.id}" in left and f"wf:{held.id}" in left
        assert [name for name, milliseconds in left.items() if milliseconds < 0] == []


async def test_a_workflow_can_be_kept_for_ever(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(2)
    await flow.put(broker, keep=0)
    await drain(worker)
    broker.shift_clock(1000 * AN_HOUR)
    assert await states(broker, flow.id) == "dd"


# Many


async def test_more_than_a_page_after_one_and_in_a_group(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first = flow.task()
    members, join = flow.group(1_200, first)
    body = flow.task(join)
    await flow.put(broker)
    await done(worker, await fetch_one(worker))
    deliveries = await next_tasks(worker)
    assert sorted(numbers(deliveries)) == members
    settlements = [Settlement(one, record=b"done", final=True, expires=AN_HOUR, step=step(one)) for one in deliveries]
    assert set(await worker.settle(settlements)) == {Verdict.APPLIED}
    assert numbers(await next_tasks(worker)) == [body]
    assert flat(await worker.value(flow.id, join)) == [f"value {n}".encode() for n in members]
    assert [one.id for one in await broker.members(flow.id, join) or ()] == [flow.name(n) for n in members]
    found = await status(broker, flow.id)
    assert found.members == {join: members}
    assert found.to[first] == members


async def test_a_failure_before_very_many(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first = flow.task()
    members, join = flow.group(1_300, first)
    body = flow.task(join)
    await flow.put(broker, keep=AN_HOUR)
    await failed(worker, await fetch_one(worker))
    assert await next_tasks(worker) == []
    assert await states(broker, flow.id) == "f" + "u" * 1_302
    records = await broker.records([flow.name(n) for n in (*members, body)])
    assert records == [*[b"upstream 1"] * 1_300, b"chord 1"]
    assert await broker.resume(flow.id) == 1_303
    assert await states(broker, flow.id) == "q" + "." * 1_302
    await done(worker, await fetch_one(worker))
    assert sorted(numbers(await next_tasks(worker))) == members


async def test_a_long_chain_behind_a_failure(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(3_000)
    await flow.put(broker)
    await failed(worker, await fetch_one(worker))
    assert await next_tasks(worker) == []
    assert await states(broker, flow.id) == "f" + "u" * 2_999


async def test_revoking_very_many(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first = flow.task()
    members, join = flow.group(1_500, first)
    flow.task(join)
    await flow.put(broker)
    await done(worker, await fetch_one(worker))
    deliveries = await next_tasks(worker)
    assert len(deliveries) == 1_500
    assert await broker.revoke([flow.name(join + 1)], b"revoked", expires=AN_HOUR, terminate=False) == [True]
    while await worker.promote() == 0:
        pass
    assert await states(broker, flow.id) == "d" + "r" * 1_502
    assert await broker.records([flow.name(n) for n in (*members, join + 1)]) == [b"revoked"] * 1_501
    assert all(await worker.revoked([flow.name(n) for n in members]))
    # Some are met, some are not, when it is resumed.
    verdicts = await worker.settle([Settlement(one, if_revoked=True) for one in deliveries[:700]])
    assert set(verdicts) == {Verdict.REVOKED}
    assert await broker.resume(flow.id) == 1_502
    verdicts = await worker.settle([Settlement(one, if_revoked=True) for one in deliveries[700:]])
    assert set(verdicts) == {Verdict.REVOKED}
    assert len(await drain(worker)) == 1_501
    assert await states(broker, flow.id) == "d" * 1_503
    assert await counts(broker) == (0, 0, 0)


async def test_resuming_while_a_revocation_is_not_over(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    members, join = flow.group(1_500)
    flow.task(join)
    await flow.put(broker)
    assert len(await next_tasks(worker)) == 1_500
    await worker.hand_back([])
    assert await broker.revoke([flow.name(join + 1)], b"revoked", expires=AN_HOUR, terminate=False) == [True]
    assert await broker.resume(flow.id) == 1_502
    assert not any(await worker.revoked([flow.name(n) for n in members]))
    assert len(await drain(worker)) == 1_501
    assert await states(broker, flow.id) == "d" * 1_502


async def test_very_long_chains_do_not_recurse() -> None:
    length = 10 * sys.getrecursionlimit()
    broker = MemoryBroker()
    worker = broker.consumer(worker_status("w"), visibility_timeout=30, dead_letters_max_length=10)
    await worker.join()
    flow = Flow()
    flow.chain(length)
    await flow.put(broker)
    await failed(worker, await fetch_one(worker))
    assert await states(broker, flow.id) == "f" + "u" * (length - 1)
    assert await broker.resume(flow.id) == length
    assert await broker.revoke([flow.name(length)], b"revoked", expires=AN_HOUR, terminate=False) == [True]
    assert await states(broker, flow.id) == "r" * length


@pytest.mark.slow
async def test_very_many_grafts_of_grafts(broker: Broker, consumer: MakeConsumer) -> None:
    """More than Lua may have calls in calls."""
    worker, flow = await consumer(), Flow()
    flow.chain(2)
    await flow.put(broker)
    for _ in range(25_000):
        graft = Flow()
        graft.task(name=flow.name(1))
        await graft.put(broker, held=True, names={})
        await becomes(worker, await fetch_one(worker), graft.id)
    await failed(worker, await fetch_one(worker))
    assert await next_tasks(worker) == []
    assert await states(broker, flow.id) == "fu"


async def test_many_empty_joins_in_a_row(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    after = 0
    for _ in range(1_500):
        after = flow.join([], after)
    flow.task(after)
    await flow.put(broker)
    assert await drain(worker) == [1_501]


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
async def test_heavy_tasks_of_a_group_are_queued_a_few_at_a_time(
    broker: Broker, consumer: MakeConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait while a script runs, and one that queues 500 tasks of 8 MiB takes long, and as much memory again."""
    worker, flow = await consumer(), Flow()
    members, _ = flow.group(6)
    for member in members:
        flow.nodes[member].data += b" " * 3 * 1024 * 1024
    for part in flow.parts()[:-1]:
        await broker.put_part(flow.id, part, None, timeout=PATIENCE)
    await broker.put_part(flow.id, flow.parts()[-1], flow.start(), timeout=PATIENCE)
    assert (await counts(broker))[0] == 3, "8 MiB, and what is begun"
    await worker.promote()
    assert (await counts(broker))[0] == 6
    assert await drain(worker) == members
