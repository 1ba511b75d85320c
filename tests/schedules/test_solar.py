"""The sun against published tables, and where it does not rise or set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from aioqueue import solar
from aioqueue.exceptions import ConfigurationError
from aioqueue.schedules import upcoming

from .moments import utc

TWO_MINUTES = timedelta(minutes=2)

# What the U.S. Naval Observatory published (https://aa.usno.navy.mil/data/RS_OneDay), to the minute, in UTC: for each
# place and day sunrise, noon and sunset, and civil twilight. A time after 24:00 is one of the next day.
CIVIL = ("dawn_civil", "sunrise", "solar_noon", "sunset", "dusk_civil")
USNO = [
    ("Atlanta", 33.8, -84.4, "2009-09-06", "10:50 11:15 17:36 23:56 24:21"),
    ("Raleigh", 35.78, -78.65, "2015-07-12", "09:38 10:08 17:20 24:32 25:02"),
    ("Kukuihaele", 20.12, -155.57, "2015-04-02", "- 16:15 - - -"),
    ("Washington", 38.8894, -77.0353, "2024-03-05", "11:07 11:34 17:19 23:06 23:32"),
    ("Oslo", 59.9139, 10.7522, "2025-06-21", "00:10 01:54 11:19 20:44 22:28"),
    ("Oslo", 59.9139, 10.7522, "2025-12-21", "07:21 08:18 11:15 14:12 15:10"),
    ("Quito", -0.1807, -78.4678, "2025-03-20", "10:57 11:18 17:21 23:24 23:45"),
    ("Sydney", -33.8688, 151.2093, "2025-09-22", "- 19:44 - 07:51 -"),
    ("Reykjavik", 64.1466, -21.9426, "2025-12-21", "10:03 11:22 13:26 15:30 16:49"),
    ("Ushuaia", -54.8019, -68.3030, "2025-12-21", "- 07:52 16:31 25:11 -"),
    ("London", 51.5074, -0.1278, "2025-06-21", "02:55 03:43 - 20:22 21:09"),
    ("70° N, in the polar night", 70.0, 0.0, "2025-12-21", "09:55 - - - 14:02"),
    ("70° N, the last day before it", 70.0, 0.0, "2025-11-24", "- 11:14 - 12:19 -"),
    ("70° N, the first after it", 70.0, 0.0, "2026-01-17", "- 11:41 - 12:40 -"),
    ("70° N, after the polar day", 70.0, 0.0, "2025-07-29", "- 00:57 - 23:05 -"),
]
# The deeper twilights, of which the Naval Observatory's page tells nothing, by another program with NOAA's algorithm.
DEEP = ("dawn_astronomical", "dawn_nautical", "dusk_nautical", "dusk_astronomical")
NOAA = [
    ("Oslo", 59.9139, 10.7522, "2025-12-21", "05:33 06:24 16:06 16:58"),
    ("Quito", -0.1807, -78.4678, "2025-03-20", "10:09 10:33 24:09 24:33"),
    ("Reykjavik", 64.1466, -21.9426, "2025-12-21", "07:54 08:54 17:58 18:58"),
    ("London", 51.5074, -0.1278, "2025-06-21", "- 01:41 22:24 -"),
    ("70° N", 70.0, 0.0, "2025-12-21", "06:46 08:06 15:51 17:10"),
]
ROWS = [
    pytest.param(event, lat, lon, day, time, id=f"{place}, {day}, {event}")
    for events, table in ((CIVIL, USNO), (DEEP, NOAA))
    for place, lat, lon, day, times in table
    for event, time in zip(events, times.split(), strict=True)
    if time != "-"
]


@pytest.mark.parametrize(("event", "lat", "lon", "day", "time"), ROWS)
def test_published_tables(event: str, lat: float, lon: float, day: str, time: str) -> None:
    hours, minutes = time.split(":")
    published = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=int(hours), minutes=int(minutes))
    due = solar(event, lat, lon).next_after(published - timedelta(minutes=10))
    assert due is not None
    assert abs(due - published) <= TWO_MINUTES


@pytest.mark.parametrize(
    ("event", "after", "expected"),
    [
        # 70° N, 0° E, by the Naval Observatory: the last sunset before the polar day and the first after it, and so on.
        ("sunset", utc(2025, 5, 15, 23), utc(2025, 5, 15, 23, 37)),
        ("sunrise", utc(2025, 5, 15, 12), utc(2025, 5, 16, 0, 15)),
        ("sunset", utc(2025, 11, 24, 13), utc(2026, 1, 17, 12, 40)),
        ("sunrise", utc(2025, 11, 24, 12), utc(2026, 1, 17, 11, 41)),
    ],
)
def test_polar_day_and_night(event: str, after: datetime, expected: datetime) -> None:
    due = solar(event, 70.0, 0.0).next_after(after)
    assert due is not None
    assert abs(due - expected) <= TWO_MINUTES


def test_in_the_polar_day_the_next_sunset_is_at_its_end() -> None:
    due = solar("sunset", 70.0, 0.0).next_after(utc(2025, 6, 21))
    assert due is not None
    assert utc(2025, 7, 26) < due < utc(2025, 7, 29)
    noon = solar("solar_noon", 70.0, 0.0).next_after(utc(2025, 6, 21))
    assert noon is not None
    assert abs(noon - utc(2025, 6, 21, 12, 2)) <= TWO_MINUTES


@pytest.mark.parametrize("lat", [-90, -89.9, -75, -66.6, 0, 66.6, 75, 89.9, 90])
@pytest.mark.parametrize("event", ["dawn_astronomical", "sunrise", "solar_noon", "sunset", "dusk_civil"])
def test_each_event_happens_everywhere_within_a_year(event: str, lat: float) -> None:
    due = solar(event, lat, 0).next_after(utc(2026, 6, 21))
    assert due is not None
    assert utc(2026, 6, 21) < due < utc(2027, 6, 21)


@pytest.mark.parametrize("lon", [-180, -179.5, -90, -1, 0, 1, 90, 179.5, 180])
@pytest.mark.parametrize("event", ["sunrise", "solar_noon", "sunset"])
def test_once_a_day_at_any_longitude(event: str, lon: float) -> None:
    # Noon of a day in UTC may be that of the day before or after by the sun.
    due = upcoming(solar(event, 30, lon), utc(2026, 3, 1), 40)
    gaps = [later - earlier for earlier, later in pairwise(due)]
    assert timedelta(hours=23, minutes=56) < min(gaps) <= max(gaps) < timedelta(hours=24, minutes=4)
    assert due[0] - utc(2026, 3, 1) <= timedelta(days=1, minutes=4)


def test_wherever_it_is_asked_from_it_is_the_same_moment() -> None:
    schedule = solar("sunrise", 52.5, 13.4)
    due = schedule.next_after(utc(2026, 3, 1, 12))
    assert due is not None
    for hours in range(1, 20):
        assert schedule.next_after(due - timedelta(hours=hours)) == due
    assert schedule.next_after(due - timedelta(microseconds=1)) == due
    assert due < (schedule.next_after(due) or due)


def test_the_order_of_a_day() -> None:
    events = ("dawn_astronomical", "dawn_nautical", "dawn_civil", "sunrise", "solar_noon")
    events += ("sunset", "dusk_civil", "dusk_nautical", "dusk_astronomical")
    due = [solar(event, 40.7128, -74.0060).next_after(utc(2026, 3, 1, 6)) for event in events]
    assert due == sorted(due, key=lambda moment: moment or utc(1970, 1, 1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sunrice", 1, 2), "There is no event 'sunrice' of the sun. Did you mean 'sunrise'?"),
        ((5, 1, 2), "There is no event 5 of the sun."),
        ((["sunrise"], 1, 2), "There is no event ['sunrise'] of the sun."),
        (("sunrise", 91, 2), "latitude of solar(...) is a number of degrees from -90 to 90, not 91."),
        (("sunrise", -100.5, 2), "the latitude comes first"),
        (("sunrise", 1, 181), "longitude of solar(...) is a number of degrees from -180 to 180, not 181."),
        (("sunrise", "1", 2), "latitude of solar(...) is a number of degrees"),
        (("sunrise", 1, None), "longitude of solar(...) is a number of degrees"),
        (("sunrise", True, 2), "latitude of solar(...) is a number of degrees"),
        (("sunrise", float("nan"), 2), "latitude of solar(...) is a number of degrees"),
    ],
)
def test_what_is_wrong_is_told(arguments: tuple[object, ...], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        solar(*arguments)  # type: ignore[arg-type]
    assert said in str(caught.value)
