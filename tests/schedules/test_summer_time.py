"""What the guide says of the days on which clocks are changed, row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from aioqueue import Schedule, crontab, every
from aioqueue.exceptions import ConfigurationError
from aioqueue.schedules import upcoming, zones

from .moments import local, texts, utc

BERLIN = "Europe/Berlin"
SPRING, AUTUMN = "2026-03-29", "2026-10-25"


def of_the_day(schedule: Schedule, day: str, zone: str = BERLIN) -> list[str]:
    """The due times of a day as its clock shows them."""
    begin, end = local(f"{day}T00:00", zone), local(f"{day}T23:59:59", zone)
    found: list[str] = []
    for due in texts(schedule, begin - timedelta(seconds=1), 1600, zone):
        if datetime.fromisoformat(due) > end.astimezone(datetime.fromisoformat(due).tzinfo):
            break
        found.append(due[11:])
    return found


@pytest.mark.parametrize(
    ("text", "spring", "autumn"),
    [
        ("30 2 * * *", ["03:00+02:00"], ["02:30+02:00"]),
        ("*/10 2 * * *", ["03:00+02:00"], [f"02:{minute}0+02:00" for minute in range(6)]),
        ("30 2,3 * * *", ["03:00+02:00", "03:30+02:00"], ["02:30+02:00", "03:30+01:00"]),
        ("0 0-4/2 * * *", ["00:00+01:00", "03:00+02:00", "04:00+02:00"], ["00:00+02:00", "02:00+02:00", "04:00+01:00"]),
        (
            "30 1-3 * * *",
            ["01:30+01:00", "03:30+02:00"],
            ["01:30+02:00", "02:30+02:00", "02:30+01:00", "03:30+01:00"],
        ),
    ],
)
def test_the_rows_of_the_guide(text: str, spring: list[str], autumn: list[str]) -> None:
    assert of_the_day(crontab(text, tz=BERLIN), SPRING) == spring
    assert of_the_day(crontab(text, tz=BERLIN), AUTUMN) == autumn


@pytest.mark.parametrize(
    ("text", "minutes", "spring", "autumn"),
    [
        ("30 * * * *", 60, 23, 25),
        ("*/15 * * * *", 15, 23 * 4, 25 * 4),
        ("* * * * *", 1, 23 * 60, 25 * 60),
        ("* 1-5 * * *", 1, 4 * 60, 6 * 60),
    ],
)
def test_hourly_and_minutely_jobs_run_each_hour_and_minute_that_passes(
    text: str, minutes: int, spring: int, autumn: int
) -> None:
    for day, n in ((SPRING, spring), (AUTUMN, autumn)):
        due = upcoming(crontab(text, tz=BERLIN), local(f"{day}T00:00", BERLIN) - timedelta(seconds=1), n + 1)
        assert {later - earlier for earlier, later in pairwise(due[:n])} == {timedelta(minutes=minutes)}
        assert due[n - 1] < local(f"{day}T23:59:59", BERLIN) < due[n]


def test_a_window_that_begins_in_the_hour_that_comes_twice() -> None:
    due = of_the_day(crontab("* 2-5 * * *", tz=BERLIN), AUTUMN)
    assert len(due) == 4 * 60
    assert (due[59], due[60]) == ("02:59+02:00", "03:00+01:00")
    assert of_the_day(crontab("* 2-5 * * *", tz=BERLIN), SPRING)[:2] == ["03:00+02:00", "03:01+02:00"]


def test_half_an_hour() -> None:
    zone = "Australia/Lord_Howe"
    assert of_the_day(crontab("15 2 * * *", tz=zone), "2026-10-04", zone) == ["02:30+11:00"]
    assert of_the_day(crontab("45 1 * * *", tz=zone), "2026-04-05", zone) == ["01:45+11:00"]
    assert of_the_day(crontab("*/15 1 * * *", tz=zone), "2026-04-05", zone) == [
        f"01:{minute:02}+11:00" for minute in (0, 15, 30, 45)
    ]
    hourly = of_the_day(crontab("15 * * * *", tz=zone), "2026-10-04", zone)
    assert hourly[:4] == ["00:15+10:30", "01:15+10:30", "03:15+11:00", "04:15+11:00"]
    hourly = of_the_day(crontab("45 * * * *", tz=zone), "2026-04-05", zone)
    assert hourly[:4] == ["00:45+11:00", "01:45+11:00", "01:45+10:30", "02:45+10:30"]


def test_a_day_that_is_left_out() -> None:
    due = texts(crontab("30 2 * * *", tz="Pacific/Apia"), utc(2011, 12, 28, 13), 4, "Pacific/Apia")
    assert due == [
        "2011-12-29 02:30-10:00",
        "2011-12-31 00:00+14:00",
        "2011-12-31 02:30+14:00",
        "2012-01-01 02:30+14:00",
    ]
    hourly = texts(crontab("0 * * * *", tz="Pacific/Apia"), utc(2011, 12, 30, 8), 3, "Pacific/Apia")
    assert hourly == ["2011-12-29 23:00-10:00", "2011-12-31 00:00+14:00", "2011-12-31 01:00+14:00"]


def test_over_midnight() -> None:
    # The clock is put back at 00:00 to 23:00 of the day before.
    zone = "America/Santiago"
    due = texts(crontab("30 23 * * *", tz=zone), local("2026-04-04T12:00", zone), 2, zone)
    assert due == ["2026-04-04 23:30-03:00", "2026-04-05 23:30-04:00"]
    due = texts(crontab("0,30 * * * *", tz=zone), local("2026-04-04T23:00", zone), 4, zone)
    assert due == [
        "2026-04-04 23:30-03:00",
        "2026-04-04 23:00-04:00",
        "2026-04-04 23:30-04:00",
        "2026-04-05 00:00-04:00",
    ]
    # At 00:01 to 23:01, so that 00:00 of the day after comes before the second half of the day before.
    zone = "America/St_Johns"
    due = texts(crontab("0,30 * * * *", tz=zone), local("2010-11-06T23:00", zone), 5, zone)
    assert due == [
        "2010-11-06 23:30-02:30",
        "2010-11-07 00:00-02:30",
        "2010-11-06 23:30-03:30",
        "2010-11-07 00:00-03:30",
        "2010-11-07 00:30-03:30",
    ]


def test_every_counts_real_time() -> None:
    due = upcoming(every(hours=1), local(f"{AUTUMN}T00:00", BERLIN), 25)
    assert due[-1] == local("2026-10-26T00:00", BERLIN)


# Whose clock


def test_a_crontab_without_a_zone_gets_that_of_the_app() -> None:
    schedule = crontab("0 9 * * *")
    assert schedule.next_after(utc(2026, 5, 1)) == utc(2026, 5, 1, 9)
    there = schedule.localized("Asia/Tokyo")
    assert there == crontab("0 9 * * *", tz="Asia/Tokyo")
    assert there.next_after(utc(2026, 5, 1)) == utc(2026, 5, 2)
    assert there.localized(BERLIN) == there
    assert crontab(hour=9, minute=0, jitter=5).localized(BERLIN) == crontab(hour=9, minute=0, jitter=5, tz=BERLIN)


def test_a_due_time_is_told_in_the_zone_of_its_crontab() -> None:
    due = crontab("0 9 * * *", tz=BERLIN).next_after(utc(2026, 5, 1))
    assert due is not None
    assert due.isoformat() == "2026-05-01T09:00:00+02:00"


def test_a_moment_of_another_zone_is_the_same_moment() -> None:
    schedule = crontab("30 * * * *", tz=BERLIN)
    second = datetime(2026, 10, 25, 2, 0, tzinfo=ZoneInfo(BERLIN), fold=1)
    assert upcoming(schedule, second, 1) == upcoming(schedule, utc(2026, 10, 25, 1), 1) == [utc(2026, 10, 25, 1, 30)]


def test_a_zone_may_be_given_as_one() -> None:
    assert crontab("@daily", tz=ZoneInfo(BERLIN)) == crontab("@daily", tz=BERLIN)
    assert crontab("@daily", tz=UTC) == crontab("@daily", tz="UTC")


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Berln", "not 'Europe/Berln'. Did you mean 'Europe/Berlin'?"),
        ("Europe", "not 'Europe'"),
        ("", "not ''"),
        ("../etc/passwd", "not '../etc/passwd'"),
        ("/etc/localtime", "not '/etc/localtime'"),
        ("a\0b", "not 'a\\x00b'"),
        ("x" * 300, "The tz of a crontab is a name"),
        (5, "not 5"),
        (utc(2026, 1, 1), "The tz of a crontab is a name"),
    ],
)
def test_a_zone_that_nobody_knows_is_told(zone: object, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        crontab("@daily", tz=zone)  # type: ignore[call-overload]
    assert said in str(caught.value)
    if isinstance(zone, str):
        with pytest.raises(ConfigurationError):
            crontab("@daily").localized(zone)


def test_on_a_machine_without_zones_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones, "available_timezones", set[str])
    with pytest.raises(ConfigurationError, match="This machine has no zones at all: `pip install tzdata`"):
        crontab("@daily", tz="Mars/Phobos")
