"""Schedules: what is due, sending it once, and who sees to it. Each store of schedules passes this whole."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import pytest

from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.protocol import ABANDONED_AFTER, MOST_MESSAGES, Claim, ClaimVerdict

from .schedule_steps import GONE, LEASE, SENT, Stage, claim, id_of, own, waking
from .steps import AN_HOUR, blocks, message

pytestmark = pytest.mark.needs("schedules")

A_SECOND = 1000
A_MINUTE = 60 * A_SECOND

# What there is


async def test_what_is_put_is_there_as_it_was(stage: Stage) -> None:
    data = bytes(range(256)) + b"\n\x00"
    given = stage.schedule(after=AN_HOUR, jitter=5, definition=data, paused=True)
    assert await stage.store.put_schedule(given, replace=False)
    found = await stage.get()
    assert msgspec.structs.replace(found, revision=0) == given
    assert await stage.other.schedules() == [found]


ODD = ["", " ", "a:b", "{a}:0:", "}{", "line\nbreak", "NUL\0", "ünï→", "due", "%s$1", "-1", "*", "\x7f" * 300]


async def test_names_are_data(stage: Stage) -> None:
    for name in ODD:
        await stage.put(name, definition=b"of " + name.encode())
    assert await stage.names() == sorted(ODD)
    assert sorted(await stage.due()) == sorted(ODD)
    claims = [claim(one) for one in await stage.store.schedules(ODD)]
    assert await stage.claim(*claims) == [SENT] * len(ODD)
    assert sorted(await stage.deliver()) == sorted(one.messages[0].id for one in claims)
    assert [one.definition for one in await stage.store.schedules(ODD)] == [b"of " + name.encode() for name in ODD]
    for name in ODD:
        assert await stage.store.pause_schedule(name, True)
        assert await stage.store.remove_schedule(name)
    assert await stage.store.schedules() == []


async def test_names_that_are_declared_are_data(stage: Stage) -> None:
    await stage.declare(":one\0{}", *ODD)
    assert await stage.names() == sorted(ODD)
    await stage.store.resign_schedules(":one\0{}")
    assert await stage.store.sweep_schedules() == sorted(ODD)


async def test_one_that_does_not_exist(stage: Stage) -> None:
    await stage.put("other")
    assert await stage.store.schedules(["none", "other", "none"]) == [await stage.get("other")]
    assert not await stage.store.remove_schedule("none")
    assert not await stage.store.pause_schedule("none", True)
    assert not await stage.store.pause_schedule("none", False, due=1, at=1)


async def test_a_name_that_is_taken_stays(stage: Stage) -> None:
    before = await stage.put()
    assert not await stage.store.put_schedule(stage.schedule(definition=b"other"), replace=False)
    assert await stage.get() == before


async def test_what_takes_the_place_of_another_goes_on_with_its_counts(stage: Stage) -> None:
    before = await stage.put()
    assert await stage.claim(claim(before, missed=3)) == [SENT]
    assert await stage.store.pause_schedule("poll", True)
    before = await stage.get()
    later = stage.schedule(after=2 * AN_HOUR, jitter=7, definition=b"other")
    assert await stage.store.put_schedule(later, replace=True)
    found = await stage.get()
    assert (found.definition, found.due, found.at) == (b"other", later.due, later.at)
    kept = ("paused", "last_due", "last_id", "recent", "runs", "misfires")
    assert [getattr(found, name) for name in kept] == [getattr(before, name) for name in kept]
    assert (found.paused, found.runs, found.misfires) == (True, 1, 3)
    stage.pass_time(3 * AN_HOUR)
    assert await stage.due() == []


async def test_what_is_removed_is_forgotten(stage: Stage) -> None:
    old = await stage.put()
    assert await stage.store.remove_schedule("poll")
    assert (await stage.store.schedules(), await stage.due(), await stage.next_at()) == ([], [], None)
    assert not await stage.store.remove_schedule("poll")
    new = await stage.put()
    assert (new.runs, new.last_id) == (0, "")
    assert new.revision != old.revision


async def test_thousands(stage: Stage) -> None:
    names = [f"{number:04}" for number in range(2500)]
    await stage.declare("one", *(stage.code(name, after=0, definition=b"x" * 300) for name in names))
    assert await stage.names() == names
    assert [one.name for one in await stage.store.schedules(names[::-1])] == names[::-1]
    due: list[str] = []
    while len(due) < len(names):
        page = await stage.due(5000, skip=len(due))
        assert 0 < len(page) <= 1000
        due += page
    assert due == names
    claims = [claim(one) for one in await stage.store.schedules()]
    assert await stage.claim(*claims) == [SENT] * len(names)
    assert await stage.deliver() == [one.messages[0].id for one in claims]
    await stage.declare("two", "other")
    await stage.store.resign_schedules("one")
    assert await stage.store.sweep_schedules() == names
    assert await stage.names() == ["other"]


# What is due


async def test_due_is_what_has_its_time_the_earliest_first(stage: Stage) -> None:
    for name, after in (("b", -2000), ("a", -1000), ("c", -3000), ("later", AN_HOUR), ("never", None)):
        await stage.put(name, after=after)
    assert await stage.due() == ["c", "b", "a"]
    assert await stage.next_at() == (await stage.get("later")).at
    assert await stage.due(2) == ["c", "b"]
    assert (await stage.store.due_schedules(2))[1] == (await stage.get("a")).at
    assert await stage.due(2, skip=1) == ["b", "a"]
    assert (await stage.store.due_schedules(10, skip=3)) == ([], (await stage.get("later")).at)
    stage.pass_time(AN_HOUR)
    assert await stage.due() == ["c", "b", "a", "later"]
    assert await stage.next_at() is None


async def test_jitter_is_waited_for(stage: Stage) -> None:
    stored = await stage.put(after=-A_SECOND, jitter=AN_HOUR)
    assert await stage.due() == []
    assert await stage.next_at() == stored.at
    stage.pass_time(AN_HOUR)
    assert await stage.due() == ["poll"]


async def test_nothing_is_due_where_there_is_nothing(stage: Stage) -> None:
    assert await stage.store.due_schedules(100) == ([], None)


async def test_one_that_is_paused_is_not_due(stage: Stage) -> None:
    before = await stage.put()
    await stage.put("other", after=AN_HOUR)
    assert await stage.store.pause_schedule("poll", True)
    paused = await stage.get()
    assert paused.paused
    assert (paused.due, paused.at) == (before.due, before.at)
    assert (await stage.due(), await stage.next_at()) == ([], (await stage.get("other")).at)
    stage.pass_time(A_SECOND)
    assert await stage.store.pause_schedule("poll", False, due=stage.now() - 1, at=stage.now())
    resumed = await stage.get()
    assert not resumed.paused
    assert resumed.due is not None
    assert resumed.due > paused.due
    assert await stage.due() == ["poll"]
    assert len({before.revision, paused.revision, resumed.revision}) == 3


async def test_what_is_paused_or_resumed_already_stays_as_it_is(stage: Stage) -> None:
    before = await stage.put()
    assert await stage.store.pause_schedule("poll", False, due=1, at=1)
    assert await stage.get() == before
    assert await stage.store.pause_schedule("poll", True)
    paused = await stage.get()
    assert await stage.store.pause_schedule("poll", True)
    assert await stage.get() == paused


async def test_a_due_time_of_another_definition_resumes_nothing(stage: Stage) -> None:
    await stage.put(paused=True)
    read = await stage.get()
    assert await stage.store.put_schedule(stage.schedule(definition=b"other"), replace=True)
    assert not await stage.store.pause_schedule("poll", False, due=1, at=1, revision=read.revision)
    found = await stage.get()
    assert found.paused
    assert await stage.store.pause_schedule("poll", False, due=None, at=None, revision=found.revision)
    assert (await stage.get()).due is None
    assert await stage.due() == []


# Claims


async def test_a_due_time_is_sent_once(stage: Stage) -> None:
    stored = await stage.put()
    mine = claim(stored)
    assert await stage.claim(mine) == [SENT]
    assert await stage.claim(mine, line=stage.other) == [GONE]
    assert await stage.claim(mine) == [GONE]
    assert await stage.deliver() == [id_of(stored)]
    found = await stage.get()
    assert (found.due, found.at) == (mine.next_due, mine.next_at)
    assert (found.last_due, found.last_id, found.recent) == (stored.due, id_of(stored), (id_of(stored),))
    assert (found.runs, found.misfires, found.revision) == (1, 0, stored.revision)
    assert (await stage.due(), await stage.next_at()) == ([], mine.next_at)


async def test_of_claims_that_come_together_one_is_first(stage: Stage) -> None:
    stored = await stage.put()
    mine = claim(stored)
    assert await stage.claim(mine, mine) == [SENT, GONE]
    again = claim(await stage.get(), then=None)
    found = await asyncio.gather(
        *(stage.claim(again, line=line) for line in (stage.store, stage.other) for _ in range(5))
    )
    assert Counter(verdict for one in found for verdict in one) == {SENT: 1, GONE: 9}
    assert await stage.deliver() == [id_of(stored), again.messages[0].id]


async def test_a_claim_is_for_a_schedule_as_it_was_read(stage: Stage) -> None:
    stored = await stage.put()
    gone = [claim(stored)]
    assert await stage.store.put_schedule(stored, replace=True)
    assert await stage.claim(*gone) == [GONE]
    gone.append(claim(await stage.get()))
    assert await stage.store.pause_schedule("poll", True)
    assert await stage.claim(*gone) == [GONE] * 2
    assert await stage.store.pause_schedule("poll", False, due=stored.due, at=stored.at)
    assert await stage.claim(*gone) == [GONE] * 2
    gone.append(claim(await stage.get()))
    assert await stage.store.remove_schedule("poll")
    assert await stage.claim(*gone) == [GONE] * 3
    assert await stage.store.put_schedule(stored, replace=False)
    assert await stage.claim(*gone) == [GONE] * 3
    assert await stage.deliver() == []
    assert await stage.claim(claim(await stage.get())) == [SENT]


async def test_a_due_time_can_be_left_out(stage: Stage) -> None:
    stored = await stage.put()
    assert await stage.claim(claim(stored, messages=(), last_due=None, missed=7)) == [SENT]
    found = await stage.get()
    assert (found.runs, found.misfires, found.last_due, found.last_id) == (0, 7, None, "")
    assert await stage.deliver() == []


async def test_several_due_times_at_once(stage: Stage) -> None:
    stored = await stage.put()
    assert await stage.claim(claim(stored, "a", "b", "c", keep=2, then=None)) == [SENT]
    found = await stage.get()
    assert (found.runs, found.recent, found.last_id) == (3, ("b", "c"), "c")
    assert (found.due, found.at) == (None, None)
    assert (await stage.due(), await stage.next_at()) == ([], None)
    assert await stage.deliver() == ["a", "b", "c"]


async def test_so_many_recent_ids_are_kept_as_are_asked_for(stage: Stage) -> None:
    await stage.put()
    for number, keep, recent in ((1, 2, "1"), (2, 2, "12"), (3, 2, "23"), (4, 0, ""), (5, 9, "5"), (6, 9, "56")):
        assert await stage.claim(claim(await stage.get(), str(number), keep=keep)) == [SENT]
        assert (await stage.get()).recent == tuple(recent)


async def test_after_its_moment_a_claim_sends_nothing(stage: Stage) -> None:
    stored = await stage.put()
    until = stage.now() + 2 * A_SECOND
    stage.pass_time(3 * A_SECOND)
    late = await stage.claimed(claim(stored), claim(stored), until=until)
    assert [one.verdict for one in late] == [ClaimVerdict.LATE] * 2
    assert await stage.get() == stored
    assert await stage.deliver() == []
    assert await stage.claim(claim(stored), until=stage.now() + A_MINUTE) == [SENT]


async def test_of_a_task_that_waits_or_runs_nothing_more_is_sent(stage: Stage) -> None:
    """As when somebody has triggered it under the same id; the due time has its task."""
    stored = await stage.put()
    assert await stage.claim(claim(stored)) == [SENT]
    assert await stage.store.remove_schedule("poll")
    same = msgspec.structs.replace(stage.schedule(), due=stored.due, at=stored.at)
    assert await stage.store.put_schedule(same, replace=False)
    again = await stage.get()
    assert id_of(again) == id_of(stored)
    assert await stage.claim(claim(again)) == [SENT]
    assert await stage.deliver() == [id_of(stored)]


async def test_one_whose_id_is_that_of_another_call_is_refused_alone(stage: Stage) -> None:
    stored = [await stage.put(name) for name in "abc"]
    assert await stage.claim(claim(await stage.put("holder"), own(stored[1]))) == [SENT]
    other = msgspec.structs.replace(own(stored[1]), call="another")
    claims = [claim(stored[0]), claim(stored[1], "more", other), claim(stored[2])]
    found = await stage.claimed(*claims)
    assert [one.verdict for one in found] == [SENT, ClaimVerdict.REFUSED, SENT]
    assert id_of(stored[1]) in found[1].reason
    assert await stage.get("b") == stored[1]
    assert await stage.deliver() == [id_of(stored[n]) for n in (1, 0, 2)]


async def test_a_queue_that_is_full_refuses_alone(stage: Stage) -> None:
    stored = [await stage.put(name) for name in "abcd"]
    many = [message(f"many-{n}", queue="full") for n in range(3)]
    claims = [
        claim(stored[0], message("first", queue="full")),
        claim(stored[1], message("free", queue="free"), *many),
        claim(stored[2], message("second", queue="full")),
        claim(stored[3], message("third", queue="full")),
    ]
    full = ClaimVerdict.FULL
    assert await stage.claim(*claims, max_length=2) == [SENT, full, SENT, full]
    assert [await stage.get(name) for name in "bd"] == [stored[1], stored[3]]
    assert await stage.deliver() == ["first", "second"]


@pytest.mark.parametrize("then", [0, -1])
async def test_time_goes_on(stage: Stage, then: int) -> None:
    """Else the same due time would be sent again and again."""
    stored = await stage.put()
    [found] = await stage.claimed(claim(stored, then=then))
    assert found.verdict is ClaimVerdict.REFUSED
    assert "not later" in found.reason
    assert await stage.get() == stored
    assert await stage.deliver() == []


async def test_as_many_messages_as_one_step_takes(stage: Stage) -> None:
    stored = await stage.put()
    ids = [f"{n:04}" for n in range(MOST_MESSAGES + 1)]
    [found] = await stage.claimed(claim(stored, *ids))
    assert found.verdict is ClaimVerdict.REFUSED
    assert str(MOST_MESSAGES) in found.reason
    assert await stage.claim(claim(stored, *ids[1:])) == [SENT]
    assert await stage.deliver() == ids[1:]


async def test_a_message_that_cannot_be_written_down_is_refused_alone(stage: Stage) -> None:
    """As when a name was forged, and an id made of it."""
    stored = [await stage.put(name) for name in "abc"]
    found = await stage.claimed(claim(stored[0]), claim(stored[1], message("\udcff", data=b"forged")), claim(stored[2]))
    assert [one.verdict for one in found] == [SENT, ClaimVerdict.REFUSED, SENT]
    assert "no text" in found[1].reason
    assert await stage.get("b") == stored[1]
    assert await stage.deliver() == [id_of(stored[0]), id_of(stored[2])]


async def test_messages_that_are_due_later_wait(stage: Stage) -> None:
    stored = await stage.put()
    assert await stage.claim(claim(stored, "now", message("later", delay=AN_HOUR))) == [SENT]
    assert await stage.deliver() == ["now"]
    stage.pass_time(AN_HOUR)
    assert await stage.deliver() == ["later"]


async def test_heavy_ones(stage: Stage) -> None:
    """More than goes into one request, of definitions and of messages."""
    stored = [await stage.put(f"{n}", definition=b"x" * 1_500_000) for n in range(8)]
    due: list[str] = []
    while page := await stage.due(skip=len(due)):
        due += page
    assert due == [one.name for one in sorted(stored, key=lambda one: (one.at, one.name))]
    heavy = [claim(one, message(one.name, data=b"y" * 1_500_000)) for one in stored]
    assert await stage.claim(*heavy) == [SENT] * 8
    assert await stage.deliver() == [one.name for one in stored]


async def test_nothing_to_claim(stage: Stage) -> None:
    assert await stage.claim() == []


# What programs declare


async def test_what_is_declared_is_added(stage: Stage) -> None:
    given = [stage.code(name) for name in "ba"]
    assert await stage.declare("one", *given) == []
    found = await stage.store.schedules()
    assert [msgspec.structs.replace(one, revision=0) for one in found] == [given[1], given[0]]


async def test_declared_again_as_it_was_it_is_not_touched(stage: Stage) -> None:
    await stage.declare("one", stage.code("a", after=0), stage.code("b", after=0))
    assert await stage.claim(claim(await stage.get("a"))) == [SENT]
    assert await stage.store.pause_schedule("b", True)
    before = await stage.store.schedules()
    stage.pass_time(5 * A_SECOND)
    await stage.declare("two", "a", "b")
    assert await stage.store.schedules() == before


async def test_declared_again_as_another_it_is_that_from_now_on(stage: Stage) -> None:
    await stage.declare("one", stage.code("a", after=0))
    read = await stage.get("a")
    assert await stage.claim(claim(read, missed=2)) == [SENT]
    assert await stage.store.pause_schedule("a", True)
    new = stage.code("a", after=AN_HOUR, definition=b"new")
    await stage.declare("two", new)
    found = await stage.get("a")
    assert (found.definition, found.due, found.at) == (b"new", new.due, new.at)
    assert (found.paused, found.runs, found.misfires, found.last_id) == (True, 1, 2, id_of(read))
    assert found.revision != read.revision


async def test_what_was_put_by_hand_is_left_alone(stage: Stage) -> None:
    mine = await stage.put("a")
    assert await stage.declare("one", "a", "b") == ["a"]
    assert await stage.get("a") == mine
    assert await stage.store.put_schedule(stage.schedule("b", definition=b"by hand"), replace=True)
    assert await stage.declare("one", "a", "b") == ["a", "b"]
    assert (await stage.get("b")).definition == b"by hand"
    await stage.store.resign_schedules("one")
    assert await stage.store.sweep_schedules() == []
    assert await stage.names() == ["a", "b"]
    assert await stage.store.remove_schedule("b")
    assert await stage.declare("two", "b") == []
    assert (await stage.get("b")).source == "code"


async def test_what_is_removed_by_hand_comes_back_with_the_next_declaration(stage: Stage) -> None:
    await stage.declare("one", "a")
    assert await stage.store.remove_schedule("a")
    await stage.store.sweep_schedules()
    assert await stage.names() == []
    await stage.declare("two", "a")
    assert await stage.names() == ["a"]


async def test_what_has_left_the_code_is_dropped_and_the_rest_stays_as_it_was(stage: Stage) -> None:
    """A program ends, and begins anew with other code."""
    await stage.put("by hand")
    await stage.declare("old", "stays", "goes")
    assert await stage.store.pause_schedule("stays", True)
    before = await stage.get("stays")
    await stage.store.resign_schedules("old")
    await stage.declare("new", "stays", "comes")
    assert await stage.store.sweep_schedules() == ["goes"]
    assert await stage.names() == ["by hand", "comes", "stays"]
    assert await stage.get("stays") == before
    assert await stage.store.sweep_schedules() == []


async def test_while_old_and_new_code_run_what_either_declares_stays(stage: Stage) -> None:
    await stage.declare("old", "both", "old")
    await stage.declare("new", "both", "new")
    for _ in range(3):
        assert await stage.store.sweep_schedules() == []
        stage.pass_time(LEASE - A_MINUTE)
        for scheduler in ("old", "new"):
            assert (await stage.store.lead_schedules(scheduler, lease=LEASE)).known
    await stage.store.resign_schedules("old")
    assert (await stage.store.lead_schedules("new", lease=LEASE)).untidy
    assert await stage.store.sweep_schedules() == ["old"]
    assert not (await stage.store.lead_schedules("new", lease=LEASE)).untidy
    assert await stage.names() == ["both", "new"]


async def test_one_that_is_silent_stands_for_its_own_for_a_while(stage: Stage) -> None:
    """As when the broker was away: nobody could say anything."""
    await stage.declare("silent", "a")
    await stage.declare("other", "b")
    stage.pass_time(LEASE + ABANDONED_AFTER // 2)
    lead = await stage.store.lead_schedules("other", lease=LEASE)
    assert (lead.leads, lead.known, lead.untidy) == (True, True, False)
    assert await stage.store.sweep_schedules() == []
    assert (await stage.store.lead_schedules("silent", lease=LEASE)).known
    stage.pass_time(LEASE + ABANDONED_AFTER)
    assert (await stage.store.lead_schedules("other", lease=LEASE)).untidy
    assert await stage.store.sweep_schedules() == ["a"]
    assert not (await stage.store.lead_schedules("silent", lease=LEASE)).known
    assert await stage.names() == ["b"]


async def test_declaring_is_a_sign_of_life(stage: Stage) -> None:
    await stage.declare("one", "a", lease=2 * LEASE)
    assert await stage.store.schedulers() == ["one"]
    stage.pass_time(2 * LEASE - A_MINUTE)
    assert await stage.store.schedulers() == ["one"]
    await stage.declare("one", lease=LEASE)
    stage.pass_time(LEASE - A_MINUTE)
    assert await stage.store.schedulers() == ["one"]
    stage.pass_time(2 * A_MINUTE)
    assert await stage.store.schedulers() == []
    assert await stage.declare("nothing") == []


# Who sees to it


async def test_who_has_declared_nothing_yet_is_not_known(stage: Stage) -> None:
    """However often it has led: it may have been forgotten, and has not heard of it."""
    for _ in range(2):
        assert not (await stage.store.lead_schedules("one", lease=LEASE)).known
    await stage.declare("one")
    assert (await stage.store.lead_schedules("one", lease=LEASE)).known
    assert await stage.store.sweep_schedules() == []
    assert (await stage.store.lead_schedules("one", lease=LEASE)).known


async def test_one_leads_and_the_others_wait(stage: Stage) -> None:
    first = await stage.store.lead_schedules("one", lease=LEASE)
    assert (first.leads, first.wait, first.known) == (True, 0, False)
    second = await stage.other.lead_schedules("two", lease=LEASE)
    assert not second.leads
    assert LEASE - A_MINUTE < second.wait <= LEASE
    assert (await stage.store.lead_schedules("one", lease=LEASE)).leads
    assert sorted(await stage.store.schedulers()) == ["one", "two"]


async def test_one_that_leads_goes_on_leading(stage: Stage) -> None:
    for _ in range(3):
        assert (await stage.store.lead_schedules("one", lease=LEASE)).leads
        assert not (await stage.store.lead_schedules("two", lease=LEASE)).leads
        stage.pass_time(LEASE - A_MINUTE)


async def test_when_the_leader_is_silent_another_leads(stage: Stage) -> None:
    await stage.store.lead_schedules("one", lease=LEASE)
    waiting = await stage.store.lead_schedules("two", lease=2 * LEASE)
    stage.pass_time(waiting.wait)
    assert (await stage.store.lead_schedules("two", lease=LEASE)).leads
    assert not (await stage.store.lead_schedules("one", lease=LEASE)).leads
    assert sorted(await stage.store.schedulers()) == ["one", "two"]


async def test_a_leader_that_resigns_is_followed_at_once(stage: Stage) -> None:
    await stage.store.lead_schedules("one", lease=LEASE)
    await stage.store.lead_schedules("two", lease=LEASE)
    async with waking(stage.other) as woken:
        await stage.store.resign_schedules("one")
        await woken()
    assert await stage.store.schedulers() == ["two"]
    assert (await stage.store.lead_schedules("two", lease=LEASE)).leads
    assert not (await stage.store.lead_schedules("one", lease=LEASE)).known


async def test_who_has_resigned_leads_no_more_when_it_comes_back(stage: Stage) -> None:
    await stage.store.lead_schedules("one", lease=LEASE)
    await stage.store.resign_schedules("one")
    await stage.declare("one", "a")
    assert (await stage.store.lead_schedules("two", lease=LEASE)).leads
    assert not (await stage.store.lead_schedules("one", lease=LEASE)).leads


async def test_resigning_twice_or_without_having_been_there(stage: Stage) -> None:
    await stage.store.resign_schedules("nobody")
    await stage.store.lead_schedules("one", lease=LEASE)
    await stage.store.resign_schedules("nobody")
    assert not (await stage.store.lead_schedules("two", lease=LEASE)).leads
    await stage.store.resign_schedules("one")
    await stage.store.resign_schedules("one")
    assert (await stage.store.lead_schedules("two", lease=LEASE)).leads


async def test_leading_is_not_needed_to_claim(stage: Stage) -> None:
    await stage.store.lead_schedules("one", lease=LEASE)
    assert await stage.claim(claim(await stage.put()), line=stage.other) == [SENT]


# Waking


async def test_changes_wake(stage: Stage) -> None:
    async with waking(stage.other) as woken:
        await stage.store.put_schedule(stage.schedule(), replace=False)
        await woken()
        await stage.store.put_schedule(stage.schedule(), replace=True)
        await woken()
        await stage.store.pause_schedule("poll", True)
        await woken()
        await stage.store.pause_schedule("poll", False, due=1, at=1)
        await woken()
        await stage.store.remove_schedule("poll")
        await woken()
        await stage.declare("one", "a", "b")
        await woken()
        await stage.store.resign_schedules("one")
        await woken()
        await stage.declare("two", "b")
        await stage.store.sweep_schedules()
        await woken()


async def test_what_changes_nothing_wakes_nobody(stage: Stage) -> None:
    await stage.declare("one", "a")
    await stage.put()
    async with waking(stage.other) as woken:
        await stage.declare("two", "a")
        await stage.store.put_schedule(stage.schedule(), replace=False)
        await stage.store.remove_schedule("none")
        await stage.store.pause_schedule("none", True)
        await stage.store.pause_schedule("poll", False)
        await stage.store.sweep_schedules()
        await stage.store.lead_schedules("one", lease=LEASE)
        await stage.claim(claim(await stage.get()))
        waiting = asyncio.create_task(woken())
        await blocks(waiting)
        await stage.store.remove_schedule("poll")
        await waiting


async def test_a_clock_that_is_moved_in_memory_wakes() -> None:
    """A scheduler of a test sleeps until something is due, by the clock as it was."""
    broker = MemoryBroker()
    async with waking(broker) as woken:
        broker.shift_clock(1000)
        await woken()


async def test_each_who_listens_is_woken(stage: Stage) -> None:
    async with waking(stage.store) as one, waking(stage.store) as two, waking(stage.other) as three:
        await stage.put()
        for woken in (one, two, three):
            await woken()


def test_a_claim_has_no_other_fields() -> None:
    """What is added to a claim has to be carried by each store: write it there, and then here."""
    assert Claim.__struct_fields__ == (
        *("name", "revision", "due", "next_due", "next_at", "messages", "last_due", "missed", "keep"),
    )
