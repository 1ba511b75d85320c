"""Crontabs against a second library, croniter, at random: in UTC, and around the changes of clocks in six zones.

Where the two differ, and who is right:

======================  ==============================================================================================
a range of one          `13-13 * * * *` is minute 13, as in cron. croniter takes it for every minute, and cronsim takes
                        `13-13/2` for 13, 15, 17 … Ours is cron's.
a star with a step,     `0 0 */10 * thu` is a Thursday that is also the 1st, 11th, 21st or 31st: in Debian's cron and
and a day of the week   in Vixie's, whose heir it is, a field that begins with a star leaves no choice. croniter does so
                        with `implement_cron_bug` only.
all days, named         for `0 0 13 * sun-sat`, cron is due each day: each is the 13th or one of these. croniter takes
                        `sun-sat` for a star, and is due on the 13th. Ours is cron's.
a time shown twice      croniter is due at both, `30 2 * * *` as well: a daily job twice a day. Cron runs it once, and
                        so do we; what runs hourly around it is due at both here, too.
a time left out         for `15 0-3 * * *`, which is due each hour before and after, croniter makes up for 02:15 at
                        03:00, fifteen minutes before 03:15. We do as cron does with what runs hourly: we go on.
half an hour            where a clock is put back by half an hour (Lord Howe), croniter forgets times that are shown
                        twice, or is due at times that come before its start.
======================  ==============================================================================================
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aioqueue import crontab
from aioqueue.schedules import upcoming

from .strategies import cron_keywords, cron_texts
from .zones import ZONES, changes

MINUTE = timedelta(minutes=1)
AROUND = timedelta(hours=5)
_RANGE_OF_ONE = re.compile(r"\b(\w+)-\1(/\d+)?\b")


def theirs(text: str, start: datetime, *, both: bool = False) -> croniter:
    """croniter, told what it would read otherwise: see above."""
    text = _RANGE_OF_ONE.sub(r"\1", text)
    minute, hour, day, month, weekday = text.split()
    both = both or day.startswith("*") or weekday.startswith("*")
    if not both and ["*"] in croniter(text).expanded[2:5:2]:
        text = f"{minute} {hour} * {month} *"
    return croniter(text, start, day_or=not both, max_years_between_matches=100)


def both_upcoming(schedule: crontab, text: str, start: datetime, *, both: bool = False) -> None:
    their = theirs(text, start, both=both)
    assert upcoming(schedule, start, 3) == [their.get_next(datetime) for _ in range(3)]


starts = st.integers(0, 60 * 365 * 86_400).map(
    lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
generated = settings(max_examples=1000, deadline=None, database=None, phases=[Phase.generate])


@generated
@given(cron_texts(), starts)
def test_text_in_utc(text: str, start: datetime) -> None:
    both_upcoming(crontab(text), text, start)


@settings(generated, max_examples=500)
@given(cron_keywords(), starts)
def test_keywords_in_utc(keywords: dict[str, object], start: datetime) -> None:
    def text(name: str) -> str:
        value = keywords.get(name, "*")
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)

    whole = " ".join(text(name) for name in ("minute", "hour", "day_of_month", "month_of_year", "day_of_week"))
    both_upcoming(crontab(**keywords), whole, start, both=True)  # type: ignore[call-overload]


hours = st.sampled_from(["0", "1", "2", "3", "4", "23", "0-3", "1-2", "2-5", "*/2", "*", "*", "0,12", "22-1", "0,23,1"])
minutes = st.sampled_from(["0", "15", "30", "45", "59", "0,30", "*/20", "10-40/15"])
days = st.sampled_from(["* * *", "* * *", "* * *", "* * sun", "* * mon-sat", "1,30,31 * *", "L * *"])


@pytest.mark.parametrize("zone", ZONES)
def test_around_the_changes_of_clocks(zone: str) -> None:
    known = Counter[str]()

    @settings(generated, max_examples=400)
    @given(minutes, hours, days, st.sampled_from(changes(zone)), st.integers(0, 4 * 60))
    def compare(minute: str, hour: str, rest: str, change: datetime, before: int) -> None:
        text, start = f"{minute} {hour} {rest}", change - before * MINUTE
        schedule, there = crontab(text, tz=zone), ZoneInfo(zone)
        end = change + AROUND
        ours = set[datetime]()
        due: datetime | None = start
        while (due := schedule.next_after(due)) is not None and due <= end:
            ours.add(due.astimezone(UTC))
        their = theirs(text, start.astimezone(there))
        others = set[datetime]()
        while (other := their.get_next(datetime).astimezone(UTC)) <= end:
            others.add(other)
        for moment in ours ^ others:
            reason = why(text, moment, change, there, ours=moment in ours)
            assert reason, (text, moment.astimezone(there), sorted(ours), sorted(others))
            known[reason] += 1

    compare()
    # What is listed above is there: else the list has to go.
    assert known["twice"] > 0


def why(text: str, moment: datetime, change: datetime, zone: ZoneInfo, *, ours: bool) -> str:
    """Which of the differences it is; nothing for one that is not listed."""
    before, after = ((change + step).astimezone(zone) for step in (-MINUTE, timedelta()))
    forward = (after.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
    hours = croniter(text, moment).expanded[1]

    def is_hourly(hour: int) -> bool:
        return hours == ["*"] or {(hour - 1) % 24, (hour + 1) % 24} <= set(hours)

    shown = moment.astimezone(zone)
    if not ours and shown.fold and not is_hourly(shown.hour):
        return "twice"
    if not ours and moment == change and forward > timedelta() and is_hourly((before + MINUTE).hour):
        return "left out"
    if forward == -timedelta(minutes=30) and abs(moment - change) <= timedelta(hours=1):
        return "half an hour"
    return ""
