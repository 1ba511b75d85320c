"""A year of schedules, all their due times, against what their definitions say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from aioqueue import Schedule, crontab, every, one_off, solar
from aioqueue.schedules import next_due

from .definition import due_times
from .moments import utc
from .strategies import cron_text
from .zones import ZONES, changes

YEAR = (utc(2026, 1, 1), utc(2027, 1, 1))


def all_due(schedule: Schedule, begin: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    due: datetime | None = begin - timedelta(milliseconds=1)
    while (due := next_due(schedule, due)) is not None and due < end:
        found.append(due)
    return found


def crontabs(random: Random, n: int) -> list[str]:
    """Of all kinds, due once to some hundred times a month; more often on few days only."""
    found: list[str] = []
    while len(found) < n:
        minute = random.choice(["0", "30", str(random.randint(0, 59)), "0,30", "*/20", "15-45/15"])
        hour = random.choice(["0", "1", "2", "3", "23", str(random.randint(0, 23)), "0-3", "1-2", "2-5", "*/2", "22,0"])
        rest = random.choice(
            ["* * *", "* * *", "* * sun", "* * mon-fri", "1 * *", "L * *", "LW * *", "15W * *", "13 * fri"]
        )
        found.append(f"{minute} {hour} {rest}")
        if not len(found) % 5:
            found[-1] = f"{minute} * {random.choice(['* mar,oct sun', '1,30 * *', '* 3,4 sat-sun'])}"
    return [text.replace("sat-sun", "sat,sun") for text in found]


@pytest.mark.parametrize("zone", ["UTC", *ZONES])
def test_a_year_of_crontabs(zone: str) -> None:
    for text in crontabs(Random(zone), 20):
        assert all_due(crontab(text, tz=zone), *YEAR) == due_times(text, zone, *YEAR), text


def test_a_year_of_crontabs_by_keywords() -> None:
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    for text in crontabs(Random(7), 20):
        if "L" not in text and "W" not in text:
            schedule = crontab(**dict(zip(names, text.split(), strict=True)), tz="Europe/Berlin")  # type: ignore[arg-type]
            assert all_due(schedule, *YEAR) == due_times(text, "Europe/Berlin", *YEAR, both=True), text


@pytest.mark.parametrize("zone", ZONES)
def test_the_changes_of_clocks_of_twenty_years(zone: str) -> None:
    random = Random(zone)
    for change in changes(zone):
        begin, end = change - timedelta(days=2), change + timedelta(days=2)
        for text in [*crontabs(random, 2), cron_text(random)]:
            if text.startswith("* * "):
                continue  # test_croniter.py looks at it: here it would take long
            schedule = crontab(text, tz=zone)
            assert all_due(schedule, begin, end) == due_times(text, zone, begin, end), (text, change)


def test_a_year_of_intervals() -> None:
    random = Random(1)
    for _ in range(40):
        seconds = random.choice([5400, 86_400, 40_000.5, random.randint(20_000, 10**6)])
        anchor = datetime(2026, 1, 1, random.randint(0, 23), random.randint(0, 59), tzinfo=UTC)
        steps = range(-30, int(367 * 86_400 / seconds) + 1)
        expected = [at for n in steps if YEAR[0] <= (at := anchor + n * timedelta(seconds=seconds)) < YEAR[1]]
        assert all_due(every(seconds, anchor=anchor), *YEAR) == expected
        begin = YEAR[0] - timedelta(milliseconds=1)
        expected = [begin + n * timedelta(seconds=seconds) for n in range(1, len(expected) + 2)]
        assert all_due(every(seconds), *YEAR) == [at for at in expected if at < YEAR[1]]


def test_a_year_of_moments() -> None:
    random = Random(2)
    for _ in range(10):
        at = YEAR[0] + timedelta(seconds=random.randint(0, 364 * 86_400))
        assert all_due(one_off(at), *YEAR) == [at]


def test_a_year_of_sunsets_is_one_a_day() -> None:
    for event in ("sunrise", "solar_noon", "sunset", "dawn_civil", "dusk_nautical"):
        for lat, lon, zone in ((52.5, 13.4, "Europe/Berlin"), (-36.8, 174.8, "Pacific/Auckland")):
            found = [due.astimezone(ZoneInfo(zone)).date() for due in all_due(solar(event, lat, lon), *YEAR)]
            assert found == [found[0] + timedelta(days=n) for n in range(365)]
