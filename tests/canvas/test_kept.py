"""For how long the results of workflows are kept: from their last end on; and what forgetting them leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio
from support.apps import MakeApp

from aioqueue import AioQueue, chain, chord, group
from aioqueue.exceptions import UpstreamFailed

from .stage import Expected, Stage


@pytest_asyncio.fixture
async def brief(make_stage: MakeApp) -> AsyncIterator[Stage]:
    """Results are kept for a second."""
    stage: Any = make_stage(result_expires=1)
    async with stage.working():
        yield stage


async def long_enough(stage: Stage) -> None:
    """Until a result that came just now has expired."""
    plain = await stage.same.send(1)
    assert await plain.get(timeout=10) == 1
    plain = stage.app.result(plain.id)
    await stage.until(lambda: is_gone(plain))


async def is_gone(result: Any) -> bool:
    return (await result.state()) == "PENDING"


async def ended(result: Any) -> bool:
    return await result.ready()


async def test_members_results_wait_for_the_last_one(brief: Stage) -> None:
    canvas = group(
        brief.same.s(1),
        chain(brief.same.s(2), brief.add.s(1)),
        chain(brief.same.s(0), group(brief.same.si(4), brief.same.si(5))),
        brief.replaced.s(3, 4),
        brief.becomes_group.s([1, 2], 10),
        brief.fail.s(),
        chain(brief.fail.s(), brief.same.s()),
        brief.patient.s(9),
    )
    sent = await canvas.send()
    for member in sent.results[:-1]:
        await brief.until(lambda member=member: ended(member))
    await long_enough(brief)
    late = brief.app.result(sent.id)
    assert await late.completed_count() == 5
    assert [await one for one in sent.results[:5]] == [1, 3, [4, 5], 7, [11, 12]]
    brief.gate.open()
    found: Any = await (await late.group()).get(timeout=10, return_exceptions=True)
    assert found[:5] == [1, 3, [4, 5], 7, [11, 12]]
    assert type(found[5]) is Expected
    assert isinstance(found[6], UpstreamFailed)
    assert found[7] == 9
    await brief.until(lambda: is_gone(brief.app.result(sent.results[0].id)))
    await brief.until(lambda: is_gone(brief.app.result(sent.results[-1].id)))


async def test_a_chains_middle_values_wait_for_its_end(brief: Stage) -> None:
    sent = await chain(
        brief.same.s(1), brief.add.s(1), chord([brief.same.s(), brief.patient.s()], brief.tsum.s())
    ).send()
    first, second = sent.parent.parent.parent, sent.parent.parent
    await brief.until(lambda: ended(second))
    await long_enough(brief)
    assert [await first.get(timeout=10), await second.get(timeout=10)] == [1, 2]
    brief.gate.open()
    assert await sent.get(timeout=10) == 4
    assert await first.get(timeout=10) == 1
    await brief.until(lambda: is_gone(brief.app.result(first.id)))


async def test_those_of_a_resumed_one_wait_again(brief: Stage) -> None:
    sent = await group(brief.same.s(1), chain(brief.once.s(2), brief.patient.s())).send()
    with pytest.raises(UpstreamFailed):
        await sent.get(timeout=10)
    await brief.quiet()
    brief.mended = True
    await sent.resume()
    await brief.until(lambda: brief.gate.came)
    await long_enough(brief)
    brief.gate.open()
    assert await brief.app.result(sent.id).get(timeout=10) == [1, 2]


# Forgetting


class Kept:
    """What the broker holds of tasks and workflows."""

    def __init__(self, app: AioQueue, client: Any) -> None:
        self._app = app
        self._client = client

    async def names(self) -> list[str]:
        if self._client is not None:
            keys = [key.decode().partition("}:")[2] for key in await self._client.keys("*")]
            return sorted(key for key in keys if key == "work" or key.startswith(("r:", "wf:", "sent:")))
        store: Any = (await self._app.broker())._store  # type: ignore[attr-defined]
        records, shelf = store.records._records, store.shelf
        return sorted([*records._values, *shelf.flows._values, *shelf.places._values])

    async def is_empty(self) -> bool:
        return not await self.names()


@pytest_asyncio.fixture
async def lasting(make_stage: MakeApp) -> AsyncIterator[Stage]:
    """Results are kept for ever."""
    stage: Any = make_stage(result_expires=None)
    async with stage.working():
        yield stage


@pytest_asyncio.fixture
async def kept(lasting: Stage, broker_url: str) -> AsyncIterator[Kept]:
    client = redis.asyncio.Redis.from_url(broker_url) if broker_url.startswith("redis") else None
    yield Kept(lasting.app, client)
    if client is not None:
        await client.aclose()


CANVASES: dict[str, Any] = {
    "chain": lambda s: chain(*[s.same.si(n) for n in range(10)]),
    "named": lambda s: chain(s.same.s(1), s.same.s().set(task_id="my-step"), s.same.s().set(task_id="my-end")),
    "named group": lambda s: group(s.same.s(1).set(task_id="first"), s.same.s(2), task_id="mine"),
    "named and failed": lambda s: chain(s.fail.s(), s.same.s().set(task_id="mine")),
    "group": lambda s: group(s.same.s(n) for n in range(10)),
    "chord": lambda s: chord([s.same.s(n) for n in range(10)], s.tsum.s()),
    "nested": lambda s: group(chain(s.same.s(1), group(s.same.s(), s.same.s())), chord([s.same.s(1)], s.tsum.s())),
    "replaced": lambda s: group(s.replaced.s(1, 2), s.becomes_chord.s([1, 2], 3), s.count_down.s(1, 5)),
    "grown": lambda s: group(s.grow.s([1, 2], 3), s.grow_by_chord.s([1, 2], 3)),
    "failed": lambda s: chain(s.same.s(1), s.fail.s(), s.same.s()).on_error(s.told.s()),
    "large": lambda s: group(s.same.s(n) for n in range(1200)),
    "alone, replaced by one": lambda s: s.replaced.s(1, 2),
    "alone, replaced by a chain": lambda s: s.becomes_chain.s(1),
    "alone, replaced by a group": lambda s: s.becomes_group.s([1, 2], 3),
    "alone, replaced again and again": lambda s: s.count_down.s(1, 5),
    "replaced at its end": lambda s: chain(s.same.s(1), s.becomes_chain.s().set(task_id="own")),
    "replaced at its end again and again": lambda s: chain(s.same.s(1), s.count_down.s(5).set(task_id="own")),
    "alone, replaced, with an id of its own": lambda s: s.becomes_chain.s(1).set(task_id="own"),
}


@pytest.mark.parametrize("canvas", CANVASES)
@pytest.mark.parametrize("way", ["its result", "its id", "sync"])
async def test_forgetting_a_canvas_leaves_nothing(lasting: Stage, kept: Kept, canvas: str, way: str) -> None:
    sent: Any = await CANVASES[canvas](lasting).send()
    await lasting.outcome(sent)
    assert await kept.names()
    if way == "its result":
        await sent.forget()
    elif way == "its id":
        await lasting.app.result(sent.id).forget()
    else:
        await asyncio.to_thread(sent.sync.forget)
    assert await kept.names() == []


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: [s]], ids=["chain", "group"])
async def test_what_is_forgotten_while_it_runs_leaves_nothing(lasting: Stage, kept: Kept, wrap: Any) -> None:
    steps = chain(
        lasting.same.s(1), lasting.patient.s(), group(lasting.same.s(), lasting.replaced.s(1)), lasting.tsum.s()
    )
    wrapped = wrap(steps)
    canvas: Any = group(*wrapped, lasting.fail.s()) if isinstance(wrapped, list) else wrapped
    sent = await canvas.send()
    await lasting.until(lambda: lasting.gate.came)
    waiting = asyncio.create_task(sent.get(timeout=10)) if canvas is steps else None
    await asyncio.sleep(0)
    await sent.forget()
    assert not [name for name in await kept.names() if name.startswith("r:")]
    lasting.gate.open()
    if waiting is not None:
        assert await waiting == 3
    await lasting.until(kept.is_empty)


async def test_a_step_is_forgotten_alone(lasting: Stage, kept: Kept) -> None:
    sent = await chain(lasting.same.s(1), lasting.add.s(1), lasting.add.s(1)).send()
    await lasting.outcome(sent)
    before = set(await kept.names())
    await lasting.app.result(sent.parent.id).forget()
    gone = before - set(await kept.names())
    assert [name.removeprefix("r:") for name in gone] == [sent.parent.id]
    assert await sent.get(timeout=10) == 3


async def test_an_inner_group_is_forgotten_by_its_members(lasting: Stage, kept: Kept) -> None:
    sent = await chord([lasting.same.s(1), lasting.same.s(2)], lasting.tsum.s()).send()
    await lasting.outcome(sent)
    before = set(await kept.names())
    await sent.parent.forget()
    gone = before - set(await kept.names())
    assert {name.removeprefix("r:") for name in gone} == {one.id for one in sent.parent}
    assert await sent.get(timeout=10) == 3
