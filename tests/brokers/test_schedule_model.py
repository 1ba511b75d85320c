"""Schedules in any order of what can happen, compared with a plain model: they are put, declared, paused, resumed and
removed; schedulers come, lead, fall silent, resign and sweep; and each claims what it has read whenever it likes, now
or long after another one has. Each due time is sent at most once, and none is lost.

All moments are whole minutes from the start, so that it does not matter how long a step takes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.waiting import PATIENCE

from aioqueue.brokers.protocol import ABANDONED_AFTER, Claim, ClaimVerdict, StoredSchedule

from .machines import of_broker, run_machine
from .steps import message, worker_status

if TYPE_CHECKING:
    from aioqueue.brokers.protocol import TestableBroker

T = TypeVar("T")

A_MINUTE = 60_000
LEASE = 10
"""In minutes, as all times of the model."""
SILENT = LEASE + ABANDONED_AFTER // A_MINUTE
NAMES = ("a", "b:c", "NUL\0", "ünï")
SCHEDULERS = ("one", "two", "three")

some_name = st.sampled_from(NAMES)
some_names = st.lists(some_name, max_size=3, unique=True)
a_while = st.integers(-5, 40)
some_while = st.none() | a_while
a_definition = st.sampled_from([b"now and then", b"again and again"])
some_scheduler = st.sampled_from(SCHEDULERS)


class Schedule(msgspec.Struct, eq=False):
    """What the model knows of a schedule; `change` is another one with each change."""

    name: str
    definition: bytes
    source: str
    due: int | None
    at: int | None
    paused: bool
    change: int
    last_due: int | None = None
    recent: tuple[str, ...] = ()
    runs: int = 0
    misfires: int = 0


class Held(msgspec.Struct, eq=False):
    """A claim that a scheduler may make at any time, and the change that it is for."""

    claim: Claim
    change: int
    due: int


class Schedules(RuleBasedStateMachine):
    """The rules; `make_broker` is set by a subclass for each broker."""

    def make_broker(self) -> TestableBroker:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.broker = self.make_broker()
        self.run(self.broker.open())
        self.start = self.broker.now()
        self.now = 0
        self.changes = 0
        self.known: dict[str, Schedule] = {}
        self.held: list[Held] = []
        self.ends: dict[str, int] = {}
        self.declared: dict[str, set[str]] = {}
        self.leader = ""
        self.sent: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.consumer = self.broker.consumer(
            worker_status("worker", "q"), visibility_timeout=1e6, dead_letters_max_length=10
        )
        self.run(self.consumer.join())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(3 * PATIENCE):
                return await coroutine

        return self.runner.run(bounded())

    def moment(self, minute: int | None) -> int | None:
        return None if minute is None else self.start + minute * A_MINUTE

    def minute(self, moment: int | None) -> int | None:
        return None if moment is None else (moment - self.start) // A_MINUTE

    def stored(
        self, name: str, definition: bytes, due: int | None, jitter: int, *, source: str, paused: bool = False
    ) -> StoredSchedule:
        at = None if due is None else due + jitter
        return StoredSchedule(
            name=name,
            definition=definition,
            source=source,
            due=self.moment(due),
            at=self.moment(at),
            paused=paused,
        )

    def is_now(self, given: StoredSchedule) -> None:
        """What the model makes of a definition."""
        self.changes += 1
        due, at = self.minute(given.due), self.minute(given.at)
        if (known := self.known.get(given.name)) is not None:
            known.definition, known.source, known.due, known.at = given.definition, given.source, due, at
            known.change = self.changes
        else:
            self.known[given.name] = Schedule(
                given.name, given.definition, given.source, due, at, given.paused, self.changes
            )

    # What is changed

    @initialize(names=some_names)
    def some_are_declared(self, names: list[str]) -> None:
        self.a_scheduler_declares("one", names, b"now and then", 1)

    @rule(
        name=some_name,
        definition=a_definition,
        after=some_while,
        jitter=st.integers(0, 3),
        replace=st.booleans(),
        paused=st.booleans(),
    )
    def one_is_put(
        self, name: str, definition: bytes, after: int | None, jitter: int, replace: bool, paused: bool
    ) -> None:
        due = None if after is None else self.now + after
        given = self.stored(name, definition, due, jitter, source="api", paused=paused)
        done = replace or name not in self.known
        assert self.run(self.broker.put_schedule(given, replace=replace)) is done
        if done:
            self.is_now(given)

    @rule(name=some_name)
    def one_is_removed(self, name: str) -> None:
        assert self.run(self.broker.remove_schedule(name)) is (self.known.pop(name, None) is not None)

    @rule(name=some_name, paused=st.booleans(), after=some_while)
    def one_is_paused_or_resumed(self, name: str, paused: bool, after: int | None) -> None:
        due = None if after is None else self.now + after
        times = {} if paused else {"due": self.moment(due), "at": self.moment(due)}
        known = self.known.get(name)
        assert self.run(self.broker.pause_schedule(name, paused, **times)) is (known is not None)
        if known is not None and known.paused is not paused:
            self.changes += 1
            known.paused, known.change = paused, self.changes
            if not paused:
                known.due = known.at = due

    @rule(scheduler=some_scheduler, names=some_names, definition=a_definition, after=a_while)
    def a_scheduler_declares(self, scheduler: str, names: list[str], definition: bytes, after: int) -> None:
        given = [self.stored(name, definition, self.now + after, 0, source="code") for name in names]
        left_alone = self.run(self.broker.declare_schedules(scheduler, given, lease=LEASE * A_MINUTE))
        by_hand = [name for name in names if name in self.known and self.known[name].source != "code"]
        assert left_alone == by_hand
        self.ends[scheduler] = max(self.ends.get(scheduler, 0), self.now + LEASE)
        self.declared.setdefault(scheduler, set()).update(names)
        for one in given:
            known = self.known.get(one.name)
            if one.name not in by_hand and (known is None or known.definition != definition):
                self.is_now(one)

    # Those who see to it

    @rule(scheduler=some_scheduler)
    def a_scheduler_leads(self, scheduler: str) -> None:
        lead = self.run(self.broker.lead_schedules(scheduler, lease=LEASE * A_MINUTE))
        self.ends[scheduler] = self.now + LEASE
        other = self.leader != scheduler and self.ends.get(self.leader, 0) > self.now
        if not other:
            self.leader = scheduler
        assert (lead.leads, lead.known) == (not other, scheduler in self.declared)
        assert lead.untidy is any(self.is_gone(one) for one in self.ends)
        if other:
            left = (self.ends[self.leader] - self.now) * A_MINUTE
            assert left - A_MINUTE < lead.wait <= left

    def is_gone(self, scheduler: str) -> bool:
        return self.ends[scheduler] + SILENT - LEASE <= self.now

    @rule(scheduler=some_scheduler)
    def a_scheduler_resigns(self, scheduler: str) -> None:
        self.run(self.broker.resign_schedules(scheduler))
        if self.ends.get(scheduler):
            self.ends[scheduler] = -SILENT
            self.declared.pop(scheduler, None)
            self.leader = "" if self.leader == scheduler else self.leader

    @rule()
    def a_scheduler_sweeps(self) -> None:
        dropped = self.run(self.broker.sweep_schedules())
        for scheduler in [one for one in self.ends if self.is_gone(one)]:
            del self.ends[scheduler]
            self.declared.pop(scheduler, None)
        wanted = {name for names in self.declared.values() for name in names}
        unwanted = sorted(one.name for one in self.known.values() if one.source == "code" and one.name not in wanted)
        assert dropped == unwanted
        for name in unwanted:
            del self.known[name]

    # What is due

    @rule(then=some_while, missed=st.integers(0, 3), times=st.integers(0, 2), keep=st.integers(0, 3))
    def a_scheduler_reads_what_is_due(self, then: int | None, missed: int, times: int, keep: int) -> None:
        """It claims that later, or never."""
        for found in self.run(self.broker.due_schedules(100))[0]:
            known = self.known[found.name]
            assert found.due is not None
            assert known.due is not None
            next_due = None if then is None else known.due + max(1, then)
            ids = [f"{found.name}/{found.due}/{found.revision}/{number}" for number in range(times)]
            claim = Claim(
                name=found.name,
                revision=found.revision,
                due=found.due,
                next_due=self.moment(next_due),
                next_at=self.moment(next_due),
                messages=tuple(map(message, ids)),
                last_due=found.due if times else None,
                missed=missed,
                keep=keep,
            )
            self.held.append(Held(claim, known.change, known.due))

    @precondition(lambda self: self.held)
    @rule(numbers=st.lists(st.integers(0, 99), min_size=1, max_size=4), late=st.sampled_from([False, False, True]))
    def a_scheduler_claims(self, numbers: list[int], late: bool) -> None:
        """Some of what was ever read, old and new, perhaps twice."""
        held = [self.held[-1 - number % len(self.held)] for number in numbers]
        until = self.moment(self.now + (-1 if late else 1))
        assert until is not None
        claimed = self.run(self.broker.claim_schedules([one.claim for one in held], until=until))
        assert [one.verdict for one in claimed] == [self.expect(one, late) for one in held]

    def expect(self, held: Held, late: bool) -> ClaimVerdict:
        """What the model makes of a claim."""
        claim, known = held.claim, self.known.get(held.claim.name)
        if late:
            return ClaimVerdict.LATE
        if known is None or (known.change, known.due) != (held.change, held.due):
            return ClaimVerdict.GONE
        known.due = known.at = self.minute(claim.next_due)
        ids = [one.id for one in claim.messages]
        if ids:
            known.last_due = held.due
        known.recent = tuple([*known.recent, *ids][-claim.keep :] if claim.keep else ())
        known.runs += len(ids)
        known.misfires += claim.missed
        self.sent.update(ids)
        return ClaimVerdict.SENT

    @rule(minutes=st.integers(1, LEASE + 2))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes
        self.broker.shift_clock(minutes * A_MINUTE)

    # What must be so at any time

    @invariant()
    def all_are_there_as_they_should_be(self) -> None:
        found = self.run(self.broker.schedules())
        assert [self.as_known(one) for one in found] == [
            msgspec.structs.astuple(msgspec.structs.replace(one, change=0)) for _, one in sorted(self.known.items())
        ]
        assert len({one.revision for one in found}) == len(found)

    def as_known(self, one: StoredSchedule) -> tuple[Any, ...]:
        times = [self.minute(moment) for moment in (one.due, one.at, one.last_due)]
        about = (one.name, one.definition, one.source, times[0], times[1], one.paused, 0)
        return (*about, times[2], one.recent, one.runs, one.misfires)

    @invariant()
    def what_is_due_is_found(self) -> None:
        waiting = sorted((one.at, one.name) for one in self.known.values() if one.at is not None and not one.paused)
        due = [(at, name) for at, name in waiting if at <= self.now]
        found, next_at = self.run(self.broker.due_schedules(100))
        assert [(self.minute(one.at), one.name) for one in found] == due
        assert self.minute(next_at) == (waiting[len(due)][0] if len(due) < len(waiting) else None)

    @invariant()
    def those_that_are_alive_are_known(self) -> None:
        alive = sorted(scheduler for scheduler, end in self.ends.items() if end > self.now)
        assert sorted(self.run(self.broker.schedulers())) == alive

    @invariant()
    def what_is_sent_is_delivered_once(self) -> None:
        while deliveries := self.run(self.consumer.fetch(100, wait=0)):
            self.delivered.update(one.id for one in deliveries)
        assert self.delivered == self.sent
        assert all(times == 1 for times in self.sent.values())

    def teardown(self) -> None:
        self.run(self.consumer.close())
        self.run(self.broker.close())
        self.runner.close()


@pytest.fixture(params=["memory", "redis"])
def machine(request: pytest.FixtureRequest) -> type[Schedules]:
    return of_broker(request, Schedules)


@pytest.mark.timeout(400)  # many steps, on a machine that may be busy
def test_whatever_happens_each_due_time_is_sent_once(machine: type[Schedules]) -> None:
    run_machine(machine, examples=30, steps=25)
