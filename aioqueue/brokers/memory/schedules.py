"""Schedules in memory, and those who see to them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence

import msgspec

from aioqueue.brokers.memory.inbox import Inbox
from aioqueue.brokers.protocol import (
    ABANDONED_AFTER,
    FROM_CODE,
    Claim,
    Claimed,
    ClaimVerdict,
    Lead,
    Lengths,
    Outgoing,
    StoredSchedule,
    unfit,
)
from aioqueue.brokers.shares import MOST_ITEMS
from aioqueue.exceptions import DuplicateTask, QueueFull

_replace = msgspec.structs.replace


class Schedules:
    """What is due when, and the schedulers. Each method is called within a step of the store.

    Args:
        now: the clock.
        send: puts messages into their queues, all or none; as `Store.send`.
    """

    def __init__(self, now: Callable[[], int], send: Callable[[Sequence[Outgoing], Lengths | None], None]) -> None:
        self._now = now
        self._send = send
        self._by_name: dict[str, StoredSchedule] = {}
        # What waits for its time, in order; there may be many, and the earliest are asked for again and again.
        self._due: list[tuple[int, str]] = []
        self._revision = 0
        # When the lease of each scheduler ends, and what it stands for.
        self._ends: dict[str, int] = {}
        self._declared: dict[str, set[str]] = {}
        self._leader = ""
        self.listeners: set[Inbox[None]] = set()

    def clear(self) -> None:
        """Hold nothing any more. Who listens goes on doing so."""
        for held in (self._by_name, self._due, self._ends, self._declared):
            held.clear()
        self._leader = ""

    # What there is

    def put(self, schedule: StoredSchedule, *, replace: bool) -> bool:
        """Add one, or take the place of another."""
        known = self._by_name.get(schedule.name)
        if known is not None and not replace:
            return False
        self._change(schedule if known is None else _in_place_of(known, schedule))
        self.wake()
        return True

    def get(self, names: Sequence[str] | None) -> list[StoredSchedule]:
        """All by name, or those of some names."""
        if names is None:
            return [schedule for _, schedule in sorted(self._by_name.items())]
        return [self._by_name[name] for name in names if name in self._by_name]

    def remove(self, name: str) -> bool:
        """Drop one."""
        if name not in self._by_name:
            return False
        self._drop(name)
        self.wake()
        return True

    def pause(self, name: str, paused: bool, *, due: int | None, at: int | None, revision: int | None) -> bool:
        """Pause one, or let it go on."""
        known = self._by_name.get(name)
        if known is None or revision not in (None, known.revision):
            return False
        if known.paused is not paused:
            next_due, next_at = (known.due, known.at) if paused else (due, at)
            self._change(_replace(known, paused=paused, due=next_due, at=next_at))
            self.wake()
        return True

    def _change(self, schedule: StoredSchedule) -> None:
        """Keep one under a new revision."""
        self._revision += 1
        self._keep(_replace(schedule, revision=self._revision))

    def _keep(self, schedule: StoredSchedule) -> None:
        if schedule.name in self._by_name:
            self._drop(schedule.name)
        self._by_name[schedule.name] = schedule
        if schedule.at is not None and not schedule.paused:
            insort(self._due, (schedule.at, schedule.name))

    def _drop(self, name: str) -> None:
        schedule = self._by_name.pop(name)
        if schedule.at is not None and not schedule.paused:
            del self._due[bisect_left(self._due, (schedule.at, name))]

    # What programs declare

    def declare(self, scheduler: str, schedules: Sequence[StoredSchedule], lease: int) -> list[str]:
        """A scheduler stands for these."""
        self._ends[scheduler] = max(self._ends.get(scheduler, 0), self._now() + lease)
        declared = self._declared.setdefault(scheduler, set())
        left_alone: list[str] = []
        changed = False
        for schedule in schedules:
            declared.add(schedule.name)
            known = self._by_name.get(schedule.name)
            if known is not None and known.source != FROM_CODE:
                left_alone.append(schedule.name)
            elif known is None or known.definition != schedule.definition:
                self._change(schedule if known is None else _in_place_of(known, schedule))
                changed = True
        if changed:
            self.wake()
        return left_alone

    def sweep(self) -> list[str]:
        """Drop those for which nobody stands."""
        for scheduler in self._abandoned():
            del self._ends[scheduler]
            self._declared.pop(scheduler, None)
        wanted = {name for declared in self._declared.values() for name in declared}
        dropped = [
            name for name, one in sorted(self._by_name.items()) if one.source == FROM_CODE and name not in wanted
        ]
        for name in dropped:
            self._drop(name)
        if dropped:
            self.wake()
        return dropped

    def _abandoned(self) -> list[str]:
        """The schedulers that stand for nothing any more."""
        return [scheduler for scheduler, end in self._ends.items() if end + ABANDONED_AFTER <= self._now()]

    # What is due

    def due(self, limit: int, skip: int) -> tuple[list[StoredSchedule], int | None]:
        """The earliest of what is due, and when the first after those is."""
        now, last = self._now(), skip + min(limit, MOST_ITEMS)
        due = [self._by_name[name] for at, name in self._due[skip:last] if at <= now]
        later = self._due[skip + len(due) : skip + len(due) + 1]
        return due, later[0][0] if later else None

    def claim(self, claims: Sequence[Claim], until: int, max_length: Lengths | None) -> list[Claimed]:
        """Send what is due; each whole or not at all."""
        if self._now() > until:
            return [Claimed(ClaimVerdict.LATE)] * len(claims)
        return [self._claim(claim, max_length) for claim in claims]

    def _claim(self, claim: Claim, max_length: Lengths | None) -> Claimed:
        if reason := unfit(claim):
            return Claimed(ClaimVerdict.REFUSED, reason)
        known = self._by_name.get(claim.name)
        if known is None or (known.revision, known.due) != (claim.revision, claim.due):
            return Claimed(ClaimVerdict.GONE)
        try:
            self._send(claim.messages, max_length)
        except QueueFull:
            return Claimed(ClaimVerdict.FULL)
        except DuplicateTask as error:
            return Claimed(ClaimVerdict.REFUSED, str(error))
        ids = tuple(message.id for message in claim.messages)
        recent = (*known.recent, *ids)
        self._keep(
            _replace(
                known,
                due=claim.next_due,
                at=claim.next_at,
                last_due=known.last_due if claim.last_due is None else claim.last_due,
                last_id=ids[-1] if ids else known.last_id,
                recent=recent[max(0, len(recent) - claim.keep) :],
                runs=known.runs + len(ids),
                misfires=known.misfires + claim.missed,
            )
        )
        return Claimed(ClaimVerdict.SENT)

    # Who sees to it

    def lead(self, scheduler: str, lease: int) -> Lead:
        """Be alive, and lead if nobody else does."""
        now = self._now()
        known = scheduler in self._declared
        self._ends[scheduler] = now + lease
        wait = max(0, self._ends.get(self._leader, 0) - now) if self._leader != scheduler else 0
        if not wait:
            self._leader = scheduler
        return Lead(leads=not wait, wait=wait, known=known, untidy=bool(self._abandoned()))

    def resign(self, scheduler: str) -> None:
        """Be gone."""
        if scheduler not in self._ends:
            return
        self._ends[scheduler] = 0
        self._declared.pop(scheduler, None)
        if self._leader == scheduler:
            self._leader = ""
        self.wake()

    def alive(self) -> list[str]:
        """The schedulers whose lease holds."""
        now = self._now()
        return sorted(scheduler for scheduler, end in self._ends.items() if end > now)

    def postpone(self, milliseconds: int) -> None:
        """Let the leases end later."""
        for scheduler in self._ends:
            self._ends[scheduler] += milliseconds

    def wake(self) -> None:
        """Let those who listen look again."""
        for listener in tuple(self.listeners):
            listener.put(None)


def _in_place_of(known: StoredSchedule, schedule: StoredSchedule) -> StoredSchedule:
    """Another definition of a schedule; what has become of it stays."""
    return _replace(known, definition=schedule.definition, source=schedule.source, due=schedule.due, at=schedule.at)
