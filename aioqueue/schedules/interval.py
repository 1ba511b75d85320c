"""Again and again after the same time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, final

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError
from aioqueue.schedules.base import Expression, checked_jitter, in_utc, shortest, written
from aioqueue.schedules.instant import moment, moment_text
from aioqueue.schedules.zones import moments, zone

_LEAST: Final = timedelta(seconds=0.1)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LENGTHS: Final = {name: timedelta(**{name: 1}) for name in ("weeks", "days", "hours", "minutes")}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


_NUMBER: Final = kinds.Kind("a number", _number)


@final
class every(Expression):
    """Due again and again after the same time: of real time, whatever the clocks do.

    The first due time after it is added is one interval later, or with `anchor` the next of `anchor`, `anchor` + 1
    interval, `anchor` + 2 intervals, and so on (those before `anchor` count as well; to begin later there is
    `start_at`).

    Args:
        seconds: the interval, at least 0.1 s: a number of seconds, or a timedelta. In whole milliseconds.
        minutes, hours, days, weeks: what is added to it.
        anchor: a due time: a datetime, or text in ISO 8601. One without a zone is read in the app's `timezone`.
        jitter: by how many seconds at most each run is put off; no more than the interval.

    Raises:
        ConfigurationError: a value has no meaning.
    """

    interval: timedelta
    anchor: datetime | None
    jitter: float

    def __init__(
        self,
        seconds: kinds.Seconds = 0,
        *,
        minutes: float = 0,
        hours: float = 0,
        days: float = 0,
        weeks: float = 0,
        anchor: datetime | str | None = None,
        jitter: kinds.Seconds = 0.0,
    ) -> None:
        total = kinds.DELAY.of("The seconds of every(...)", seconds)
        for name, value in (("minutes", minutes), ("hours", hours), ("days", days), ("weeks", weeks)):
            total += _NUMBER.of(f"The {name} of every(...)", value) * _LENGTHS[name].total_seconds()
        interval = round(kinds.DELAY.of("The interval of every(...)", total) * 1000) * _MILLISECOND
        if interval < _LEAST:
            raise ConfigurationError(
                f"The interval of every(...) is at least 0.1 seconds, not {total:g}. Say how long it is: every(60), "
                "every(minutes=10)."
            )
        put_off = checked_jitter("every(...)", jitter)
        if put_off > interval.total_seconds():
            raise ConfigurationError(
                f"The jitter of every(...) is at most its interval of {interval.total_seconds():g} seconds, not "
                f"{kinds.shown(jitter)}."
            )
        self._fix(interval, None if anchor is None else moment("The anchor of every(...)", anchor), put_off)

    def _fix(self, interval: timedelta, anchor: datetime | None, jitter: float) -> None:
        keywords: dict[str, object] = {}
        seconds: float | None = None
        for name, unit in _LENGTHS.items():
            if not interval % unit:
                keywords[name] = interval // unit
                break
        else:
            seconds = shortest(interval / _MILLISECOND / 1000)
        text = written("every", seconds, **keywords, anchor=moment_text(anchor), jitter=shortest(jitter))
        self._freeze(text, interval=interval, anchor=anchor, jitter=jitter)

    def next_after(self, when: datetime) -> datetime | None:
        when = in_utc(when)
        try:
            if self.anchor is None:
                return when + self.interval
            anchor = self.anchor.replace(tzinfo=UTC)
            return anchor + ((when - anchor) // self.interval + 1) * self.interval
        except OverflowError:
            return None  # beyond the year 9999

    def localized(self, timezone: str) -> every:
        where = zone(timezone)
        if self.anchor is None or self.anchor.tzinfo is not None:
            return self
        other = object.__new__(every)
        other._fix(self.interval, moments(self.anchor, where)[0], self.jitter)
        return other
