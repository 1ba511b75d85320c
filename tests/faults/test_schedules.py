"""Schedules through a network that loses requests and replies, and a server that is killed and frozen: each due time is
sent once (D7)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import pytest
import pytest_asyncio

from aioqueue.beat.claiming import Claimer
from aioqueue.brokers.protocol import Claim, ClaimVerdict, Outgoing, StoredSchedule
from aioqueue.brokers.redis import RedisBroker, keys
from aioqueue.clock import seconds
from aioqueue.exceptions import BrokerUnavailable

from .arena import PATIENCE, Arena, until
from .proxy import Loss, Proxy

NAMES = [f"every:{number}\0" for number in range(20)]
TIMES = 12
STEP = 1000
AN_HOUR = 3_600_000


@pytest_asyncio.fixture
async def brokers(arena: Arena, proxy: Proxy) -> AsyncIterator[list[RedisBroker]]:
    """Two, behind the proxy."""
    made = [RedisBroker(proxy.url, "faults", timeout=PATIENCE) for _ in range(2)]
    for broker in made:
        await broker.open()
    yield made
    for broker in made:
        await broker.close()


def schedule(name: str = "poll", due: int = 1, **about: Any) -> StoredSchedule:
    return StoredSchedule(name=name, definition=b"", due=due, at=due, **{"source": "api", **about})


def claim_of(stored: StoredSchedule) -> Claim:
    """The next of its due times, of which there are so many. A message that was sent twice would be seen."""
    assert stored.due is not None
    more = stored.due < 1 + (TIMES - 1) * STEP
    next_due = stored.due + STEP if more else None
    return Claim(
        name=stored.name,
        revision=stored.revision,
        due=stored.due,
        next_due=next_due,
        next_at=next_due,
        messages=(Outgoing(f"{stored.name}/{stored.due}", "q", 0, b"data"),),
        last_due=stored.due,
        keep=2,
    )


def sent(arena: Arena) -> Counter[str]:
    """The ids of all that is in the queue."""
    entries = cast("list[Any]", arena.server.client.xrange(keys.Keys("faults").stream(keys.stream("q", 0))))
    return Counter(fields[b"i"].decode() for _, fields in entries)


EACH_ONCE = Counter(f"{name}/{1 + number * STEP}" for name in NAMES for number in range(TIMES))


async def run_all(broker: RedisBroker) -> int:
    """Claim what is due until nothing is, whatever happens; returns how many of the claims were the first."""
    first = 0
    while True:
        try:
            due, next_at = await broker.due_schedules(7)
            claims = await broker.claim_schedules(list(map(claim_of, due)), until=broker.now() + 60_000)
        except BrokerUnavailable:
            continue
        first += sum(one.verdict is ClaimVerdict.SENT for one in claims)
        if not due and next_at is None:
            return first


@pytest.mark.parametrize("loss", [Loss.REPLY, Loss.REQUEST])
async def test_a_claim_whose_answer_is_lost_is_applied_once(
    arena: Arena, proxy: Proxy, brokers: list[RedisBroker], loss: Loss
) -> None:
    broker, other = brokers
    assert await broker.put_schedule(schedule(), replace=False)
    [stored], _ = await broker.due_schedules(10)
    rule = proxy.lose(loss, "claim_schedules", times=2)
    [claimed] = await broker.claim_schedules([claim_of(stored)], until=broker.now() + 60_000)
    assert rule.done == 2
    assert claimed.verdict is ClaimVerdict.SENT
    [claimed] = await other.claim_schedules([claim_of(stored)], until=broker.now() + 60_000)
    assert claimed.verdict is ClaimVerdict.GONE
    assert sent(arena) == Counter(["poll/1"])
    [stored] = await broker.schedules()
    assert (stored.runs, stored.recent) == (1, ("poll/1",))


CHANGES: dict[str, Callable[[RedisBroker], Awaitable[object]]] = {
    "put_schedule": lambda broker: broker.put_schedule(schedule("new"), replace=False),
    "remove_schedule": lambda broker: broker.remove_schedule("by hand"),
    "pause_schedule": lambda broker: broker.pause_schedule("by hand", True),
    "declare_schedules": lambda broker: broker.declare_schedules("one", [schedule("by hand")], lease=STEP),
    "sweep_schedules": lambda broker: broker.sweep_schedules(),
    "lead_schedules": lambda broker: broker.lead_schedules("one", lease=60_000),
    "resign_schedules": lambda broker: broker.resign_schedules("one"),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_what_is_repeated_answers_the_same(
    arena: Arena, proxy: Proxy, brokers: list[RedisBroker], name: str
) -> None:
    """As if nothing had been lost: compared with the same in a world where nothing is."""
    answers: list[object] = []
    for broker, loss in zip(brokers, (None, Loss.REPLY), strict=True):
        await broker.erase()
        await broker.put_schedule(schedule("by hand"), replace=False)
        code = [schedule(one, source="code") for one in ("a\0:b", "c")]
        await broker.declare_schedules("gone", code, lease=1)
        await broker.resign_schedules("gone")
        rule = proxy.lose(loss, name) if loss is not None else None
        answers.append(await CHANGES[name](broker))
        assert rule is None or rule.done == 1
        stored = await broker.schedules()
        answers.append([(one.name, one.paused, one.due, one.definition) for one in stored])
    assert answers[:2] == answers[2:]


async def test_requests_and_replies_are_lost_at_random(arena: Arena, proxy: Proxy, brokers: list[RedisBroker]) -> None:
    broker = brokers[0]
    await broker.declare_schedules("one", [schedule(name, source="code") for name in NAMES], lease=60_000)
    for seed, loss in enumerate((Loss.REPLY, Loss.REQUEST)):
        proxy.lose(loss, "claim_schedules", "due_schedules", times=None, chance=0.2, seed=seed)
    first = await asyncio.gather(*map(run_all, brokers))
    proxy.heal()
    assert sent(arena) == EACH_ONCE
    assert sum(first) == len(EACH_ONCE)
    assert {(one.runs, one.due) for one in await broker.schedules()} == {(TIMES, None)}


async def test_the_server_is_killed_again_and_again(arena: Arena, brokers: list[RedisBroker]) -> None:
    """What was answered is not lost with it; what was not is claimed again, by this number or by another scheduler."""
    broker = brokers[0]
    await broker.declare_schedules("one", [schedule(name, source="code") for name in NAMES], lease=60_000)
    running = asyncio.gather(*map(run_all, brokers))
    for kill in range(3):
        await until(lambda: running.done() or sent_so_far(arena) > kill * len(EACH_ONCE) // 4)  # noqa: B023
        arena.server.kill()
        await arena.server.start()
    await asyncio.wait_for(running, 3 * PATIENCE)
    assert sent(arena) == EACH_ONCE
    assert {(one.runs, one.due) for one in await broker.schedules()} == {(TIMES, None)}


def sent_so_far(arena: Arena) -> int:
    return cast(int, arena.server.client.xlen(keys.Keys("faults").stream(keys.stream("q", 0))))


async def test_what_a_frozen_server_reads_too_late_is_not_sent(arena: Arena, brokers: list[RedisBroker]) -> None:
    """The claim stands in its socket, and is read long after the moment until which it was meant."""
    broker = brokers[0]
    assert await broker.put_schedule(schedule(), replace=False)
    [stored], _ = await broker.due_schedules(10)
    moment = broker.now() + 300
    arena.server.freeze()
    claiming = asyncio.create_task(broker.claim_schedules([claim_of(stored)], until=moment))
    await until(lambda: broker.now() > moment)
    arena.server.thaw()
    [claimed] = await claiming
    assert claimed.verdict is ClaimVerdict.LATE
    assert not sent(arena)
    assert await broker.schedules() == [stored]


@pytest.mark.parametrize("by", [-AN_HOUR, AN_HOUR])
async def test_the_clock_of_the_server_is_set(arena: Arena, by: int) -> None:
    """What is due by its clock is fired: not what will be so in an hour, and not nothing for a while."""
    app = arena.app
    await app.schedules.add("poll", app.tasks["work"].s(), 0.1, misfire="all")
    broker = cast(RedisBroker, await app.broker())

    async def is_due() -> bool:
        return bool((await broker.due_schedules(1))[0])

    await until(is_due)
    broker._clock.learn(broker.now() - by, seconds())  # what it said before somebody set it
    claimer = Claimer(app, broker)
    await claimer.fire(0.0)
    assert 0 < claimer.fired < 100


async def test_changes_are_heard_of_again_after_a_cut(arena: Arena, proxy: Proxy, brokers: list[RedisBroker]) -> None:
    """It wakes when it is connected again, for what was changed meanwhile was not heard."""
    listener, other = brokers
    async with aclosing(cast(Any, listener.schedule_changes())) as changes:
        async with asyncio.timeout(PATIENCE):
            await anext(changes)
            for _ in range(2):
                proxy.drop_all("SUBSCRIBE")
                await anext(changes)
            await other.put_schedule(schedule(), replace=False)
            await anext(changes)
