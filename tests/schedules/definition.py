"""When a crontab is due, by its definition in the documentation, written out a second time and without any haste.

The clock of a zone goes evenly between its changes. In each such piece it shows each of its times once; what it shows
in a later piece for the second time, or leaves out between two pieces, is decided by whether the crontab is due in the
hour before and in the hour after.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .strategies import FIELDS
from .zones import changes

DAY = timedelta(days=1)


class Piece(NamedTuple):
    begin: datetime  # as the clock shows it
    end: datetime
    offset: timedelta


@cache
def pieces(zone: str, begin: datetime, end: datetime) -> list[Piece]:
    cuts = [begin, *(cut for cut in changes(zone) if begin < cut < end), end]
    found: list[Piece] = []
    for first, last in pairwise(cuts):
        offset = first.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
        found.append(Piece((first + offset).replace(tzinfo=None), (last + offset).replace(tzinfo=None), offset))
    return found


def numbers(name: str, text: str) -> set[int]:
    """What a field of numbers, names, ranges and steps says."""
    low, high, names = FIELDS[name]

    def number(word: str) -> int:
        return low + names.index(word) if word in names else int(word)

    found: set[int] = set()
    for item in text.split(","):
        body, _, step = item.partition("/")
        first, _, last = body.partition("-")
        if body == "*":
            every = range(low, high + 1)
        elif last:
            every = range(number(first), number(last) + 1)
        else:
            every = range(number(first), (high if step else number(first)) + 1)
        found.update(every[:: int(step or 1)])
    return found


def is_due(day: date, days: str, months: str, weekdays: str, *, both: bool) -> bool:
    if day.month not in numbers("month_of_year", months):
        return False
    if days in ("L", "LW", "15W"):
        last = monthrange(day.year, day.month)[1]
        wanted = date(day.year, day.month, 15 if days == "15W" else last)
        if days == "15W":
            wanted += DAY * {5: -1, 6: 1}.get(wanted.weekday(), 0)
        elif days == "LW":
            wanted -= DAY * {5: 1, 6: 2}.get(wanted.weekday(), 0)
        fits = day == wanted
    else:
        fits = day.day in numbers("day_of_month", days)
    week = day.isoweekday() % 7 in numbers("day_of_week", weekdays)
    return (fits and week) if both or days.startswith("*") or weekdays.startswith("*") else (fits or week)


def due_times(text: str, zone: str, begin: datetime, end: datetime, *, both: bool = False) -> list[datetime]:
    """All due times from `begin` on and before `end`, in UTC."""
    minute, hour, *rest = text.split()
    minutes, hours = sorted(numbers("minute", minute)), sorted(numbers("hour", hour))

    def shown(first: datetime, last: datetime) -> list[datetime]:
        """The times of the crontab that a clock shows from `first` on and before `last`."""
        found: list[datetime] = []
        day = first.date()
        while day <= last.date():
            if is_due(day, *rest, both=both):
                found += [datetime(day.year, day.month, day.day, hour, minute) for hour in hours for minute in minutes]
            day += DAY
        return [time for time in found if first <= time < last]

    def is_hourly(time: datetime) -> bool:
        return (time.hour - 1) % 24 in hours and (time.hour + 1) % 24 in hours

    due: set[datetime] = set()
    before: Piece | None = None
    for piece in pieces(zone, begin, end):
        for time in shown(piece.begin, piece.end):
            if before is None or time >= before.end or is_hourly(time):
                due.add((time - piece.offset).replace(tzinfo=UTC))
        if before is not None and any(not is_hourly(time) for time in shown(before.end, piece.begin)):
            due.add((piece.begin - piece.offset).replace(tzinfo=UTC))
        before = piece
    return sorted(due)
