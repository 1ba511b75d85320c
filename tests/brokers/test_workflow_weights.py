"""Of large tasks, a script begins as many as it may move, and leaves the rest over: others wait meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any
from unittest.mock import AsyncMock

import pytest

from aioqueue.brokers.protocol import Broker, Consumer, Settlement
from aioqueue.brokers.redis import RedisBroker

from .conftest import MakeConsumer
from .flows import Flow, adds, becomes, done, drain, failed, next_tasks, revoke_node, states, step
from .steps import AN_HOUR, counts, fetch_one

LARGE = b" " * 1024 * 1024
MANY = 30
AT_ONCE = 9
"""How many of those make more than what a script moves."""


def heavy(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """Its tasks from now on are large."""
    add = flow._add

    def large(node: Any) -> int:
        n = add(node)
        node.data += LARGE
        return n

    monkeypatch.setattr(flow, "_add", large)
    monkeypatch.setattr("brokers.flows.PART", 2)
    return flow


async def moved(
    broker: Broker, worker: Consumer, step: Awaitable[Any], count: Callable[[], Awaitable[int]] | None = None
) -> int:
    """How many tasks a step moves in all; asserts that it moves few at once, and so does each `promote` after it."""

    async def queued() -> int:
        waiting, running, _ = await counts(broker)
        return waiting + running

    count = count or queued
    counted = [await count()]
    await step
    due: float | None = 0
    while due == 0:
        counted.append(await count())
        due = await worker.promote()
    counted.append(await count())
    if isinstance(broker, RedisBroker):
        assert max(now - before for before, now in pairwise(counted)) <= AT_ONCE
    return counted[-1] - counted[0]


@pytest.fixture
def flow(monkeypatch: pytest.MonkeyPatch) -> Flow:
    return heavy(Flow(), monkeypatch)


async def test_when_it_starts(broker: Broker, consumer: MakeConsumer, flow: Flow) -> None:
    worker = await consumer()
    members, _ = flow.group(MANY)
    assert await moved(broker, worker, flow.put(broker)) == MANY
    assert sorted(await drain(worker)) == members
    assert await states(broker, flow.id) == "d" * (MANY + 1)


async def test_tasks_of_every_kind(broker: Broker, consumer: MakeConsumer, flow: Flow) -> None:
    """Those of which not all is seen at a glance, too."""
    worker, handler = await consumer(), flow.handler()
    members = [flow.task(on_error=[handler], delay=n % 2) for n in range(MANY)]
    flow.task(flow.join(members))
    await moved(broker, worker, flow.put(broker))
    broker.shift_clock(10)  # type: ignore[attr-defined]
    ran: list[int] = []
    while more := await drain(worker):
        ran += more
    assert sorted(ran) == [*members, max(members) + 2]


async def test_after_a_task(broker: Broker, consumer: MakeConsumer, flow: Flow) -> None:
    worker = await consumer()
    first = flow.task()
    members, join = flow.group(MANY, first)
    body = flow.task(join)
    await flow.put(broker)
    assert await moved(broker, worker, done(worker, await fetch_one(worker))) == MANY - 1
    assert sorted(await drain(worker)) == [*members, body]


async def test_after_many_tasks_that_end_at_once(
    broker: Broker, consumer: MakeConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a workflow of its own."""
    worker, flows = await consumer(), [Flow() for _ in range(MANY)]
    for one in flows:
        heavy(one, monkeypatch).chain(2)
        await one.put(broker)
    firsts = await next_tasks(worker)
    ends = [Settlement(one, record=b"done", final=True, expires=AN_HOUR, step=step(one)) for one in firsts]

    async def waiting() -> int:
        return (await counts(broker))[0]

    assert await moved(broker, worker, worker.settle(ends), waiting) == MANY
    assert {await states(broker, one.id) for one in flows} == {"dq"}


@pytest.mark.parametrize("how", [becomes, adds])
async def test_in_the_place_of_a_task(
    broker: Broker, consumer: MakeConsumer, flow: Flow, how: Callable[..., Awaitable[Any]]
) -> None:
    worker, outer = await consumer(), Flow()
    join = outer.join([outer.task()])
    await outer.put(broker)
    members, _ = flow.group(MANY)
    await flow.put(broker, held=True)
    about = (flow.id,) if how is becomes else (join, flow.id)
    assert await moved(broker, worker, how(worker, await fetch_one(worker), *about)) == MANY - 1
    assert sorted(await drain(worker)) == members
    assert await states(broker, outer.id) == ("dd" if how is becomes else "ddd")


async def test_when_it_is_resumed(broker: Broker, consumer: MakeConsumer, flow: Flow) -> None:
    worker = await consumer()
    members, _ = flow.group(MANY)
    await flow.put(broker)
    assert sorted(await drain(worker, lambda _: True)) == members
    assert await moved(broker, worker, broker.resume(flow.id)) == MANY
    assert sorted(await drain(worker)) == members
    assert await states(broker, flow.id) == "d" * (MANY + 1)


@pytest.mark.parametrize("how", ["it fails", "it is revoked"])
async def test_what_will_not_run(
    broker: Broker, consumer: MakeConsumer, flow: Flow, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await consumer()
    # Who revokes does what is left over himself: here it is to be seen.
    monkeypatch.setattr(broker, "_work", AsyncMock(), raising=False)
    first = flow.task()
    members, join = flow.group(MANY, first)
    body = flow.task(join)
    await flow.put(broker)

    async def ended() -> int:
        return sum(record is not None for record in await broker.records([flow.name(n) for n in members]))

    if how == "it fails":
        ending: Awaitable[Any] = failed(worker, await fetch_one(worker))
    else:
        ending = revoke_node(broker, flow.name(body))
    assert await moved(broker, worker, ending, ended) == MANY
    assert set(await states(broker, flow.id)) <= {"f", "u", "r"}
