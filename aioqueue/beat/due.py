"""Which due times of a schedule are fired now, which are left out, and what comes next: rules, and no clock.

A due time is a moment in ms since the epoch, by the broker's clock; it fires at that moment and its jitter. It is on
time for a second. What is later was missed, for no scheduler ran, and the schedule's terms say what becomes of it:

    skip    left out; unless `misfire_grace` allows for more than that second
    once    the latest of them runs, the others are left out
    all     each runs

With `misfire_grace`, "once" and "all" leave out what is later than that. A grace of less than a second is one second.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple

from aioqueue.options import milliseconds
from aioqueue.periodic import Terms
from aioqueue.schedules import Schedule, crontab, every, next_due

ON_TIME = 1000
"""ms for which a due time is on time."""
MOST = 500
"""So many due times are looked at, and sent, at once."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


class Look(NamedTuple):
    """What becomes of a schedule now.

    Attributes:
        fire: the due times that are fired.
        missed: how many are left out. Of a long gap only the first are counted.
        due: the next due time; None: never again. It may have passed, too: then look again.
        at: when that fires.
        crowded: how many of those that are left out are so because too many tasks go on; the others were late.
    """

    fire: tuple[int, ...]
    missed: int
    due: int | None
    at: int | None
    crowded: int = 0


class Times:
    """The due times of a schedule.

    Args:
        name: whose; its jitter is drawn from that, so that all schedulers draw the same.
        schedule: when.
        terms: how.
        since: one of its due times, or when it was added: an interval is counted from there, or from `start_at`.

    Attributes:
        since: as given.

    Raises:
        ConfigurationError: from each method: the schedule, a class of the user's own, gives what is no later moment.
    """

    def __init__(self, name: str, schedule: Schedule, terms: Terms, since: int) -> None:
        self._start = None if terms.start_at is None else milliseconds(terms.start_at)
        self._end = None if terms.end_at is None else milliseconds(terms.end_at)
        self.since = since
        self._name = name
        self._schedule = schedule
        self._step: tuple[int, int] | None = None
        # A schedule of the user's own may take so long that a claim comes too late: it is not asked twice.
        self._known: dict[int, datetime | None] = {}
        if isinstance(schedule, every):
            begin = since if self._start is None else self._start
            anchor = begin if schedule.anchor is None else _ms_of(schedule.anchor)
            self._step = anchor, schedule.interval // _MILLISECOND

    def after(self, when: int) -> int | None:
        """The first due time after a moment."""
        if self._start is not None:
            when = max(when, self._start - 1)
        if self._step is not None:
            anchor, interval = self._step
            due = anchor + ((when - anchor) // interval + 1) * interval
        else:
            found = self._found(when)
            if found is None:
                return None
            due = _ms_of(found)
        return None if due > (_LAST if self._end is None else self._end) else due

    def _found(self, when: int) -> datetime | None:
        if isinstance(self._schedule, crontab):
            return _next_of_text(self._schedule, moment_of(when))
        if when not in self._known:
            self._known[when] = next_due(self._schedule, moment_of(when))
        return self._known[when]

    def at(self, due: int) -> int:
        """When a due time fires: at it, and its jitter."""
        if not (jitter := self.jitter):
            return due
        drawn = int.from_bytes(blake2b(f"{self._name}\0{due}".encode(), digest_size=8).digest())
        return due + drawn % (jitter + 1)

    @property
    def jitter(self) -> int:
        """By how many ms a due time may fire later."""
        return int(self._schedule.jitter * 1000)

    def latest(self, since: int, until: int) -> int:
        """The latest due time up to `until`; `since` is an earlier one."""
        while until > since:
            middle = since + (until - since) // 2
            found = self.after(middle)
            if found is not None and found <= until:
                since = found
            else:
                until = middle
        return since


def look(times: Times, terms: Terms, due: int, now: int, *, runs: int = 0, room: int | None = None) -> Look:
    """What becomes of a schedule now.

    Args:
        times: its due times.
        terms: its terms.
        due: the due time that is next, as it is stored.
        now: ms since the epoch, by the broker's clock.
        runs: how often it has run.
        room: how many more of its tasks may be running; None is any number.
    """
    passed, following = _passed(times, due, now)
    if following is not None and times.at(following) <= now and not _each_counts(terms):
        # More than anybody counts: on to where it is decided what becomes of them.
        following = _further(times, terms, passed[-1], now)
        return Look((), len(passed), following, None if following is None else times.at(following))
    chosen = _chosen(times, terms, passed, now)
    crowded = 0
    if room is not None:
        crowded = len(chosen) - max(0, room)
        chosen = chosen[: max(0, room)]
    if terms.max_runs is not None:
        chosen = chosen[: max(0, terms.max_runs - runs)]
        if runs + len(chosen) >= terms.max_runs:  # after the last one nothing is due, and nothing was missed
            following = None
            passed, crowded = passed[: passed.index(chosen[-1]) + 1] if chosen else [], 0
    at = None if following is None else times.at(following)
    return Look(tuple(chosen), len(passed) - len(chosen), following, at, max(0, crowded))


def _each_counts(terms: Terms) -> bool:
    return terms.misfire == "all" and terms.misfire_grace is None


def _passed(times: Times, due: int, now: int) -> tuple[list[int], int | None]:
    """The due times from `due` on, of which the broker says that it is due, to those that are to fire by now; `MOST` of
    them. And the one after those."""
    found = [due]
    following = times.after(due)
    while following is not None and len(found) < MOST and times.at(following) <= now:
        found.append(following)
        following = times.after(following)
    return found, following


def _patience(terms: Terms) -> float:
    """For how many ms a due time may be late; what is on time is not."""
    if terms.misfire_grace is not None:
        return max(ON_TIME, terms.misfire_grace * 1000)
    return ON_TIME if terms.misfire == "skip" else float("inf")


def _further(times: Times, terms: Terms, since: int, now: int) -> int | None:
    """The due time from which on it matters what becomes of each; those between `since` and that are left out."""
    if terms.misfire == "once":
        return times.latest(since, now - ON_TIME - times.jitter - 1)  # the latest that is late for sure
    return times.after(max(since, now - int(_patience(terms)) - times.jitter - 1))


def _chosen(times: Times, terms: Terms, passed: list[int], now: int) -> list[int]:
    """Those that run."""
    patience = _patience(terms)
    # With jitter one may be drawn for an earlier moment than the one before it. It waits for that, and is not late.
    since = accumulate((times.at(due) for due in passed), max)
    chosen = [(due, now - at) for due, at in zip(passed, since, strict=True) if now - at <= patience]
    if terms.misfire == "once":
        missed = sum(late > ON_TIME for _, late in chosen)
        chosen = chosen[max(0, missed - 1) :]
    return [due for due, _ in chosen]


@lru_cache(maxsize=2048)
def _next_of_text(schedule: Schedule, when: datetime) -> datetime | None:
    """`next_due`, remembered: many schedules are due at the same times."""
    return next_due(schedule, when)


def _ms_of(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def moment_of(ms: int) -> datetime:
    """A due time as a datetime, in UTC."""
    return _EPOCH + ms * _MILLISECOND
