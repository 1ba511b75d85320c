"""Workflows that change while they run: tasks that go on as other workflows, that join a group, that are revoked and
run again."""

from __future__ import annotations

from os.path import commonprefix

import pytest

from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.protocol import Broker, Outgoing, StampRevoked, TasksRevoked, Verdict
from aioqueue.brokers.redis import RedisBroker
from aioqueue.workflow import WAITING, NoValue, Step, Value

from .conftest import MakeConsumer
from .flows import (
    Flow,
    adds,
    becomes,
    done,
    drain,
    failed,
    flat,
    next_tasks,
    number,
    numbers,
    revoke_node,
    states,
    status,
    step,
)
from .steps import counts, end, fetch, fetch_one, ids, listening, send, settle, worker_status

# Grafts


async def test_a_held_workflow_starts_when_it_is_grafted(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, graft = await consumer(), Flow(), Flow()
    first, _ = flow.chain(2)
    inner, _ = graft.task(), graft.task(1, name=flow.name(first))
    await flow.put(broker)
    await graft.put(broker, held=True, names={})
    delivery = await fetch_one(worker)
    assert await fetch(worker) == []
    assert await becomes(worker, delivery, graft.id) is Verdict.APPLIED
    assert await states(broker, flow.id) == "q."
    assert (await status(broker, flow.id)).grafts == {first: graft.id}
    delivery = await fetch_one(worker)
    assert delivery.id == graft.name(inner)
    await done(worker, delivery)
    delivery = await fetch_one(worker)
    assert delivery.id == flow.name(first)
    assert await states(broker, flow.id) == "q."
    await done(worker, delivery, b"in its place")
    assert await states(broker, graft.id) == "dd"
    assert await states(broker, flow.id) == "dq"
    assert await worker.value(flow.id, first) == Value(data=b"in its place")
    delivery = await fetch_one(worker)
    assert delivery.id == flow.name(2)
    assert delivery.value in (None, b"in its place")


async def test_a_failure_in_a_graft(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, graft = await consumer(), Flow(), Flow()
    first, _ = flow.chain(2)
    graft.task()
    graft.task(1, name=flow.name(first))
    await flow.put(broker)
    await graft.put(broker, held=True, names={})
    await becomes(worker, await fetch_one(worker), graft.id)
    await failed(worker, await fetch_one(worker))
    assert await states(broker, graft.id) == "fu"
    assert await states(broker, flow.id) == "fu"
    assert await broker.records([flow.name(1), flow.name(2)]) == [b"upstream 1", b"upstream 1"]
    assert await fetch(worker) == []


async def test_a_member_of_a_chord_that_goes_on_elsewhere(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, graft = await consumer(), Flow(), Flow()
    members, join = flow.group(2)
    flow.task(join)
    graft.task(name=flow.name(members[0]))
    await flow.put(broker)
    await graft.put(broker, held=True, names={})
    one, two = await fetch(worker)
    await becomes(worker, one, graft.id)
    await done(worker, two, b"two")
    await done(worker, await fetch_one(worker), b"one")
    assert numbers(await fetch(worker)) == [4]
    assert flat(await worker.value(flow.id, join)) == [b"one", b"two"]


async def test_grafts_of_grafts(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    handler = flow.handler()
    first = flow.task(on_error=[handler])
    flow.task(first)
    await flow.put(broker)
    inner: list[Flow] = []
    for _ in range(5):
        graft = Flow()
        graft.task(name=flow.name(first))
        await graft.put(broker, held=True, names={})
        await becomes(worker, await fetch_one(worker), graft.id)
        inner.append(graft)
    delivery = await fetch_one(worker)
    assert delivery.id == flow.name(first)
    assert step(delivery).workflow == inner[-1].id
    await done(worker, delivery, b"at last")
    assert [await states(broker, graft.id) for graft in inner] == ["d"] * 5
    assert await states(broker, flow.id) == ".dq"
    assert await worker.value(flow.id, first) == Value(data=b"at last")


async def test_many_grafts_of_grafts(broker: Broker, consumer: MakeConsumer) -> None:
    """A task that waits for something by going on as itself again and again."""
    worker, flow = await consumer(), Flow()
    flow.chain(2)
    await flow.put(broker)
    for _ in range(500):
        graft = Flow()
        graft.task(name=flow.name(1))
        await graft.put(broker, held=True, names={})
        await becomes(worker, await fetch_one(worker), graft.id)
    await failed(worker, await fetch_one(worker))
    while await worker.promote() == 0:
        pass
    assert await states(broker, flow.id) == "fu"


async def test_handlers_of_a_node_hear_of_what_fails_in_its_place(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, graft, second = await consumer(), Flow(), Flow(), Flow()
    handler = flow.handler()
    first = flow.task(on_error=[handler])
    flow.task(flow.join([first]), on_error=[handler])
    graft.chain(2)
    graft.task(2, name=flow.name(first))
    second.task(name=graft.name(2))
    await flow.put(broker)
    await graft.put(broker, held=True, names={})
    await second.put(broker, held=True, names={})
    await becomes(worker, await fetch_one(worker), graft.id)
    await done(worker, await fetch_one(worker))
    await becomes(worker, await fetch_one(worker), second.id)
    await failed(worker, await fetch_one(worker))
    assert await states(broker, graft.id) == "dfu"
    assert await states(broker, flow.id) == ".fuu"
    # Once for the one that failed, and not for the body: it heard of it there.
    [call] = await fetch(worker)
    subject = f"{first}.2.1"  # the node, the one in its graft, and the one in the graft of that
    assert call.id == f"{flow.name(handler)}.{subject}"
    assert call.value in (None, b"failure 1")
    assert await worker.failure(flow.id, subject) == NoValue(b"failure 1")
    await done(worker, call)
    assert (await status(broker, flow.id)).calls == {f"{handler}.{subject}": "d"}


async def test_a_task_that_was_in_no_workflow(broker: Broker, consumer: MakeConsumer) -> None:
    worker, graft = await consumer(), Flow()
    graft.task()
    graft.task(1, name="task")
    await graft.put(broker, held=True)
    await send(broker, "task")
    delivery = await fetch_one(worker)
    await settle(worker, delivery, step=Step("", "", WAITING, graft=graft.id))
    assert await broker.place("task") == (graft.id, 2)
    assert await drain(worker) == [1, 2]
    assert await broker.records(["task"]) == [b"done"]
    assert await broker.place("task") == (graft.id, 2), "until the id is used again"
    await send(broker, Outgoing("task", "q", 0, b"task", once=True, call="another"))
    assert await broker.place("task") is None


async def test_a_name_is_taken_when_the_workflow_begins(broker: Broker) -> None:
    """Not before: one that is held may never begin."""
    graft = Flow()
    graft.task(name="task")
    await graft.put(broker, held=True)
    assert await broker.place("task") is None


async def test_a_task_that_was_in_no_workflow_goes_on_and_on(broker: Broker, consumer: MakeConsumer) -> None:
    worker, first, second = await consumer(), Flow(), Flow()
    first.task(name="task")
    second.task()
    second.task(1, name="task")
    await first.put(broker, held=True)
    await second.put(broker, held=True, names={})
    await send(broker, "task")
    await settle(worker, await fetch_one(worker), step=Step("", "", WAITING, graft=first.id))
    await becomes(worker, await fetch_one(worker), second.id)
    assert await broker.place("task") == (first.id, 1)
    assert await revoke_node(broker, "task")
    assert await states(broker, second.id) == "rr"
    assert await states(broker, first.id) == "r"
    assert await broker.records(["task"]) == [b"revoked"]
    assert (await fetch_one(worker)).revoked


async def test_a_graft_that_is_not_there(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(1)
    await flow.put(broker)
    assert await becomes(worker, await fetch_one(worker), "nowhere") is Verdict.APPLIED
    assert await broker.workflow("nowhere") is None


async def test_a_handler_that_goes_on_elsewhere(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, graft = await consumer(), Flow(), Flow()
    handler = flow.handler()
    flow.task(on_error=[handler])
    await flow.put(broker)
    await failed(worker, await fetch_one(worker))
    call = await fetch_one(worker)
    graft.chain(1)
    await graft.put(broker, held=True, names={})
    await becomes(worker, call, graft.id)
    assert (await status(broker, flow.id)).calls == {"1.2": "q"}
    await done(worker, await fetch_one(worker))
    assert (await status(broker, flow.id)).calls == {"1.2": "d"}


# Additions


async def test_additions_to_a_group(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    members, join = flow.group(2)
    flow.task(join)
    await flow.put(broker)
    more = [Flow(), Flow()]
    for one in more:
        one.chain(2)
        await one.put(broker, held=True, names={})
    one, two = await fetch(worker)
    await adds(worker, one, join, *(flow.id for flow in more))
    await done(worker, two)
    assert await states(broker, flow.id) == "dd..qq"
    assert (await status(broker, flow.id)).members == {join: [*members, 5, 6]}
    assert [one.id for one in await broker.members(flow.id, join) or ()] == [
        *(flow.name(n) for n in members),
        *(f"{one.id}.added" for one in more),
    ]
    deliveries = await fetch(worker)
    assert ids(deliveries) == [one.name(1) for one in more]
    for delivery in deliveries:
        await done(worker, delivery)
    first, second = await fetch(worker)
    await done(worker, second, b"last")
    assert await fetch(worker) == []
    await done(worker, first, b"first")
    assert [number(one) for one in await fetch(worker)] == [4]
    values = flat(await worker.value(flow.id, join))
    assert values == [b"value 1", b"value 2", b"first", b"last"]


async def test_an_addition_that_fails(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, more = await consumer(), Flow(), Flow()
    _members, join = flow.group(1)
    body = flow.task(join)
    more.chain(2)
    await flow.put(broker)
    await more.put(broker, held=True, names={})
    await adds(worker, await fetch_one(worker), join, more.id)
    await failed(worker, await fetch_one(worker))
    assert await states(broker, flow.id) == "duuf"
    assert await broker.records([flow.name(body)]) == [b"chord 1"]
    assert await fetch(worker) == []


async def test_more_additions_than_a_page(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    members, join = flow.group(499)
    flow.task(join)
    await flow.put(broker)
    deliveries = await next_tasks(worker)
    for delivery in deliveries[:4]:
        more = Flow()
        more.chain(1)
        await more.put(broker, held=True, names={})
        await adds(worker, delivery, join, more.id)
    for delivery in deliveries[4:]:
        await done(worker, delivery, b"")
    assert len(await broker.members(flow.id, join) or ()) == 503
    late = await next_tasks(worker)
    for delivery in late:
        await done(worker, delivery, b"late")
    assert numbers(await next_tasks(worker)) == [501]
    values = flat(await worker.value(flow.id, join))
    assert values == [*(f"value {n}".encode() for n in range(1, 5)), *[b""] * 495, *[b"late"] * 4]
    assert len(members) == 499


# Revoking


async def test_revoking_one_node(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    handler = flow.handler()
    first = flow.task(on_error=[handler])
    second = flow.task(first)
    other = flow.task()
    flow.join([second, other])
    await flow.put(broker)
    async with listening(worker) as heard:
        assert await revoke_node(broker, flow.name(first), terminate=True)
        notice = await heard.next(TasksRevoked)
        assert (notice.ids, notice.terminate) == ((flow.name(first),), True)
    assert await states(broker, flow.id) == ".ruqu"
    assert await broker.records([flow.name(first), flow.name(second)]) == [b"revoked", b"upstream by hand"]
    one, two = await fetch(worker)
    assert (one.revoked, two.revoked) == (True, False)
    assert await done(worker, one) is Verdict.REVOKED
    await done(worker, two)
    assert await states(broker, flow.id) == ".rudu"
    assert await fetch(worker) == []
    assert not await revoke_node(broker, flow.name(first))
    assert not await revoke_node(broker, flow.name(second))


async def test_revoking_a_node_whose_turn_has_not_come(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(3)
    await flow.put(broker)
    assert await revoke_node(broker, flow.name(2))
    assert await states(broker, flow.id) == "qru"
    assert await drain(worker) == [1]
    assert await states(broker, flow.id) == "dru"
    assert await worker.revoked([flow.name(2)]) == [False]


async def test_revoking_the_end_revokes_everything(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first = flow.task()
    members, join = flow.group(3, first)
    body = flow.task(join)
    await flow.put(broker)
    await done(worker, await fetch_one(worker))
    running, *_ = await fetch(worker, 1)
    async with listening(worker) as heard:
        assert await revoke_node(broker, flow.name(body), terminate=True)
        notice = await heard.next(TasksRevoked)
        assert (sorted(notice.ids), notice.terminate) == ([flow.name(n) for n in members], True)
    assert await states(broker, flow.id) == "drrrrr"
    records = await broker.records([flow.name(n) for n in (first, *members, body)])
    assert records == [b"done", *[b"revoked"] * 4]
    assert await done(worker, running) is Verdict.REVOKED
    for delivery in await fetch(worker):
        assert delivery.revoked
        assert await settle(worker, delivery) is Verdict.REVOKED
    assert await worker.revoked([flow.name(n) for n in (*members, body)]) == [False] * 4
    assert await fetch(worker) == []
    assert not await revoke_node(broker, flow.name(body))


async def test_revoking_what_waits_for_its_time(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    members = [flow.task(delay=10_000), flow.task(due=broker.now() + 10_000), flow.task()]
    flow.task(flow.join(members))
    await flow.put(broker)
    assert await counts(broker) == (1, 0, 2)
    assert await revoke_node(broker, flow.name(5))
    assert await counts(broker) == (1, 0, 0)
    assert await worker.revoked([flow.name(n) for n in members]) == [False, False, True]


async def test_revoking_a_group_as_a_whole(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    members, join = flow.group(2)
    await flow.put(broker)
    assert await revoke_node(broker, flow.name(join))
    assert await states(broker, flow.id) == "rrr"
    assert await broker.records([flow.name(n) for n in members]) == [b"revoked"] * 2
    assert [one.revoked for one in await fetch(worker)] == [True, True]


async def test_revoking_a_workflow_in_which_another_goes_on(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, graft = await consumer(), Flow(), Flow()
    first, second = flow.chain(2)
    graft.task()
    graft.task(1, name=flow.name(first))
    await flow.put(broker)
    await graft.put(broker, held=True, names={})
    await becomes(worker, await fetch_one(worker), graft.id)
    assert await revoke_node(broker, flow.name(second))
    assert await states(broker, flow.id) == "rr"
    assert await states(broker, graft.id) == "rr"
    records = await broker.records([graft.name(1), flow.name(first), flow.name(second)])
    assert records == [b"revoked"] * 3
    delivery = await fetch_one(worker)
    assert (delivery.id, delivery.revoked) == (graft.name(1), True)
    assert await worker.revoked([flow.name(first)]) == [False]


async def test_revoking_a_node_in_whose_place_another_workflow_goes_on(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, graft = await consumer(), Flow(), Flow()
    _first, second, _ = flow.chain(3)
    members, join = graft.group(2)
    graft.task(join, name=flow.name(second))
    await flow.put(broker)
    await graft.put(broker, held=True, names={})
    await done(worker, await fetch_one(worker))
    await becomes(worker, await fetch_one(worker), graft.id)
    one, two = await fetch(worker)
    await done(worker, one)
    assert await revoke_node(broker, flow.name(second))
    assert await states(broker, flow.id) == "dru"
    assert await states(broker, graft.id) == "drrr"
    assert await broker.records([flow.name(second), graft.name(members[1])]) == [b"revoked"] * 2
    assert await done(worker, two) is Verdict.REVOKED
    assert await fetch(worker) == []
    # Nothing is remembered of what has no message.
    assert await worker.revoked([flow.name(second), graft.name(members[1])]) == [False, False]


async def test_revoking_a_node_of_a_graft(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, graft = await consumer(), Flow(), Flow()
    handler = flow.handler()
    first = flow.task(on_error=[handler])
    flow.task(flow.join([first]), on_error=[handler])
    graft.task()
    graft.task(1, name=flow.name(first))
    await flow.put(broker)
    await graft.put(broker, held=True, names={})
    await becomes(worker, await fetch_one(worker), graft.id)
    assert await revoke_node(broker, graft.name(1))
    assert await states(broker, graft.id) == "ru"
    assert (await status(broker, flow.id)).states[first] == "r"
    assert await states(broker, flow.id) == ".ruu"
    # As revocations are no errors, no handler is called.
    assert [one.revoked for one in await fetch(worker)] == [True]


async def test_what_left_no_record_has_ended_all_the_same(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first, _ = flow.chain(2)
    await flow.put(broker)
    delivery = await fetch_one(worker)
    await settle(worker, delivery, step=step(delivery))
    assert not await revoke_node(broker, flow.name(first))
    assert await broker.records([flow.name(first)]) == [None]
    assert await worker.revoked([flow.name(first)]) == [False]


async def test_a_handlers_call_can_be_revoked(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    handler = flow.handler()
    flow.task(on_error=[handler])
    await flow.put(broker)
    await failed(worker, await fetch_one(worker))
    call = await fetch_one(worker)
    assert await revoke_node(broker, call.id)
    assert (await status(broker, flow.id)).calls == {"1.2": "d"}
    assert await done(worker, call) is Verdict.REVOKED


# Running again


async def test_resuming_after_a_failure(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(4)
    await flow.put(broker)
    assert await drain(worker, fails=[2]) == [1, 2]
    await broker.forget([flow.name(1)])
    assert await broker.resume(flow.id) == 3
    assert await states(broker, flow.id) == "dq.."
    assert await broker.records([flow.name(n) for n in (2, 3, 4)]) == [None] * 3
    assert await worker.value(flow.id, 1) == Value(data=b"value 1")
    assert await drain(worker) == [2, 3, 4]
    assert await states(broker, flow.id) == "dddd"
    assert await broker.resume(flow.id) == 0


async def test_resuming_a_chord(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    chain = flow.chain(2)
    _members, inner = flow.group(3)
    join = flow.join([chain[-1], inner])
    flow.task(join)
    await flow.put(broker)
    assert sorted(await drain(worker, fails=[1, 4, 5])) == [1, 3, 4, 5]
    assert await states(broker, flow.id) == "fudffuuu"
    assert await broker.resume(flow.id) == 7
    assert await states(broker, flow.id) == "q.dqq..."
    ran = await drain(worker)
    assert (sorted(ran), ran[-1]) == ([1, 2, 4, 5, 8], 8)
    assert await worker.value(flow.id, inner) is None  # dropped with the good end
    assert await states(broker, flow.id) == "dddddddd"


async def test_resuming_while_others_still_run(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    members, join = flow.group(4)
    body = flow.task(join)
    await flow.put(broker)
    one, two, three, four = await fetch(worker)
    await failed(worker, one)
    await done(worker, two)
    await failed(worker, three)
    assert await broker.resume(flow.id) == 4
    assert await states(broker, flow.id) == "qdqq.."
    await done(worker, four)
    again = await fetch(worker)
    assert numbers(again) == [1, 3]
    await done(worker, again[0])
    assert await fetch(worker) == []
    await done(worker, again[1])
    assert numbers(await fetch(worker)) == [body]
    assert len(members) == 4


async def test_resuming_one_node(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    members, join = flow.group(2)
    flow.task(join)
    await flow.put(broker)
    await drain(worker, fails=members)
    assert await broker.resume(flow.id, 3) == 0
    assert await broker.resume(flow.id, 1) == 1
    assert await states(broker, flow.id) == "qfuu"
    assert await drain(worker) == [1]
    assert await states(broker, flow.id) == "dfuu"
    assert await broker.resume(flow.id, 2) == 3
    assert await drain(worker) == [2, 4]
    assert await states(broker, flow.id) == "dddd"


async def test_resuming_a_member_of_a_lenient_join(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    chain = flow.chain(2)
    other = flow.task()
    join = flow.join([chain[-1], other], lenient=True)
    flow.task(join)
    await flow.put(broker)
    one, two = await fetch(worker)
    await failed(worker, one)
    assert await broker.resume(flow.id) == 2
    assert await states(broker, flow.id) == "q.q.."
    await done(worker, two)
    assert await states(broker, flow.id) == "q.d.."
    assert await drain(worker) == [1, 2, 5]
    assert await states(broker, flow.id) == "ddddd"


@pytest.mark.parametrize("body_fails", [False, True])
async def test_a_lenient_join_that_has_ended_ends_again_for_what_takes_it_again(
    broker: Broker, consumer: MakeConsumer, body_fails: bool
) -> None:
    worker, flow = await consumer(), Flow()
    _members, join = flow.group(2, lenient=True)
    body = flow.task(join)
    last = flow.task(body)
    await flow.put(broker)
    fails = [1, body] if body_fails else [1, last]
    assert [n for n in await drain(worker, fails=fails) if n != last] == [1, 2, body]
    assert await broker.resume(flow.id) == (4 if body_fails else 2)
    assert await states(broker, flow.id) == ("qd..." if body_fails else "qdddq")
    ran = await drain(worker)
    assert ran == [1, body, last] if body_fails else sorted(ran) == [1, last]
    assert await states(broker, flow.id) == "ddddd"


async def test_resuming_after_a_revocation(broker: Broker, consumer: MakeConsumer) -> None:
    """A message that still lies in the queue is the one that runs."""
    worker, flow = await consumer(), Flow()
    first = flow.task()
    members, join = flow.group(3, first)
    body = flow.task(join)
    await flow.put(broker)
    await done(worker, await fetch_one(worker))
    one, *_ = await fetch(worker, 1)
    assert await revoke_node(broker, flow.name(body))
    assert await done(worker, one) is Verdict.REVOKED
    assert await broker.resume(flow.id) == 5
    assert await states(broker, flow.id) == "dqqq.."
    assert await worker.revoked([flow.name(n) for n in members]) == [False] * 3
    assert await broker.records([flow.name(n) for n in members]) == [None] * 3
    assert sorted(await drain(worker)) == [*members, body]
    assert await states(broker, flow.id) == "dddddd"
    assert await counts(broker) == (0, 0, 0)


async def test_a_worker_that_hears_too_late_that_the_task_runs_again(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(2)
    await flow.put(broker)
    delivery = await fetch_one(worker)
    assert await revoke_node(broker, flow.name(1))
    assert await broker.resume(flow.id) == 2
    assert await settle(worker, delivery, if_revoked=True) is Verdict.REVOKED
    assert await counts(broker) == (1, 0, 0)
    again = await fetch_one(worker)
    assert (again.id, again.revoked, again.deliveries) == (flow.name(1), False, 1)
    assert await done(worker, delivery) is Verdict.FENCED
    assert await done(worker, again) is Verdict.APPLIED
    assert await drain(worker) == [2]


async def test_settled_as_revoked_because_it_is(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(2)
    await flow.put(broker)
    delivery = await fetch_one(worker)
    assert await revoke_node(broker, flow.name(1))
    assert await settle(worker, delivery, if_revoked=True) is Verdict.REVOKED
    assert await counts(broker) == (0, 0, 0)
    assert await broker.resume(flow.id) == 2
    assert await drain(worker) == [1, 2]


async def test_a_delayed_node_waits_again(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.task(delay=10_000)
    await flow.put(broker)
    assert await revoke_node(broker, flow.name(1))
    assert await broker.resume(flow.id) == 1
    assert await counts(broker) == (0, 0, 1)
    broker.shift_clock(10_000)
    assert await drain(worker) == [1]


async def test_dead_letters_of_what_runs_again_are_dropped(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(1)
    await flow.put(broker)
    delivery = await fetch_one(worker)
    await end(worker, delivery, dead=b"letter", step=step(delivery, "f"))
    assert [letter.id for letter in await broker.dead_letters(limit=10)] == [flow.name(1)]
    assert await broker.resume(flow.id) == 1
    assert await broker.dead_letters(limit=10) == []
    assert await drain(worker) == [1]


async def test_an_empty_join_after_what_runs_again(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    first = flow.task()
    flow.task(flow.join([], flow.join([], first)))
    await flow.put(broker)
    assert await drain(worker, fails=[1]) == [1]
    assert await states(broker, flow.id) == "fuuu"
    assert await broker.resume(flow.id) == 4
    assert await drain(worker) == [1, 4]
    assert await states(broker, flow.id) == "dddd"


async def test_handlers_are_called_for_another_failure(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    handler = flow.handler()
    flow.task(on_error=[handler])
    await flow.put(broker)
    assert await drain(worker, fails=[2]) == [2, handler]
    assert await broker.resume(flow.id) == 1
    assert await drain(worker, fails=[2]) == [2, handler]
    assert await broker.resume(flow.id) == 1
    assert await drain(worker) == [2]


async def test_a_name_holds_again(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.task(name="mine")
    await flow.put(broker)
    assert await drain(worker, fails=[1]) == [1]
    assert await broker.resume(flow.id) == 1
    assert await broker.place("mine") == (flow.id, 1)
    assert await drain(worker) == [1]
    assert await broker.place("mine") == (flow.id, 1), "also after its end"
    assert await broker.forget(["mine"]) == [True]
    assert await broker.place("mine") is None


async def test_a_graft_goes_on_where_it_failed(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, graft = await consumer(), Flow(), Flow()
    first, second = flow.chain(2)
    graft.chain(2)
    graft.task(2, name=flow.name(first))
    await flow.put(broker)
    await graft.put(broker, held=True, names={})
    await becomes(worker, await fetch_one(worker), graft.id)
    assert await drain(worker, fails=[2]) == [1, 2]
    assert (await states(broker, flow.id), await states(broker, graft.id)) == ("fu", "dfu")
    assert await broker.resume(flow.id) == 4
    assert (await states(broker, flow.id), await states(broker, graft.id)) == ("q.", "dq.")
    assert await drain(worker) == [2, 3, second]
    assert (await states(broker, flow.id), await states(broker, graft.id)) == ("dd", "ddd")


async def test_a_revoked_message_of_a_graft_runs_once(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow, graft = await consumer(), Flow(), Flow()
    first, second = flow.chain(2)
    graft.task(name=flow.name(first))
    await flow.put(broker)
    await graft.put(broker, held=True, names={})
    await becomes(worker, await fetch_one(worker), graft.id)
    assert await revoke_node(broker, flow.name(second))
    assert await broker.resume(flow.id) == 3
    deliveries = await next_tasks(worker)
    assert [(one.id, one.revoked, step(one).workflow) for one in deliveries] == [(flow.name(first), False, graft.id)]
    await done(worker, deliveries[0])
    assert await drain(worker) == [2]
    assert await states(broker, flow.id) == "dd"


async def test_what_is_revoked_again_after_it_was_resumed(broker: Broker, consumer: MakeConsumer) -> None:
    worker, flow = await consumer(), Flow()
    flow.chain(2)
    await flow.put(broker)
    for _ in range(3):
        assert await revoke_node(broker, flow.name(2))
        assert await states(broker, flow.id) == "rr"
        assert await broker.resume(flow.id) == 2
        assert await states(broker, flow.id) == "q."
    assert await drain(worker) == [1, 2]
    assert await counts(broker) == (0, 0, 0)


async def test_both_brokers_show_the_same(redis_url: str) -> None:
    shown = [await shown_by(broker) for broker in (MemoryBroker(), RedisBroker(redis_url, "tests"))]
    for look, (memory, redis) in enumerate(zip(*shown, strict=True)):
        same = len(commonprefix([memory, redis]))  # noqa: RUF071 - it is about characters
        assert memory[same:][:200] == redis[same:][:200], f"{look}: after {memory[:same][-200:]}"


async def shown_by(broker: Broker) -> list[str]:
    """All that a broker says of workflows to which everything has happened."""
    await broker.open()
    worker = broker.consumer(worker_status("w"), visibility_timeout=30, dead_letters_max_length=10)
    await worker.join()
    flow, graft, more = Flow(), Flow(), Flow()
    handler = flow.handler()
    first = flow.task(on_error=[handler], priority=2, delay=1)
    members, join = flow.group(600, first)
    flow.task(flow.join([flow.chain(2, join)[-1], flow.join([], join)], join, lenient=True), on_error=[handler])
    graft.chain(2)
    more.chain(2)
    await flow.put(broker)
    await graft.put(broker, held=True)
    await more.put(broker, held=True)
    shown: list[str] = []

    async def look() -> None:
        while await worker.promote() == 0:
            pass
        for one in (flow, graft, more):
            found = await broker.workflow(one.id)
            if found is not None:
                found.nodes = dict(sorted(found.nodes.items()))
                found.states = dict(sorted(found.states.items()))
                found.to = dict(sorted(found.to.items()))
                found.members = dict(sorted(found.members.items()))
                found.grafts = dict(sorted(found.grafts.items()))
                found.calls = dict(sorted(found.calls.items()))
            text = repr(found)
            for name, other in (("flow", flow), ("graft", graft), ("more", more)):
                text = text.replace(other.id, name)
            shown.append(text)

    await look()
    broker.shift_clock(1_000)
    [delivery] = await next_tasks(worker)
    await done(worker, delivery)
    await look()
    one, two, three, *others = sorted(await next_tasks(worker), key=number)
    await becomes(worker, one, graft.id)
    await adds(worker, two, join, more.id)
    await failed(worker, three)
    for other in others:
        await done(worker, other)
    await look()
    await drain(worker)
    await look()
    await broker.resume(flow.id)
    await look()
    await revoke_node(broker, flow.name(max(flow.nodes)))
    await look()
    await worker.close()
    await broker.close()
    assert len(members) == 600
    return shown


# Stamps


async def test_stamps(broker: Broker, consumer: MakeConsumer) -> None:
    worker = await consumer()
    assert await worker.stamps() == []
    async with listening(worker) as heard:
        before = broker.now()
        await broker.revoke_stamp(b"\x00one", expires=60_000, terminate=True)
        assert await heard.next(StampRevoked) == StampRevoked(terminate=True)
    [(stamp, when)] = await worker.stamps()
    assert stamp == b"\x00one"
    assert before <= when <= broker.now()
    broker.shift_clock(30_000)
    await broker.revoke_stamp(b"two", expires=60_000, terminate=False)
    assert [stamp for stamp, _ in await worker.stamps()] == [b"\x00one", b"two"]
    broker.shift_clock(1)
    await broker.revoke_stamp(b"\x00one", expires=60_000, terminate=False)
    assert [stamp for stamp, _ in await worker.stamps()] == [b"two", b"\x00one"]
    broker.shift_clock(60_001)
    await broker.revoke_stamp(b"three", expires=60_000, terminate=False)
    assert [stamp for stamp, _ in await worker.stamps()] == [b"three"]


async def test_a_graft_of_a_run_that_was_taken_for_dead_leaves_what_has_ended(
    broker: Broker, consumer: MakeConsumer
) -> None:
    """A frozen worker wakes up and stores what its run was replaced by, under ids that its sender chose; another run
    has been replaced by the same meanwhile, and that has ended."""
    worker, flow, late = await consumer(), Flow(), Flow()
    flow.task(name="chosen")
    await flow.put(broker, names={"chosen": 1}, claims=["chosen"])
    delivery = await fetch_one(worker)
    assert await end(worker, delivery, b"ended", step=step(delivery)) is Verdict.APPLIED
    late.task(name="chosen")
    await late.put(broker, held=True, names={"chosen": 1}, claims=["chosen"])
    assert await broker.records(["chosen"]) == [b"ended"]
