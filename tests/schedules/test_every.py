"""The same time after the one before, in real time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aioqueue import every
from aioqueue.exceptions import ConfigurationError
from aioqueue.schedules import upcoming

from .moments import local, utc

T = utc(2026, 5, 1, 12, 0, 30)


def test_it_is_one_interval_later() -> None:
    assert upcoming(every(60), T, 2) == [utc(2026, 5, 1, 12, 1, 30), utc(2026, 5, 1, 12, 2, 30)]


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        (every(60), 60),
        (every(0.1), 0.1),
        (every(timedelta(minutes=5)), 300),
        (every(minutes=10), 600),
        (every(hours=1, minutes=30), 5400),
        (every(days=1), 86_400),
        (every(weeks=2), 1_209_600),
        (every(0.5, minutes=0.5), 30.5),
        (every(1 / 3), 0.333),
    ],
)
def test_intervals(schedule: every, seconds: float) -> None:
    assert schedule.interval == timedelta(seconds=seconds)
    assert schedule.next_after(T) == T + timedelta(seconds=seconds)


def test_it_counts_real_time_when_the_clock_is_changed() -> None:
    due = every(days=1).next_after(local("2026-03-28 12:00", "Europe/Berlin"))
    assert due == local("2026-03-29 13:00", "Europe/Berlin")
    in_zone = datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    assert every(days=1).next_after(in_zone) == due


def test_a_thousand_times_a_tenth_of_a_second() -> None:
    assert upcoming(every(0.1), T, 1000)[-1] == T + timedelta(seconds=100)


def test_an_anchor_is_one_of_the_due_times() -> None:
    schedule = every(minutes=15, anchor=utc(2026, 1, 1, 0, 5))
    assert upcoming(schedule, T, 2) == [utc(2026, 5, 1, 12, 5), utc(2026, 5, 1, 12, 20)]
    assert schedule.next_after(utc(2026, 5, 1, 12, 5)) == utc(2026, 5, 1, 12, 20)  # strictly after
    assert schedule.next_after(utc(2025, 1, 1)) == utc(2025, 1, 1, 0, 5)  # before it as well


def test_an_anchor_in_text_or_in_a_zone_is_the_same_moment() -> None:
    there = datetime(2026, 1, 1, 1, 5, tzinfo=ZoneInfo("Europe/Berlin"))
    assert every(60, anchor=there) == every(60, anchor="2026-01-01T00:05Z") == every(60, anchor=utc(2026, 1, 1, 0, 5))


def test_an_anchor_without_a_zone_gets_that_of_the_app() -> None:
    schedule = every(days=1, anchor=datetime(2026, 1, 1, 9))
    assert schedule.next_after(T) == utc(2026, 5, 2, 9)
    there = schedule.localized("Asia/Tokyo")
    assert there.next_after(T) == utc(2026, 5, 2)
    assert there.localized("Europe/Berlin") == there
    assert schedule.next_after(T) == utc(2026, 5, 2, 9)


def test_what_has_no_anchor_has_no_zone() -> None:
    assert every(60).localized("Asia/Tokyo") == every(60)


def test_due_times_are_whole_milliseconds() -> None:
    # What is kept in ms and cut would be due before itself, again and again.
    anchor = datetime(2026, 1, 1, 0, 0, 0, 1, UTC)
    due = every(60, anchor=anchor).next_after(T)
    assert due == datetime(2026, 5, 1, 12, 1, 0, 1000, UTC)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "The interval of every(...) is at least 0.1 seconds, not 0. Say how long it is: every(60)"),
        ({"seconds": 0.09}, "at least 0.1 seconds, not 0.09"),
        ({"seconds": -60}, "at least 0.1 seconds, not -60"),
        ({"hours": 1, "minutes": -60}, "at least 0.1 seconds, not 0"),
        ({"seconds": "60"}, "The seconds of every(...) is a number of seconds, or a timedelta, not '60'."),
        ({"seconds": True}, "not True"),
        ({"seconds": float("nan")}, "not nan"),
        ({"minutes": "10"}, "The minutes of every(...) is a number, not '10'."),
        ({"minutes": timedelta(1)}, "The minutes of every(...) is a number"),
        ({"hours": True}, "not True"),
        ({"seconds": Fraction(1, 3)}, "not Fraction(1, 3)"),
        ({"days": 1e9}, "The interval of every(...)"),
        ({"days": float("inf")}, "The interval of every(...)"),
        ({"minutes": float("nan")}, "The interval of every(...)"),
        ({"seconds": 60, "jitter": 61}, "The jitter of every(...) is at most its interval of 60 seconds, not 61."),
        ({"seconds": 60, "jitter": -1}, "The jitter of every(...) is a number of seconds from 0 on, not -1."),
        ({"seconds": 60, "jitter": "1"}, "The jitter of every(...) is a number of seconds"),
        ({"seconds": 60, "anchor": 5}, "The anchor of every(...) is a datetime, not 5."),
        ({"seconds": 60, "anchor": "soon"}, "The anchor of every(...) is a datetime, or one in text"),
    ],
)
def test_what_is_wrong_is_told(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        every(**arguments)
    assert said in str(caught.value)


def test_beyond_the_last_year_there_is_none() -> None:
    assert every(days=1).next_after(utc(9999, 12, 31, 12)) is None
    assert every(days=1, anchor=utc(2026, 1, 1, 11)).next_after(utc(9999, 12, 31, 12)) is None
