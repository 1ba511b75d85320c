"""Workflows: each task runs when all that it comes after has ended well, and hears of it when that cannot be."""

from __future__ import annotations

import pytest

from aioqueue.brokers.protocol import Broker, Verdict
from aioqueue.exceptions import QueueFull
from aioqueue.workflow import FAILED, INLINE_VALUE, PAGE, NoValue, Step, Told, Value

from .conftest import MakeConsumer
from .flows import Flow, done, drain, failed, flat, leftovers, next_tasks, numbers, place, states, status, step
from .steps import counts, end, fetch, fetch_one, ids, settle

# Values


async def test_a_chain_passes_values(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first, second, third = flow.chain(3)
    await flow.put(broker)
    delivery = await fetch_one(worker)
    assert (delivery.id, delivery.value) == (flow.name(first), None)
    assert await done(worker, delivery, b"one") is Verdict.APPLIED
    delivery = await fetch_one(worker)
    assert delivery.id == flow.name(second)
    assert delivery.value in (None, b"one")
    assert await worker.value(flow.id, first) == Value(data=b"one")
    assert await worker.value(flow.id, second) is None
    assert await states(broker, flow.id) == "dq."
    await done(worker, delivery, b"")
    delivery = await fetch_one(worker)
    assert delivery.id == flow.name(third)
    assert await worker.value(flow.id, second) == Value(data=b"")
    await done(worker, delivery)
    assert await states(broker, flow.id) == "ddd"
    assert await fetch(worker) == []


async def test_a_large_value_is_asked_for(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first, _ = flow.chain(2)
    await flow.put(broker)
    large = b"x" * 100_000
    await done(worker, await fetch_one(worker), large)
    assert (await fetch_one(worker)).value in (None, large)
    assert await worker.value(flow.id, first) == Value(data=large)


@pytest.mark.parametrize("count", [2, PAGE, PAGE + 1, 2 * PAGE])
async def test_the_copies_of_a_value_are_not_many_bytes(broker: Broker, consumer: MakeConsumer, count: int) -> None:
    """One that many take is asked for by each: in the messages of a group, a value would be there as often as that has
    members, and fill the broker."""
    worker, flow = await consumer(), Flow()
    first = flow.task()
    flow.group(count, first)
    await flow.put(broker)
    value = b"x" * (INLINE_VALUE // count + 1)
    await done(worker, await fetch_one(worker), value)
    deliveries = await next_tasks(worker)
    assert len(deliveries) == count
    assert sum(len(one.value or b"") for one in deliveries) <= INLINE_VALUE
    assert await worker.value(flow.id, first) == Value(data=value)


async def test_the_copies_of_a_failure_are_not_many_bytes(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    handlers = [flow.handler() for _ in range(3)]
    flow.task(on_error=handlers)
    await flow.put(broker)
    failure = b"x" * (INLINE_VALUE // 3 + 1)
    delivery = await fetch_one(worker)
    await settle(worker, delivery, step=Step(*place(delivery), FAILED, told=Told(failure)))
    calls = await next_tasks(worker)
    assert len(calls) == 3
    assert sum(len(one.value or b"") for one in calls) <= INLINE_VALUE
    assert await worker.failure(flow.id, "4") == NoValue(failure)


async def test_what_takes_no_value_is_not_given_one(broker: Broker, consumer: MakeConsumer) -> None:
    """Beside those that do, and alone."""
    worker, flow = await consumer(), Flow()
    first = flow.task()
    takes, alone = flow.task(first), flow.task(first, takes=False)
    last = flow.task(alone, takes=False)
    await flow.put(broker)
    await done(worker, await fetch_one(worker), b"one")
    deliveries = {one.id: one for one in await next_tasks(worker)}
    assert deliveries[flow.name(takes)].value in (None, b"one")
    assert deliveries[flow.name(alone)].value is None
    await done(worker, deliveries[flow.name(alone)], b"two")
    assert [(one.id, one.value) for one in await next_tasks(worker)] == [(flow.name(last), None)]


async def test_what_nobody_wants_is_not_kept(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first = flow.task(wanted=False)
    flow.task(first)
    await flow.put(broker)
    await done(worker, await fetch_one(worker), b"one")
    assert (await fetch_one(worker)).value is None
    assert await worker.value(flow.id, first) is None


async def test_nothing_is_known_of_what_is_not_there(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(1)
    await flow.put(broker)
    assert await worker.value(flow.id, 7) is None
    assert await worker.value("nowhere", 1) is None
    assert await worker.failure("nowhere", "1") is None
    assert await worker.failure(flow.id, "1") is None
    assert await broker.workflow("nowhere") is None
    assert await broker.members("nowhere", 1) is None
    assert await broker.members(flow.id, 1) is None, "a task has none"
    assert await broker.place("nowhere") is None
    assert await broker.resume("nowhere") == 0


async def test_a_fan_out(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first = flow.task()
    others = [flow.task(first) for _ in range(3)]
    flow.join(others, first)
    await flow.put(broker)
    await done(worker, await fetch_one(worker))
    assert numbers(await fetch(worker)) == others


async def test_several_tasks_begin_at_once(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    members, _ = flow.group(3)
    await flow.put(broker)
    deliveries = await fetch(worker)
    assert numbers(deliveries) == members
    assert [one.value for one in deliveries] == [None] * 3


@pytest.mark.needs("priorities")
async def test_priorities_and_queues(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer("q", "other"), Flow()
    flow.join([flow.task(), flow.task(priority=9, queue="other"), flow.task(priority=5)])
    await flow.put(broker, queues={"q": 2, "other": 1})
    assert [(one.queue, one.data[-1:]) for one in await fetch(worker)] == [("other", b"2"), ("q", b"3"), ("q", b"1")]


# Joins


async def test_a_join_waits_for_all_and_gives_values_in_order(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    members, join = flow.group(3)
    body = flow.task(join)
    await flow.put(broker)
    one, two, three = await fetch(worker)
    await done(worker, three, b"3")
    await done(worker, one, b"1")
    assert await fetch(worker) == []
    assert await states(broker, flow.id) == "dqd.."
    await done(worker, two, b"2")
    delivery = await fetch_one(worker)
    assert (delivery.id, delivery.value) == (flow.name(body), None)
    assert flat(await worker.value(flow.id, join)) == [b"1", b"2", b"3"]
    assert [one.id for one in await broker.members(flow.id, join) or ()] == [flow.name(n) for n in members]
    await done(worker, delivery)
    assert await states(broker, flow.id) == "ddddd"


async def test_members_that_are_chains(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    ends = [flow.chain(2)[-1] for _ in range(2)]
    join = flow.join(ends)
    body = flow.task(join)
    await flow.put(broker)
    for _ in range(2):
        for delivery in await fetch(worker):
            await done(worker, delivery)
    assert numbers(await fetch(worker)) == [body]
    assert flat(await worker.value(flow.id, join)) == [b"value 2", b"value 4"]


async def test_groups_in_groups(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    _, inner = flow.group(2)
    empty = flow.join([])
    alone = flow.task()
    outer = flow.join([inner, alone, empty])
    body = flow.task(outer)
    await flow.put(broker)
    for delivery in await fetch(worker):
        await done(worker, delivery)
    assert numbers(await fetch(worker)) == [body]
    assert flat(await worker.value(flow.id, outer)) == [[b"value 1", b"value 2"], b"value 5", []]


async def test_a_member_without_a_result(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    _, join = flow.group(2)
    flow.task(join)
    await flow.put(broker)
    one, two = await fetch(worker)
    await done(worker, one, b"")
    await end(worker, two, step=step(two))
    assert flat(await worker.value(flow.id, join)) == [b"", b"value 2"]


async def test_an_empty_join(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    join = flow.join([])
    second = flow.join([], join)
    body = flow.task(second)
    last = flow.join([], body)
    await flow.put(broker)
    delivery = await fetch_one(worker)
    assert delivery.id == flow.name(body)
    assert flat(await worker.value(flow.id, join)) == []
    await done(worker, delivery)
    assert await states(broker, flow.id) == "dddd"
    assert last == 4


async def test_a_lenient_join_passes_failures(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    chain = flow.chain(2)
    well, bad = flow.task(), flow.task()
    _, strict = flow.group(2)
    join = flow.join([chain[-1], well, bad, strict], lenient=True)
    body = flow.task(join)
    await flow.put(broker)
    for delivery in await fetch(worker):
        await (failed if delivery.data[-1:] in b"145" else done)(worker, delivery)
    assert numbers(await fetch(worker)) == [body]
    values = flat(await worker.value(flow.id, join))
    assert values == ["upstream: failure 1", b"value 3", "failed: failure 4", "upstream: failure 5"]


# Failures


async def test_a_failure_ends_everything_after_it(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first, second, third, fourth = flow.chain(4)
    await flow.put(broker)
    await done(worker, await fetch_one(worker))
    await failed(worker, await fetch_one(worker))
    assert await fetch(worker) == []
    assert await states(broker, flow.id) == "dfuu"
    found = await status(broker, flow.id)
    assert found.states[third] == found.states[fourth] == f"u{second}"
    records = await broker.records([flow.name(n) for n in (first, second, third, fourth)])
    assert records == [b"done", b"failed", b"upstream 2", b"upstream 2"]


async def test_the_body_of_a_chord_is_told_of_the_first_failure(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    members, join = flow.group(3)
    body = flow.task(join)
    after = flow.task(body)
    await flow.put(broker)
    async with broker.watch(flow.name(body)) as watch:
        one, two, three = await fetch(worker)
        await done(worker, one)
        await failed(worker, three)
        assert await states(broker, flow.id) == "dqfuuu"
        await failed(worker, two)  # the others run on, and change nothing any more
        assert await states(broker, flow.id) == "dffuuu"
        assert await watch.next() == b"chord 3"
    assert await broker.records([flow.name(body), flow.name(after)]) == [b"chord 3", b"upstream 3"]
    assert (await status(broker, flow.id)).states[body] == "u3"
    assert members == [1, 2, 3]


async def test_a_failure_before_a_group(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first = flow.task()
    _, join = flow.group(2, first)
    flow.task(join)
    await flow.put(broker)
    await failed(worker, await fetch_one(worker))
    assert await states(broker, flow.id) == "fuuuu"
    records = await broker.records([flow.name(n) for n in (2, 3, 5)])
    assert records == [b"upstream 1", b"upstream 1", b"chord 1"]


async def test_a_revoked_end_of_its_own(broker: Broker, consumer: MakeConsumer) -> None:
    """A task that expired or rejected itself: the same, without handlers."""
    worker, flow = await consumer(), Flow()
    handler = flow.handler()
    first = flow.task(on_error=[handler])
    flow.task(first)
    await flow.put(broker)
    delivery = await fetch_one(worker)
    await end(worker, delivery, b"revoked", step=step(delivery, "r"))
    assert await states(broker, flow.id) == ".ru"
    assert await fetch(worker) == []


# The same end twice


async def test_an_end_counts_once(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    members, join = flow.group(2)
    flow.task(join)
    await flow.put(broker)
    one, _ = await fetch(worker)
    assert await done(worker, one, b"first") is Verdict.APPLIED
    assert await done(worker, one, b"second") is Verdict.FENCED
    assert await failed(worker, one) is Verdict.FENCED
    assert await end(worker, one, step=step(one), early=True) is Verdict.FENCED
    assert await end(worker, one, step=step(one, "f"), early=True) is Verdict.FENCED
    assert await fetch(worker) == []
    assert await states(broker, flow.id) == "dq.."
    assert (await worker.value(flow.id, members[0])) == Value(data=b"first")


async def test_a_retry_is_no_end(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(2)
    await flow.put(broker)
    delivery = await fetch_one(worker)
    again = {"id": delivery.id, "data": delivery.data}
    from .steps import message

    await settle(worker, delivery, record=b"retry", sends=[message(**again, delay=1_000)])
    assert await states(broker, flow.id) == "q."
    broker.shift_clock(1_000)
    assert await drain(worker) == [1, 2]
    assert await states(broker, flow.id) == "dd"


# Error handlers


async def test_handlers_are_called_once_for_each_failed_node(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first, second = flow.handler(), flow.handler()
    one = flow.task(on_error=[first, second])
    two = flow.task(on_error=[first])
    flow.join([one, two])
    await flow.put(broker)
    a, b = await fetch(worker)
    await failed(worker, a)
    calls = await fetch(worker)
    assert ids(calls) == [f"{flow.name(first)}.{one}", f"{flow.name(second)}.{one}"]
    assert await worker.failure(flow.id, str(one)) == NoValue(b"failure 3")
    for call in calls:
        assert call.value in (None, b"failure 3")
        assert await done(worker, call) is Verdict.APPLIED
    await failed(worker, b)
    [call] = await fetch(worker)
    assert call.id == f"{flow.name(first)}.{two}"
    assert (await status(broker, flow.id)).calls == {"1.3": "d", "2.3": "d", "1.4": "q"}
    await failed(worker, call)  # a handler's failure is nobody's
    assert (await status(broker, flow.id)).calls == {"1.3": "d", "2.3": "d", "1.4": "d"}
    assert await fetch(worker) == []


async def test_nodes_after_a_failed_one_have_no_failure_of_their_own(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    handler = flow.handler()
    first = flow.task(on_error=[handler])
    flow.task(first, on_error=[handler])
    await flow.put(broker)
    await failed(worker, await fetch_one(worker))
    assert ids(await fetch(worker)) == [f"{flow.name(handler)}.{first}"]


async def test_the_body_of_a_chord_has_its_handlers_called(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    both, only = flow.handler(), flow.handler()
    member = flow.task(on_error=[both])
    other = flow.task()
    join = flow.join([member, other])
    body = flow.task(join, on_error=[both, only])
    await flow.put(broker)
    one, two = await fetch(worker)
    await failed(worker, one)
    calls = await fetch(worker)
    assert ids(calls) == [f"{flow.name(both)}.{member}", f"{flow.name(only)}.{body}"]
    assert calls[1].value is None
    assert await worker.failure(flow.id, str(body)) == NoValue(
        b"failure 3", kind="chord", id=flow.name(body), task="task6"
    )
    await failed(worker, two)
    assert await fetch(worker) == []


async def test_a_body_is_not_told_of_revocations(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    handler = flow.handler()
    member = flow.task()
    flow.task(flow.join([member]), on_error=[handler])
    await flow.put(broker)
    delivery = await fetch_one(worker)
    await end(worker, delivery, step=step(delivery, "r"))
    assert await states(broker, flow.id) == ".ruu"
    assert await fetch(worker) == []


# Coming and going


async def test_nothing_runs_before_the_last_part_is_there(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.group(500)
    *most, last = flow.parts()
    assert most
    for part in most:
        await broker.put_part(flow.id, part, None, timeout=5)
        assert await broker.workflow(flow.id) is None
    assert await fetch(worker) == []
    await broker.put_part(flow.id, last, flow.start(), timeout=5)
    assert len(await next_tasks(worker)) == 500


@pytest.mark.needs("bounded")
async def test_a_workflow_that_does_not_fit(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.group(3)
    with pytest.raises(QueueFull, match="queue_max_length=2"):
        await flow.put(broker, max_length=2)
    assert await fetch(worker) == []
    assert await broker.workflow(flow.id) is None
    assert [name for name in await leftovers(broker) if name.startswith(("wf", "workflows"))] == []
    with pytest.raises(QueueFull, match=r"'q'.*queue_max_length=2") as full:
        await flow.put(broker, max_length={"q": 2, "other": 100})
    assert full.value.queue == "q"
    await flow.put(broker, max_length=3)
    assert await counts(broker) == (3, 0, 0)


async def test_delays_count_from_when_it_is_ones_turn(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first = flow.task()
    flow.task(first, delay=10_000)
    later = flow.task(first, due=broker.now() + 30_000)
    flow.join([2, later], first)
    await flow.put(broker)
    broker.shift_clock(5_000)
    await done(worker, await fetch_one(worker), b"one")
    assert await counts(broker) == (0, 0, 2)
    assert await states(broker, flow.id) == "dqq."
    broker.shift_clock(9_000)
    assert await next_tasks(worker) == []
    broker.shift_clock(1_000)
    [delivery] = await next_tasks(worker)
    assert await worker.value(flow.id, first) == Value(data=b"one")
    await done(worker, delivery)
    broker.shift_clock(15_001)
    assert await drain(worker) == [3]
    assert await states(broker, flow.id) == "dddd"


async def test_the_status_of_a_workflow(broker: Broker, consumer: MakeConsumer) -> None:
    flow = Flow()
    handler = flow.handler()
    first = flow.task(on_error=[handler], priority=3)
    members, join = flow.group(2, first)
    await flow.put(broker)
    found = await status(broker, flow.id)
    assert (found.id, found.end) == (flow.id, join)
    assert found.to == {0: [first], first: members, members[0]: [join], members[1]: [join]}
    assert found.members == {join: members}
    assert found.states == {0: "d", first: "q"}
    assert sorted(found.nodes) == [0, 1, 2, 3, 4, 5]
    assert [node.data for node in found.nodes.values()] == [b""] * 6
    node = found.nodes[first]
    assert (node.id, node.task, node.priority, list(node.on_error)) == (flow.name(first), "task2", 3, [handler])
    assert (found.grafts, found.calls) == ({}, {})


async def test_a_task_with_an_id_of_the_senders_own(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first = flow.task()
    flow.task(first, name="mine")
    await flow.put(broker)
    assert await broker.place("mine") == (flow.id, 2)
    assert await drain(worker) == [1, 2]
    assert await broker.records(["mine"]) == [b"done"]
    assert await broker.place("mine") == (flow.id, 2), "also after its end, for as long as it is kept"
    assert await broker.forget(["mine"]) == [True]
    assert await broker.place("mine") is None


async def test_what_members_gave_is_gone_with_the_end_and_not_taken_for_nothing(
    broker: Broker, consumer: MakeConsumer
) -> None:
    """A worker that was frozen before its body began must not run it with made-up results."""
    worker, flow = await consumer(), Flow()
    _members, inner = flow.group(2)
    outer = flow.join([inner, flow.task()])
    flow.task(outer)
    await flow.put(broker)
    await drain(worker)
    assert await worker.value(flow.id, inner) is None
    assert await worker.value(flow.id, outer) is None
