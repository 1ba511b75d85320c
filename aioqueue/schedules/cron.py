"""At the times that a clock shows on certain days."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, TypeAlias, final, overload
from zoneinfo import ZoneInfo

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.schedules.base import Expression, checked_jitter, in_utc, shortest, written
from aioqueue.schedules.cron_fields import FIELDS, CronFields, field_text
from aioqueue.schedules.zones import moments, zone, zone_name

CronField: TypeAlias = int | str | Iterable[int | str]
"""What Celery takes for a field: `0`, `"*/15"`, `"mon-fri"`, `[0, 30]`."""

_WORDS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_LAST_MINUTE: Final = timedelta(minutes=59)


@final
class crontab(Expression):
    """Due at the times that a clock shows, on certain days.

    There are two spellings, each with its own rule for a day of the month together with a day of the week:

    - text, `crontab("0 0 13 * fri")`, by cron's rule: on the 13th *or* a Friday (on both, if one of the two begins
      with `*`);
    - keywords, `crontab(minute=0, hour=0, day_of_month=13, day_of_week="fri")`, by Celery's: on a Friday the 13th.

    The fields by position are in Celery's order.

    Args:
        minute: 0 to 59; or the whole text: minute, hour, day of the month, month, day of the week; or one of `@yearly`
            (`@annually`), `@monthly`, `@weekly`, `@daily` (`@midnight`), `@hourly`.
        hour: 0 to 23.
        day_of_week: 0 to 6, 0 is Sunday, as 7 is; `sun` to `sat`; `fri#2` is the second of the month, `friL` the last.
        day_of_month: 1 to 31; `L` is the last, `LW` the last weekday (Monday to Friday), `15W` the weekday next to the
            15th in its month.
        month_of_year: 1 to 12; `jan` to `dec`.
        tz: the zone whose clock counts, by its IANA name; else it is the app's `timezone`, and UTC without an app.
        jitter: by how many seconds at most each run is put off.

    Each field takes a number, text with lists (`1,3`), ranges (`mon-fri`, and `22-5` over the end) and steps (`*/15`,
    `10-40/10`), or a list of them.

    A time that the clock leaves out when it is put forward is made up for at the moment at which it was. One that it
    shows twice when it is put back counts once, the first time. That is different where the crontab is due in the hour
    before and in the hour after as well: such a crontab is due whenever the clock shows its times, so that an hourly
    one neither stops for an hour nor is due twice at once.

    Raises:
        ConfigurationError: a field or the zone has no meaning, or there is no such day, as on 30 February.
    """

    tz: str | None
    jitter: float
    _fields: CronFields
    _zone: ZoneInfo

    @overload
    def __init__(self, text: str, /, *, tz: str | tzinfo | None = None, jitter: kinds.Seconds = 0.0) -> None: ...
    @overload
    def __init__(
        self,
        minute: CronField = "*",
        hour: CronField = "*",
        day_of_week: CronField = "*",
        day_of_month: CronField = "*",
        month_of_year: CronField = "*",
        *,
        tz: str | tzinfo | None = None,
        jitter: kinds.Seconds = 0.0,
    ) -> None: ...
    def __init__(
        self,
        minute: CronField = "*",
        hour: CronField = "*",
        day_of_week: CronField = "*",
        day_of_month: CronField = "*",
        month_of_year: CronField = "*",
        *,
        tz: str | tzinfo | None = None,
        jitter: kinds.Seconds = 0.0,
    ) -> None:
        name, put_off = zone_name(tz, "The tz of a crontab"), checked_jitter("a crontab", jitter)
        others = (hour, day_of_month, month_of_year, day_of_week)
        if isinstance(minute, str) and _is_whole(minute) and all(value == "*" for value in others):
            self._set(CronFields(_split(minute), both=False), name, put_off)
        else:
            values = (minute, *others)
            one, two, three, four, five = (field_text(*pair) for pair in zip(FIELDS, values, strict=True))
            self._set(CronFields((one, two, three, four, five), both=True), name, put_off)

    def _set(self, fields: CronFields, tz: str | None, jitter: float) -> None:
        if fields.both:
            given = {
                field.name: _literal(text) for field, text in zip(FIELDS, fields.texts, strict=True) if text != "*"
            }
            text = written("crontab", **given, tz=tz, jitter=shortest(jitter))
        else:
            text = written("crontab", " ".join(fields.texts), tz=tz, jitter=shortest(jitter))
        self._freeze(text, tz=tz, jitter=jitter, _fields=fields, _zone=zone(tz or "UTC"))

    def localized(self, timezone: str) -> crontab:
        name = zone(timezone).key
        if self.tz is not None:
            return self
        other = object.__new__(crontab)
        other._set(self._fields, name, self.jitter)
        return other

    def next_after(self, when: datetime) -> datetime | None:
        when = in_utc(when)
        try:
            found = self._next(when)
        except OverflowError:
            return None  # beyond the year 9999
        return None if found is None else found.astimezone(self._zone)

    def _next(self, when: datetime) -> datetime | None:
        today = when.astimezone(self._zone).date()
        # A day may go on after the next one has begun: where the clock is put back over midnight.
        day = self._fields.next_day(today - _DAY)
        while day is not None:
            if (found := self._on(day, when)) is not None:
                tomorrow = day + _DAY
                if self._offset(day) is None and self._fields.next_day(tomorrow) == tomorrow:
                    found = min(found, self._on(tomorrow, when) or found)
                return found
            day = self._fields.next_day(day + _DAY)
        return None

    def _offset(self, day: date) -> timedelta | None:
        """By how much its clock is ahead of UTC that day; None if that changes, then or at its end."""
        begin = datetime.combine(day, time(), self._zone)
        offset = begin.utcoffset()
        return offset if offset == (begin + _DAY).replace(fold=1).utcoffset() else None

    def _on(self, day: date, when: datetime) -> datetime | None:
        """The first due time of that day after `when`."""
        hours, begin = self._fields.hours, datetime.combine(day, time(), UTC)
        if (offset := self._offset(day)) is None:
            found = [self._in(begin.replace(hour=hour), when) for hour in hours]
            return min((one for one in found if one is not None), default=None)
        passed = when + offset - begin
        if passed >= _DAY:
            return None
        if passed < timedelta():
            return begin.replace(hour=hours[0], minute=self._fields.minutes[0]) - offset
        hour, minute = divmod(passed // _MINUTE, 60)
        if (place := bisect_left(hours, hour)) < len(hours) and hours[place] == hour:
            if (later := self._minute_after(minute)) is not None:
                return begin.replace(hour=hour, minute=later) - offset
            place += 1
        if place == len(hours):
            return None
        return begin.replace(hour=hours[place], minute=self._fields.minutes[0]) - offset

    def _minute_after(self, minute: int) -> int | None:
        minutes = self._fields.minutes
        place = bisect_right(minutes, minute)
        return minutes[place] if place < len(minutes) else None

    def _in(self, hour: datetime, when: datetime) -> datetime | None:
        """The first due time after `when` in an hour that the clock shows as `hour`, on a day when it is changed."""
        begin = hour.replace(tzinfo=self._zone).utcoffset() or timedelta()
        end = (hour + _LAST_MINUTE).replace(tzinfo=self._zone, fold=1).utcoffset() or timedelta()
        if begin == end:
            passed = when + begin - hour
            minute = self._minute_after(max(-1, passed // _MINUTE))
            return None if minute is None else hour.replace(minute=minute) - begin
        if hour + _HOUR - min(begin, end) <= when:
            return None  # over, without looking at each of its minutes
        each = self._fields.is_hourly(hour.hour)
        local = hour.replace(tzinfo=None)
        found = (
            moment
            for minute in self._fields.minutes
            for moment in moments(local.replace(minute=minute), self._zone, each=each)
            if moment > when
        )
        return min(found, default=None)


def _literal(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _is_whole(minute: str) -> bool:
    """Whether it is all of a crontab, not its minute."""
    return len(minute.split()) > 1 or minute.strip().startswith("@")


def _split(text: str) -> tuple[str, str, str, str, str]:
    """The fields of a crontab in text.

    Raises:
        ConfigurationError: there are not five.
    """
    word = text.strip().lower()
    if word == "@reboot":
        raise ConfigurationError("A crontab cannot be '@reboot': it names times, not starts of a machine.")
    if word.startswith("@") and word not in _WORDS:
        raise ConfigurationError(
            f"There is no crontab {kinds.shown(text)}.{suggest(word, _WORDS)} There are {', '.join(_WORDS)}."
        )
    parts = _WORDS.get(word, text).split()
    if len(parts) != 5:
        seconds = " For seconds there is every(seconds)." if len(parts) in (6, 7) else ""
        raise ConfigurationError(
            "The text of a crontab has five fields, minute, hour, day of the month, month and day of the week, not "
            f"{len(parts)} as {kinds.shown(text)}.{seconds}"
        )
    one, two, three, four, five = (field_text(*pair) for pair in zip(FIELDS, parts, strict=True))
    return one, two, three, four, five
