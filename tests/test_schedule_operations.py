"""What schedules cost the server, counted: commands, not time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
import redis.asyncio as aioredis
from support.monitoring import counts
from support.waiting import LONG, until

from aioqueue import AioQueue, every
from aioqueue.beat.definition import stored as as_stored
from aioqueue.beat.scheduler import Scheduler
from aioqueue.brokers.protocol import Claim, ClaimVerdict, Outgoing, StoredSchedule
from aioqueue.brokers.redis import RedisBroker
from aioqueue.periodic import Periodic, Terms

AN_HOUR = 3_600_000


@pytest_asyncio.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker(redis_url, "operations")
    await broker.open()
    yield broker
    await broker.close()


@pytest_asyncio.fixture
async def client(redis_url: str) -> AsyncIterator[aioredis.Redis]:
    async with aioredis.from_url(redis_url) as client:
        yield client


async def declare(broker: RedisBroker, many: int, after: int) -> None:
    """So many schedules, all due at the same moment."""
    due = broker.now() + after
    given = [
        StoredSchedule(name=f"{number:05}", definition=b"definition", source="code", due=due, at=due)
        for number in range(many)
    ]
    await broker.declare_schedules("one", given, lease=AN_HOUR)


def claim_of(stored: StoredSchedule) -> Claim:
    assert stored.due is not None
    sent = Outgoing(f"{stored.name}:{stored.due}", "q", 0, b"data", once=True, call="call")
    next_due = stored.due + AN_HOUR
    about = {"next_due": next_due, "next_at": next_due, "messages": (sent,), "last_due": stored.due, "keep": 1}
    return Claim(name=stored.name, revision=stored.revision, due=stored.due, **about)


def requests(spent: Counter[str]) -> int:
    """How often a client has asked for something."""
    return spent["evalsha"] + spent["eval"]


async def test_thousands_that_are_due_at_once_take_few_requests(broker: RedisBroker, client: aioredis.Redis) -> None:
    await declare(broker, 5000, after=-1)
    before = await counts(client)
    sent = 0
    while due := (await broker.due_schedules(1000))[0]:
        claimed = await broker.claim_schedules(list(map(claim_of, due)), until=broker.now() + AN_HOUR)
        sent += sum(one.verdict is ClaimVerdict.SENT for one in claimed)
    spent = await counts(client) - before
    assert sent == spent["xadd"] - 1 == 5000  # the first of a stream is tried without making it
    # Five pages and a look that finds nothing more; each claim; and the first of each is with the script's text.
    assert requests(spent) <= 6 + 5 + 2
    assert spent.total() <= 5000 * 35


async def test_heavy_ones_come_in_several_pages(broker: RedisBroker) -> None:
    """Others wait while the server puts together what it answers."""
    due = broker.now() - 1
    heavy = [
        StoredSchedule(name=f"{number}", definition=b"x" * 1_500_000, source="api", due=due, at=due)
        for number in range(8)
    ]
    for one in heavy:
        assert await broker.put_schedule(one, replace=False)
    page, next_at = await broker.due_schedules(100)
    assert 1 < len(page) < 8
    assert next_at == due
    assert [one.name for one in await broker.schedules()] == [one.name for one in heavy]


STEPS: dict[str, Callable[[RedisBroker], Awaitable[object]]] = {
    "to lead": lambda broker: broker.lead_schedules("one", lease=AN_HOUR),
    "to wait": lambda broker: broker.lead_schedules("two", lease=AN_HOUR),
    "to look what is due": lambda broker: broker.due_schedules(1000),
    "to put": lambda broker: broker.put_schedule(
        StoredSchedule(name="00000", definition=b"new", source="api", due=None, at=None), replace=True
    ),
    "to pause": lambda broker: broker.pause_schedule("00001", True),
    "to read": lambda broker: broker.schedules(["00002"]),
    "to remove": lambda broker: broker.remove_schedule("00003"),
    "to declare again": lambda broker: declare(broker, 1, after=AN_HOUR),
    "to resign": lambda broker: broker.resign_schedules("one"),
}


async def test_what_a_step_costs_does_not_grow_with_the_schedules(broker: RedisBroker, client: aioredis.Redis) -> None:
    spent: list[dict[str, Counter[str]]] = []
    for many in (10, 10, 10_000):
        await broker.erase()
        await declare(broker, many, after=AN_HOUR)
        spent.append({})
        for name, step in STEPS.items():
            before = await counts(client)
            await step(broker)
            spent[-1][name] = await counts(client) - before
    few, many = spent[1:]  # the scripts are known by then
    assert few == many
    assert {name: requests(one) for name, one in many.items()} == dict.fromkeys(STEPS, 1)


@pytest.mark.parametrize("role", ["to lead", "to wait"])
async def test_an_idle_scheduler_asks_for_little(broker: RedisBroker, client: aioredis.Redis, role: str) -> None:
    """One request is all that it takes to go on living, and the server does a handful of things for it."""
    await declare(broker, 10, after=AN_HOUR)
    await STEPS["to lead"](broker)
    await STEPS[role](broker)
    before = await counts(client)
    await STEPS[role](broker)
    spent = await counts(client) - before
    assert requests(spent) == 1
    assert spent.total() <= 12


# Schedulers, from outside


@asynccontextmanager
async def schedulers(app: AioQueue, broker: RedisBroker, count: int) -> AsyncIterator[list[Scheduler]]:
    """So many of them at work, of which one leads."""
    made = [Scheduler(app, broker) for _ in range(count)]
    running = [asyncio.create_task(one.run()) for one in made]
    try:
        await until(lambda: sum(one.leads for one in made) == 1, LONG)
        await until(lambda: _are_alive(broker, made), LONG)
        yield made
    finally:
        for one in made:
            one.stop()
        await asyncio.gather(*running)


async def _are_alive(broker: RedisBroker, made: list[Scheduler]) -> bool:
    return {one.id for one in made} <= {*await broker.schedulers()}


async def put(app: AioQueue, broker: RedisBroker, many: int, due: int) -> None:
    """So many schedules of a task, all due at the same moment, kept as `app.schedules.add` does."""

    @app.task(name="note")
    async def note(number: int) -> None: ...

    about = {"schedule": every(hours=1), "terms": Terms()}
    found = [Periodic(name=f"{number:05}", canvas=note.s(number), **about) for number in range(many)]
    given = [as_stored(app, one, source="code", now=due - AN_HOUR) for one in found]
    assert {(one.due, one.at) for one in given} == {(due, due)}
    await broker.declare_schedules("somebody", given, lease=AN_HOUR)


SECONDS = 5.0


@pytest.mark.parametrize("many", [10, 10_000])
async def test_idle_schedulers_ask_less_than_once_a_second_each(
    broker: RedisBroker, client: aioredis.Redis, many: int
) -> None:
    """One that leads and two that wait; and it is the same with many schedules."""
    app = AioQueue("operations", broker="redis://nobody.invalid")
    await put(app, broker, many, broker.now() + AN_HOUR)
    async with schedulers(app, broker, 3) as made:
        began, before = time.monotonic(), await counts(client)
        await asyncio.sleep(SECONDS)
        spent = await counts(client) - before
        took = time.monotonic() - began
        assert [one.fired for one in made] == [0, 0, 0]
    asked = requests(spent) + spent["ping"]
    assert 0 < asked <= 3 * (took + 1), spent
    # What the server does for one of them is a handful of things, none of which looks at the schedules one by one.
    assert spent.total() <= 12 * asked, spent


async def test_one_scheduler_sends_thousands_that_are_due_at_once_in_few_requests(
    broker: RedisBroker, client: aioredis.Redis
) -> None:
    app = AioQueue("operations", broker="redis://nobody.invalid")
    await put(app, broker, 5000, broker.now() + 2 * AN_HOUR)
    another = StoredSchedule(name="another", definition=b"", source="api", due=None, at=None)
    assert await broker.put_schedule(another, replace=False)
    async with schedulers(app, broker, 1) as made:
        began, before = time.monotonic(), await counts(client)
        await broker.postpone_leases(2 * AN_HOUR)
        broker.shift_clock(2 * AN_HOUR)
        assert await broker.remove_schedule("another")  # a change: it looks again
        await until(lambda: made[0].fired >= 5000, LONG)
        spent = await counts(client) - before
        took = time.monotonic() - began
    assert made[0].fired == 5000
    assert spent["xadd"] - 1 == await client.xlen("{operations:0}:q:default:0") == 5000
    # Five pages of a thousand, each looked at once and claimed in two steps, and a look that finds nothing more. The
    # first request of a script is made twice, for its text; and it goes on asking whether it leads.
    assert requests(spent) <= 5 * (1 + 2) + 1 + 5 + 2 * (took + 1), spent
