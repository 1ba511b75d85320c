"""What the five fields of a crontab say: read by cronsim, and what it does not know: W, ranges over the end, names."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple, cast

from cronsim import CronSim, CronSimError

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError

_LONGEST: Final = 1_000
"""So that the text of each crontab can be read again."""
_EPOCH: Final = datetime(2000, 1, 1)
_YEARS: Final = 50
"""In so many years each weekday is each day of the year, 29 February included, wherever they begin."""


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    takes: str
    names: tuple[str, ...] = ()


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONG = {
    "january": "jan", "february": "feb", "march": "mar", "april": "apr", "june": "jun", "july": "jul", "august": "aug",
    "september": "sep", "october": "oct", "november": "nov", "december": "dec", "sunday": "sun", "monday": "mon",
    "tuesday": "tue", "wednesday": "wed", "thursday": "thu", "friday": "fri", "saturday": "sat",
}  # fmt: skip

FIELDS: Final = (
    _Field("minute", 0, 59, "0 to 59"),
    _Field("hour", 0, 23, "0 to 23"),
    _Field("day_of_month", 1, 31, "1 to 31, L (the last), LW (the last weekday), 15W (the weekday next to the 15th)"),
    _Field("month_of_year", 1, 12, "1 to 12, or jan to dec", _MONTHS),
    _Field(
        "day_of_week", 0, 6, "0 to 6 (0 and 7 are Sunday), or sun to sat, fri#2 (the second), friL (the last)", _DAYS
    ),
)
_RANGE = re.compile(r"(\w+)-(\w+)(?:/(\d+))?", re.ASCII)
_NEAREST = re.compile(r"([1-9]|[12]\d|3[01])W", re.ASCII)
_LAST_OR_NTH = re.compile(r"(\w+?)(L|#\d)", re.ASCII)
_L = re.compile(r"l\b", re.ASCII)
_WORD = re.compile(r"[a-z]+", re.ASCII)


def field_text(field: _Field, value: Any) -> str:
    """A field as it is written: a number, text, or several of them, as Celery takes them.

    Raises:
        ConfigurationError: it is none of these.
    """
    if value is None:
        return "*"
    if isinstance(value, str):
        text = _WORD.sub(lambda word: _LONG.get(word[0], word[0]), "".join(value.lower().split()))
        if field.names:
            return _L.sub("L", text) if field.names is _DAYS else text
        return text.upper()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        items = list(cast("Iterable[Any]", value))
        parts = {field_text(field, item) for item in items if isinstance(item, str | int)}
        if parts and all(isinstance(item, str | int) for item in items):
            return ",".join(sorted(parts, key=lambda part: (not part.isdecimal(), len(part), part)))
    raise ConfigurationError(
        f"The {field.name} of a crontab is a number, text, or a list of them ({field.takes}), not {kinds.shown(value)}."
    )


def _number(field: _Field, text: str) -> str:
    """Numbers for names."""
    return str(field.names.index(text) + field.low) if text in field.names else text


def _for_cronsim(field: _Field, text: str) -> str:
    """One item of a list in the words that cronsim knows: numbers, no range over the end.

    Raises:
        ValueError: it is none.
    """
    if match := _RANGE.fullmatch(text):
        first, last, step = int(_number(field, match[1])), int(_number(field, match[2])), match[3]
        if field.names is _DAYS and first == 7:
            first = 0
        if field.low <= last < first <= field.high:
            around = [*range(first, field.high + 1), *range(field.low, last + 1)]
            return ",".join(map(str, around[:: int(step or 1)]))
        # cronsim reads a range of one with a step as all that follows it, too.
        return str(first) if first == last and int(step or 1) else f"{first}-{last}/{step or 1}"
    body, slash, step = text.partition("/")
    if field.names is _DAYS and (match := _LAST_OR_NTH.fullmatch(body)):
        return f"{_number(field, match[1])}{match[2]}{slash}{step}"
    return f"{_number(field, body)}{slash}{step}"


def _list_for_cronsim(field: _Field, text: str) -> str:
    return ",".join(_for_cronsim(field, item) for item in text.split(","))


def _check(field: _Field, text: str, part: str) -> None:
    """Look whether cronsim can read a part by itself, whatever the others are.

    Raises:
        ConfigurationError: it cannot; it says `text`, as that is what was given.
    """
    stars = ["*"] * len(FIELDS)
    try:
        stars[FIELDS.index(field)] = _list_for_cronsim(field, part)
        CronSim(" ".join(stars), _EPOCH)
    except (CronSimError, ValueError):
        raise ConfigurationError(
            f"The {field.name} of a crontab is {field.takes}, with ranges (1-5), steps (*/2) and lists (1,3), not "
            f"{kinds.shown(text)}."
        ) from None


def _nearest_weekday(year: int, month: int, day: int) -> int | None:
    """The day of the month that is a weekday and next to that one, within the month."""
    last = monthrange(year, month)[1]
    if day > last:
        return None
    weekday = date(year, month, day).weekday()
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < last else day - 2
    return day


class _Days(CronSim):
    """cronsim, and its missing W."""

    nearest: tuple[int, ...] = ()

    def match_dom(self, d: date) -> bool:
        return super().match_dom(d) or any(_nearest_weekday(d.year, d.month, day) == d.day for day in self.nearest)


class CronFields:
    """The five fields of a crontab, in cron's order.

    Attributes:
        texts: as they are written, as `field_text` gives them.
        both: whether day_of_month and day_of_week must both fit, as in Celery; else it is cron's rule.
        minutes, hours: those at which it is due, ascending.

    Raises:
        ConfigurationError: a field has no meaning, or there is no such day.
    """

    def __init__(self, fields: tuple[str, str, str, str, str], *, both: bool) -> None:
        if sum(map(len, fields)) > _LONGEST:
            raise ConfigurationError(
                f"The fields of a crontab have {_LONGEST} characters together at most, not {sum(map(len, fields))}."
            )
        self.texts, self.both = fields, both
        days = fields[2].split(",")
        nearest = [int(match[1]) for day in days if (match := _NEAREST.fullmatch(day))]
        others = ",".join(day for day in days if not _NEAREST.fullmatch(day))
        only_nearest = len(nearest) == len(days)
        read = (fields[0], fields[1], "L" if only_nearest else others, fields[3], fields[4])
        try:
            parts = [_list_for_cronsim(*pair) for pair in zip(FIELDS, read, strict=True)]
            self._days = _Days(" ".join(parts), _EPOCH)
        except (CronSimError, ValueError):
            for field, text, part in zip(FIELDS, fields, read, strict=True):
                _check(field, text, part)
            raise self._never() from None
        if only_nearest:
            self._days.days = set()
        self._days.nearest = tuple(nearest)
        self._days.day_and = both or fields[2].startswith("*") or fields[4].startswith("*")
        self.minutes = sorted(self._days.minutes)
        self.hours = sorted(self._days.hours)
        if self.next_day(_EPOCH.date()) is None:
            raise self._never()

    def _never(self) -> ConfigurationError:
        return ConfigurationError(
            f"crontab {' '.join(self.texts)!r} would never be due: there is no such day. Its fields are minute, hour, "
            "day of the month, month and day of the week."
        )

    def next_day(self, day: date) -> date | None:
        """The first day from `day` on at which it is due; None if there is none."""
        last = day.year + _YEARS
        try:
            while day.year <= last:
                if day.month not in self._days.months:
                    day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
                elif self._days.match_day(day):
                    return day
                else:
                    day += timedelta(days=1)
        except OverflowError:
            pass  # beyond the year 9999
        return None

    def is_hourly(self, hour: int) -> bool:
        """Whether it is due in the hours before and after that one, too."""
        return (hour - 1) % 24 in self._days.hours and (hour + 1) % 24 in self._days.hours
