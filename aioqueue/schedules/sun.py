"""When the sun rises, sets, and is at other heights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple, final

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.schedules.base import Expression, checked_jitter, in_utc, shortest, written

_RISING, _SETTING = 1, -1
_HORIZON: Final = -50 / 60
"""The middle of the sun when its upper edge is seen at the horizon: half its width, and what the air bends."""
_EVENTS: Final = {
    "dawn_astronomical": (_RISING, -18.0),
    "dawn_nautical": (_RISING, -12.0),
    "dawn_civil": (_RISING, -6.0),
    "sunrise": (_RISING, _HORIZON),
    "solar_noon": (0, 0.0),
    "sunset": (_SETTING, _HORIZON),
    "dusk_civil": (_SETTING, -6.0),
    "dusk_nautical": (_SETTING, -12.0),
    "dusk_astronomical": (_SETTING, -18.0),
}
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_MOST_DAYS: Final = 400
"""Each event happens at least once a year, wherever one is."""


class _Half(NamedTuple):
    """From midnight to noon by the sun, or from noon to midnight."""

    begin: datetime
    end: datetime
    from_noon: bool


@final
class solar(Expression):
    """Due when the sun is at a certain height, as seen at some place. It needs astral: `pip install "aioqueue[solar]"`.

    On days when it does not happen, in the polar day and the polar night, or in bright nights, it is not due; the next
    due time is on the next day on which it happens.

    Args:
        event: `sunrise` or `sunset`, when the upper edge of the sun is at the horizon; `solar_noon`; `dawn_civil` or
            `dusk_civil`, when the sun is 6 degrees below; `dawn_nautical`, `dusk_nautical`: 12 degrees;
            `dawn_astronomical`, `dusk_astronomical`: 18 degrees.
        lat: the latitude in degrees, -90 to 90, north is positive. It comes before the longitude.
        lon: the longitude in degrees, -180 to 180, east is positive.
        jitter: by how many seconds at most each run is put off.

    Raises:
        ConfigurationError: a value has no meaning, or astral is not installed.
    """

    event: str
    lat: float
    lon: float
    jitter: float
    _height: Callable[[datetime], float]
    _noon: Callable[[date], datetime]

    def __init__(self, event: str, lat: float, lon: float, *, jitter: kinds.Seconds = 0.0) -> None:
        given: Any = event
        if not isinstance(given, str) or given not in _EVENTS:
            close = suggest(given, _EVENTS) if isinstance(given, str) else ""
            raise ConfigurationError(
                f"There is no event {kinds.shown(given)} of the sun.{close} There are {', '.join(_EVENTS)}."
            )
        lat, lon = _degrees("latitude", lat, 90), _degrees("longitude", lon, 180)
        put_off = checked_jitter("solar(...)", jitter)
        text = written("solar", event, lat=lat, lon=lon, jitter=shortest(put_off))
        height, noon = _astral(lat, lon)
        self._freeze(text, event=event, lat=lat, lon=lon, jitter=put_off, _height=height, _noon=noon)

    def next_after(self, when: datetime) -> datetime | None:
        when = in_utc(when)
        direction, height = _EVENTS[self.event]
        try:
            for half in self._halves(when):
                if direction == 0:
                    if half.from_noon and half.begin > when:
                        return half.begin
                elif (found := self._crossing(half, direction, height)) is not None and found > when:
                    return found
        except OverflowError:
            pass  # beyond the year 9999
        return None

    def _halves(self, when: datetime) -> Iterator[_Half]:
        """The halves of the days by the sun, from the one before `when` on."""
        first = when.date() - 2 * _DAY
        noon = self._noon(first)
        for number in range(1, _MOST_DAYS):
            next_noon = self._noon(first + number * _DAY)
            midnight = noon + (next_noon - noon) / 2
            yield _Half(noon, midnight, True)
            yield _Half(midnight, next_noon, False)
            noon = next_noon

    def _crossing(self, half: _Half, direction: int, height: float) -> datetime | None:
        """When the sun is at that height within it, on its way up or down; to the second, the second after it."""
        begin, end = half.begin, half.end
        before = (self._height(begin) - height) * direction
        if before >= 0 or (self._height(end) - height) * direction < 0:
            return None
        while end - begin > _SECOND:
            middle = begin + (end - begin) / 2
            if (self._height(middle) - height) * direction < 0:
                begin = middle
            else:
                end = middle
        return end.replace(microsecond=0)


def _degrees(name: str, value: Any, most: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -most <= value <= most:
        order = " solar(event, lat, lon): the latitude comes first." if name == "latitude" else ""
        raise ConfigurationError(
            f"The {name} of solar(...) is a number of degrees from -{most} to {most}, not {kinds.shown(value)}.{order}"
        )
    return float(value)


def _astral(lat: float, lon: float) -> tuple[Callable[[datetime], float], Callable[[date], datetime]]:
    """The height of the sun in degrees at a moment, and noon of a day, at that place.

    Its own sunrise and sunset are not used: they are of another day where the date by the sun is not that of UTC, and
    are missing or wrong where polar day and night begin.
    """
    try:
        from astral import Observer
        from astral.sun import elevation, noon
    except ImportError:
        raise ConfigurationError(
            'solar(...) needs astral, which is not installed: pip install "aioqueue[solar]".'
        ) from None
    place = Observer(lat, lon)

    def height(when: datetime) -> float:
        return elevation(place, when, with_refraction=False)

    def noon_of(day: date) -> datetime:
        return noon(place, day, UTC)

    return height, noon_of
