"""Schedules: what is due when, who sees to it, and the one step that sends what is due.

A scheduler is a coroutine that looks for what is due and sends it. There may be any number of them. Each takes part by
`lead_schedules`, again and again within its lease; one of them leads, and the others wait for that one to be gone. That
is for economy only. What keeps promise D7 is the claim: it names the due time that it is for, and is applied only while
that one is the schedule's next. So a due time is sent once, however many claim it, and none is lost with who claims it.

All times are ms since the epoch, by the broker's clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import Enum
from typing import Protocol

import msgspec

from aioqueue.brokers.protocol.data import Lengths, Outgoing

ABANDONED_AFTER = 60_000
"""A scheduler that was silent for so many ms after the end of its lease stands for nothing any more."""

MOST_MESSAGES = 1000
"""In one claim."""

FROM_CODE = "code"
"""The source of schedules that programs declare; all others are somebody's who has put them there."""


class StoredSchedule(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A schedule as it is kept.

    Attributes:
        name: its name, which is data: any text.
        definition: what is to be done, and when; the broker does not look into it.
        source: "code" when programs declare it, else who has put it there: "api".
        due: its next due time; None: never again.
        at: when that is to be sent: `due` and its jitter.
        paused: nothing of it is sent, until it is resumed.
        last_due: the latest due time that was sent.
        last_id: the task that was sent for it.
        recent: the tasks that were sent last, newest last, as many as the last claim has asked for.
        runs: how many were sent.
        misfires: how many due times were left out.
        revision: another one with each change of its definition or source, with each pause and each resume; never used
            again for one of this name. The broker's own.
        problem: why what is stored of it cannot be read; then all else but its name is made up, and it is never due.
    """

    name: str
    definition: bytes
    source: str
    due: int | None
    at: int | None
    paused: bool = False
    last_due: int | None = None
    last_id: str = ""
    recent: tuple[str, ...] = ()
    runs: int = 0
    misfires: int = 0
    revision: int = 0
    problem: str = ""


class Claim(msgspec.Struct, kw_only=True, frozen=True):
    """Sending one due time of a schedule, or leaving it out.

    Attributes:
        name: the schedule.
        revision, due: as they were read: if they are not what is stored, nothing happens.
        next_due, next_at: what comes after it. Later than `due`, or None: never again.
        messages: sent in the same step, 1,000 at most; none when the due time is left out.
        last_due: the latest due time that these messages stand for; None leaves what is stored.
        missed: how many due times are left out: added to its misfires.
        keep: how many recent ids are kept.
    """

    name: str
    revision: int
    due: int
    next_due: int | None
    next_at: int | None
    messages: tuple[Outgoing, ...] = ()
    last_due: int | None = None
    missed: int = 0
    keep: int = 0


class ClaimVerdict(Enum):
    """What became of a claim. Unless it was sent, nothing of it has happened."""

    SENT = "1"
    """Its messages are sent, or dropped where their tasks wait or run (`Outgoing.once`); what comes next is noted."""
    GONE = "g"
    """Its due time is not the schedule's next one any more: another scheduler was first, or the schedule is another
    one now, paused, or removed."""
    LATE = "l"
    """It came after the moment until which it was meant."""
    FULL = "f"
    """A queue would hold more messages than it may."""
    BLOCKED = "b"
    """For now a key that others need too is not what it should be. It may be claimed again."""
    REFUSED = "x"
    """It can never be applied as it is: a message's id is that of another call, or the claim itself is none."""


class Claimed(msgspec.Struct, frozen=True):
    """What became of a claim; and why, where it is blocked or refused."""

    verdict: ClaimVerdict
    reason: str = ""


class Lead(msgspec.Struct, frozen=True, kw_only=True):
    """What a scheduler hears when it asks to lead.

    Attributes:
        leads: it does, until its lease ends.
        wait: otherwise so many ms, after which the lease of the one that leads ends if it says nothing more.
        known: it stands for what it has declared, be that nothing. Else it has to declare it (again): it never has, it
            has resigned, or was silent for so long that it was forgotten.
        untidy: `sweep_schedules` has something to do: schedulers are gone, or an index is damaged.
    """

    leads: bool
    wait: int = 0
    known: bool = True
    untidy: bool = False


class Schedules(Protocol):
    """The schedules, and those who see to them."""

    # What there is

    async def put_schedule(self, schedule: StoredSchedule, *, replace: bool) -> bool:
        """Add a schedule, or with `replace` take the place of the one of that name: that it is paused, and what is
        counted of it, stays. Taking the place of one that is declared by programs makes it the one who puts it: they
        leave it alone until it is removed.

        Returns:
            False: the name is taken, nothing is changed.
        """
        ...

    async def schedules(self, names: Sequence[str] | None = None) -> list[StoredSchedule]:
        """All schedules by name; or those that there are of some names, in the order in which they were asked for."""
        ...

    async def remove_schedule(self, name: str) -> bool:
        """Drop a schedule. One that programs declare comes back with the next that does so. False: there is none."""
        ...

    async def pause_schedule(
        self, name: str, paused: bool, *, due: int | None = None, at: int | None = None, revision: int | None = None
    ) -> bool:
        """Pause a schedule, or resume it with its next due time. Pausing one that is paused, or resuming one that is
        not, changes nothing.

        Args:
            due, at: what comes next, when it is resumed. A pause leaves what is stored.
            revision: the one for which `due` was computed; if there is another by now, nothing is changed.

        Returns:
            False: there is none (or another one).
        """
        ...

    # What programs declare

    async def declare_schedules(self, scheduler: str, schedules: Sequence[StoredSchedule], *, lease: int) -> list[str]:
        """The schedules of a program's code, for which a scheduler stands from now on, beside those that it has
        declared before, until it resigns or is gone.

        A new one is added as it is. One with the same definition is not touched. Of one with another definition that
        is replaced, with its due time; that it is paused, and what is counted of it, stays. What an API call has put
        there is left alone.

        Args:
            lease: for how many ms the scheduler is alive from now on, at least.

        Returns:
            The names of those that were left alone.
        """
        ...

    async def sweep_schedules(self) -> list[str]:
        """Drop those of programs' code for which nobody stands, neither of the living nor of those who were silent for
        a short time (`ABANDONED_AFTER`), and mend what is damaged. Looks at all schedules: it is for one that has just
        declared its own, and for when `Lead.untidy` says so.

        Returns:
            The names that were dropped.
        """
        ...

    # What is due

    async def due_schedules(self, limit: int, *, skip: int = 0) -> tuple[list[StoredSchedule], int | None]:
        """What is due and not paused, the earliest `at` first; not all of it when that is much: 1,000, or some MiB.

        One that cannot be read is among them once, with its `problem`, and is set aside: it is never due again until it
        is put or declared anew.

        Args:
            skip: so many of the earliest are passed over: those that stay due, for they could not be claimed.

        Returns:
            And the first `at` after those, passed or not; None: nothing comes any more.
        """
        ...

    async def claim_schedules(
        self, claims: Sequence[Claim], *, until: int, max_length: Lengths | None = None
    ) -> list[Claimed]:
        """Send what is due, in one step with the note of what comes next; each claim whole or not at all.

        Args:
            until: later than this nothing is sent, so that a scheduler that was frozen sends nothing stale.
            max_length: how many messages a queue may hold.
        """
        ...

    # Who sees to it

    async def lead_schedules(self, scheduler: str, *, lease: int) -> Lead:
        """Be alive for so many ms from now on, and lead if nobody else does. To be called again within the lease."""
        ...

    async def resign_schedules(self, scheduler: str) -> None:
        """Be gone in good order: lead no more, and stand for nothing. The others are woken."""
        ...

    async def schedulers(self) -> list[str]:
        """Those that are alive."""
        ...

    def schedule_changes(self) -> AsyncIterator[None]:
        """Wakes: when a schedule was put, changed or removed, and when one that led has resigned. Also as soon as it is
        connected, or connected again: anything may have been missed. Goes on for ever."""
        ...


def unfit(claim: Claim) -> str:
    """Why a claim can never be applied; "" if it may be."""
    if claim.next_due is not None and claim.next_due <= claim.due:
        return f"its next due time {claim.next_due} is not later than {claim.due}, for which it is"
    if len(claim.messages) > MOST_MESSAGES:
        return f"it sends {len(claim.messages)} messages, and {MOST_MESSAGES} are the most in one step"
    for message in claim.messages:
        try:
            f"{message.id}{message.queue}{message.call}".encode()
        except UnicodeEncodeError as error:
            return f"the id, the queue or the call of its message {message.id!r} is no text ({error})"
    return ""
