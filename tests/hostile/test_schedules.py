"""One schedule that is forged or broken disturbs no other (D12): it is told of, and set aside alone. A key that all
need holds them up until it is mended, and nothing is lost or sent twice by it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import redis

from aioqueue.brokers.protocol import Claim, ClaimVerdict, Outgoing, StoredSchedule
from aioqueue.brokers.redis import RedisBroker
from aioqueue.brokers.redis.schedule_state import encode_state
from aioqueue.exceptions import AioQueueError

from .world import PREFIX

INNOCENTS = ["first", "second", "third"]
AN_HOUR = 3_600_000


class Store:
    """A store of schedules in which somebody writes what he likes."""

    def __init__(self, broker: RedisBroker, url: str) -> None:
        self.broker = broker
        self.client = redis.Redis.from_url(url)

    def key(self, name: str) -> str:
        return PREFIX + name

    async def put(self, *names: str, queue: str = "q") -> None:
        """Schedules that are due."""
        for name in names:
            assert await self.broker.put_schedule(schedule(name, queue.encode()), replace=False)

    def forge(self, name: str | bytes, state: bytes | None, definition: bytes | None = b"q", score: float = 1) -> None:
        """One that nobody has put."""
        self.client.zadd(self.key("schedules:due"), {name: score})
        for key, value in (("schedules:state", state), ("schedules", definition)):
            if value is None:
                self.client.hdel(self.key(key), name)
            else:
                self.client.hset(self.key(key), name, value)

    async def run(self) -> tuple[list[str], dict[str, str]]:
        """Claim what is due until nothing is; returns what was sent, and what was told of those that cannot be read."""
        sent: list[str] = []
        told: dict[str, str] = {}
        while due := (await self.broker.due_schedules(100))[0]:
            assert not told.keys() & {one.name for one in due}, "it is told of once"
            told |= {one.name: one.problem for one in due if one.problem}
            good = [one for one in due if not one.problem]
            claimed = await self.claim(good)
            assert set(claimed.values()) <= {ClaimVerdict.SENT}
            sent += claimed
        return sent, told

    async def claim(self, schedules: list[StoredSchedule]) -> dict[str, ClaimVerdict]:
        """Claim them, for good."""
        claims = [
            Claim(
                name=one.name,
                revision=one.revision,
                due=one.due or 0,
                next_due=None,
                next_at=None,
                messages=(Outgoing(f"{number}", one.definition.decode(), 0, b"", once=True, call="call"),),
                last_due=one.due,
            )
            for number, one in enumerate(schedules)
        ]
        claimed = await self.broker.claim_schedules(claims, until=self.broker.now() + AN_HOUR)
        return {one.name: done.verdict for one, done in zip(schedules, claimed, strict=True)}


def schedule(name: str, definition: bytes = b"q", **about: Any) -> StoredSchedule:
    return StoredSchedule(name=name, definition=definition, **{"source": "api", "due": 1000, "at": 1000, **about})


@pytest_asyncio.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    broker = RedisBroker(redis_url, "hostile")
    await broker.open()
    store = Store(broker, redis_url)
    yield store
    store.client.close()
    await broker.close()


STATE = ("api", 1000, 1000, False, False, "", (), 0, 0, 1)


def state(**about: Any) -> bytes:
    """A state with some of its fields forged, by their places."""
    values: list[Any] = list(STATE)
    for place, value in about.items():
        values[int(place[1:])] = value
    return msgspec.msgpack.encode(values)


BROKEN: dict[str, bytes | None] = {
    "junk": b"junk",
    "empty": b"",
    "truncated": state()[:7],
    "more after it": state() + state(),
    "a map": msgspec.msgpack.encode({"source": "api"}),
    "a number": b"\x01",
    "no type of msgpack": b"\xc1",
    "nothing in it": b"\x90",
    "too few fields": msgspec.msgpack.encode(STATE[:8]),
    "nested without end": b"\x91" * 5000,
    "a source that is no text": state(_0=7),
    "a due time that is text": state(_1="soon"),
    "a due time that is half": state(_1=0.5),
    "a due time that is true": state(_1=True),
    "no time": msgspec.msgpack.encode([*STATE[:2], None, *STATE[3:]]),
    "a moment that is infinite": state(_2=float("inf")),
    "a moment that is no number": state(_2=float("nan")),
    "paused is a number": state(_3=1),
    "an id that is no text": state(_5="x").replace(b"\xa1x", b"\xa1\xff"),
    "an id that is half a letter": state(_5="ü").replace("ü".encode(), b"\xc3x"),
    "an id that is a surrogate": state(_5="abc").replace(b"abc", b"\xed\xa0\x80"),
    "ids that are a number": state(_6=5),
    "ids that are numbers": state(_6=[1, 2]),
    "ids that are a map": state(_6={"a": "b"}),
    "ids that are lists": state(_6=[["a"]]),
    "a count beyond all": state(_7=2**60),
    "a revision that is text": state(_9="1"),
    "nothing": None,
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("odd", ["broken", b"\xff\x00\n"])
async def test_one_that_cannot_be_read_is_set_aside(store: Store, name: str, odd: str | bytes) -> None:
    await store.put(*INNOCENTS)
    store.forge(odd, BROKEN[name])
    sent, told = await store.run()
    assert sorted(sent) == INNOCENTS
    shown = odd if isinstance(odd, str) else odd.decode(errors="surrogateescape")
    assert list(told) == [shown]
    assert told[shown]
    # It is shown, and its bytes are there, until somebody does something about it.
    found = {one.name: one for one in await store.broker.schedules()}
    assert set(found) - {shown} == set(INNOCENTS)
    if BROKEN[name] is not None:
        assert found[shown].problem
        assert store.client.hget(store.key("schedules:state"), odd) == BROKEN[name]
        with pytest.raises(AioQueueError, match="cannot be read"):
            await store.broker.pause_schedule(shown, True)
    await store.broker.declare_schedules("one", [], lease=AN_HOUR)
    assert await store.broker.sweep_schedules() == []
    assert not (await store.broker.lead_schedules("one", lease=AN_HOUR)).untidy
    assert await store.run() == ([], {})
    assert await store.broker.put_schedule(schedule(shown), replace=True)
    assert await store.run() == ([shown], {})
    assert await store.broker.remove_schedule(shown)
    assert {one.name for one in await store.broker.schedules()} == set(INNOCENTS)


async def test_one_whose_definition_is_lost_is_set_aside(store: Store) -> None:
    await store.put(*INNOCENTS, "broken")
    store.client.hdel(store.key("schedules"), "broken")
    sent, told = await store.run()
    assert (sorted(sent), list(told)) == (INNOCENTS, ["broken"])
    assert "definition" in told["broken"]
    [found] = await store.broker.schedules(["broken"])
    assert "definition" in found.problem


async def test_declared_again_what_was_broken_is_whole(store: Store) -> None:
    code = schedule("a", source="code")
    await store.broker.declare_schedules("one", [code], lease=AN_HOUR)
    store.client.hset(store.key("schedules:state"), "a", b"junk")
    assert (await store.run())[0] == []
    await store.broker.declare_schedules("two", [code], lease=AN_HOUR)
    assert await store.run() == (["a"], {})


async def test_thousands_that_are_broken_hide_nothing(store: Store) -> None:
    await store.put(*INNOCENTS)
    names = [f"{number:04}" for number in range(2500)]
    store.client.zadd(store.key("schedules:due"), dict.fromkeys(names, 1))
    store.client.hset(store.key("schedules:state"), mapping=dict.fromkeys(names, b"junk"))
    sent, told = await store.run()
    assert sorted(sent) == INNOCENTS
    assert sorted(told) == names


@pytest.mark.parametrize("seed", range(3))
async def test_bytes_at_random(store: Store, seed: int) -> None:
    """Whatever is read of them, it ends, and the innocents are sent."""
    rng = random.Random(seed)
    await store.put(*INNOCENTS)
    whole = encode_state(schedule("x", last_id="an id", recent=("one", "two"), last_due=5, revision=2**41))
    for number in range(300):
        changed = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        store.forge(f"{number}", bytes(changed[: rng.randint(1, 2 * len(changed))]))
    sent, told = await store.run()
    assert set(INNOCENTS) <= set(sent)
    assert not set(sent) & set(told)
    listed = {one.name for one in await store.broker.schedules()}
    assert listed >= set(sent) | set(told)
    await store.broker.sweep_schedules()
    assert (await store.run())[0] == []


# What is found by its time


DAMAGED: dict[str, Callable[[Store], Any]] = {
    "the index is lost": lambda s: s.client.delete(s.key("schedules:due")),
    "one is missing": lambda s: s.client.zrem(s.key("schedules:due"), "second"),
    "others are there": lambda s: s.client.zadd(s.key("schedules:due"), {b"\xff": 5e15, "nobody": "inf"}),
}


@pytest.mark.parametrize("name", DAMAGED)
async def test_the_index_is_mended(store: Store, name: str) -> None:
    await store.put(*INNOCENTS)
    await store.broker.declare_schedules("one", [], lease=AN_HOUR)
    assert not (await store.broker.lead_schedules("one", lease=AN_HOUR)).untidy
    DAMAGED[name](store)
    assert (await store.broker.lead_schedules("one", lease=AN_HOUR)).untidy
    assert await store.broker.sweep_schedules() == []
    assert not (await store.broker.lead_schedules("one", lease=AN_HOUR)).untidy
    sent, told = await store.run()
    assert (sorted(sent), told) == (INNOCENTS, {})


async def test_what_others_have_moved_is_sent_at_its_time(store: Store) -> None:
    later = store.broker.now() + AN_HOUR
    for one in (schedule("later", due=later, at=later), schedule("paused", paused=True), schedule("never", at=None)):
        assert await store.broker.put_schedule(one, replace=False)
    store.client.zadd(store.key("schedules:due"), dict.fromkeys(("later", "paused", "never"), 1))
    assert await store.broker.due_schedules(100) == ([], later)
    store.broker.shift_clock(2 * AN_HOUR)
    assert await store.run() == (["later"], {})


# What all need


@pytest.mark.parametrize("key", ["schedules", "schedules:state", "schedules:due"])
async def test_a_key_of_another_kind_holds_all_up_until_it_is_mended(store: Store, key: str) -> None:
    await store.put(*INNOCENTS)
    due = (await store.broker.due_schedules(100))[0]
    name = store.key(key)
    store.client.rename(name, name + "~")
    store.client.rpush(name, "a")
    broker = store.broker
    for asked in (
        lambda: broker.due_schedules(100),
        lambda: store.claim(due),
        lambda: broker.put_schedule(schedule("new"), replace=True),
        lambda: broker.remove_schedule("first"),
        lambda: broker.pause_schedule("first", True),
        lambda: broker.declare_schedules("one", [schedule("new", source="code")], lease=AN_HOUR),
        lambda: broker.sweep_schedules(),
    ):
        with pytest.raises(AioQueueError, match=f"{key} is a list"):
            await asked()
    assert (await broker.lead_schedules("one", lease=AN_HOUR)).leads
    store.client.rename(name + "~", name)
    assert [one.name for one in await broker.schedules()] == INNOCENTS
    sent, told = await store.run()
    assert (sorted(sent), told) == (INNOCENTS, {})
    assert set((await store.claim(due)).values()) == {ClaimVerdict.GONE}


@pytest.mark.parametrize("kind", ["another kind", "junk", "a large number", "missing"])
@pytest.mark.parametrize("key", ["schedules:revision", "schedulers:leader"])
async def test_what_can_be_made_anew_is(store: Store, key: str, kind: str) -> None:
    await store.put(*INNOCENTS)
    await store.broker.lead_schedules("one", lease=AN_HOUR)
    old = (await store.broker.due_schedules(100))[0]
    store.client.delete(store.key(key))
    if kind == "another kind":
        store.client.sadd(store.key(key), "a")
    elif kind != "missing":
        store.client.set(store.key(key), b"\xff\x00" if kind == "junk" else 2**63 - 1)
    assert (await store.broker.lead_schedules("two", lease=AN_HOUR)).leads or key == "schedules:revision"
    for one in old:
        assert await store.broker.put_schedule(schedule(one.name), replace=True)
    assert set((await store.claim(old)).values()) == {ClaimVerdict.GONE}, "an old revision is never one again"
    sent, _ = await store.run()
    assert sorted(sent) == INNOCENTS


async def test_a_lease_without_an_end_is_nobodys(store: Store) -> None:
    store.client.zadd(store.key("schedulers"), {"forged": "inf"})
    store.client.set(store.key("schedulers:leader"), "forged")
    assert (await store.broker.lead_schedules("one", lease=AN_HOUR)).leads
    assert "one" in await store.broker.schedulers()


async def test_schedulers_of_another_kind_are_told_of_and_lose_nothing(store: Store) -> None:
    await store.put(*INNOCENTS)
    await store.broker.declare_schedules("one", [schedule("code", source="code")], lease=AN_HOUR)
    name = store.key("schedulers")
    store.client.rename(name, name + "~")
    store.client.set(name, "x")
    for asked in (
        lambda: store.broker.lead_schedules("one", lease=AN_HOUR),
        lambda: store.broker.resign_schedules("one"),
        lambda: store.broker.sweep_schedules(),
    ):
        with pytest.raises(AioQueueError, match="schedulers is a string"):
            await asked()
    sent, _ = await store.run()  # nobody has to lead for that
    assert sorted(sent) == ["code", *INNOCENTS]
    store.client.rename(name + "~", name)
    lead = await store.broker.lead_schedules("one", lease=AN_HOUR)
    assert (lead.leads, lead.known) == (True, True)


async def test_what_one_stands_for_cannot_be_looked_at(store: Store) -> None:
    """Then nothing is dropped for which it may stand."""
    await store.broker.declare_schedules("one", [schedule("code", source="code")], lease=AN_HOUR)
    store.client.set(store.key("scheduler:one"), "x")
    assert await store.broker.sweep_schedules() == []
    assert [one.name for one in await store.broker.schedules()] == ["code"]


@pytest.mark.parametrize("key", ["q:broken:0", "delayed", "wf:names", "sent:0"])
async def test_what_cannot_be_sent_for_now_holds_up_nothing_else(store: Store, key: str) -> None:
    """`0` is the id of the first that is claimed: all but a queue and an id are what each such message needs."""
    await store.put("broken", queue="broken")
    await store.put(*INNOCENTS)
    store.client.rpush(store.key(key), "a")
    due = sorted((await store.broker.due_schedules(100))[0], key=lambda one: one.name)
    claimed = await store.claim(due)
    blocked = {"broken"} if ":" in key and key != "wf:names" else {"broken", *INNOCENTS}
    assert {name for name, verdict in claimed.items() if verdict is ClaimVerdict.BLOCKED} == blocked
    assert {claimed[name] for name in claimed if name not in blocked} <= {ClaimVerdict.SENT}
    store.client.delete(store.key(key))
    sent, told = await store.run()
    assert (set(sent), told) == (blocked, {})
