"""A moment, once."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from aioqueue import one_off
from aioqueue.exceptions import ConfigurationError
from aioqueue.schedules import upcoming

from .moments import utc


def test_it_is_due_once() -> None:
    schedule = one_off(utc(2026, 12, 31, 17))
    assert upcoming(schedule, utc(2026, 1, 1), 5) == [utc(2026, 12, 31, 17)]
    assert schedule.next_after(utc(2026, 12, 31, 17)) is None
    assert schedule.next_after(utc(2027, 1, 1)) is None


def test_text_and_zones_say_the_same_moment() -> None:
    there = datetime(2026, 12, 31, 18, tzinfo=ZoneInfo("Europe/Berlin"))
    assert one_off("2026-12-31T18:00:00+01:00") == one_off(there) == one_off(utc(2026, 12, 31, 17))


def test_the_second_of_two_equal_hours_is_another_moment() -> None:
    twice = [datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold) for fold in (0, 1)]
    assert [one_off(at).at for at in twice] == [utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 1, 30)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-01T12:00", utc(2026, 5, 1, 10)),
        ("2026-03-29T02:30", utc(2026, 3, 29, 1)),  # the clock never shows it: when it was put forward
        ("2026-10-25T02:30", utc(2026, 10, 25, 0, 30)),  # twice: the first
    ],
)
def test_one_without_a_zone_gets_that_of_the_app(text: str, expected: datetime) -> None:
    there = one_off(text).localized("Europe/Berlin")
    assert there.next_after(utc(2026, 1, 1)) == expected
    assert there.localized("Asia/Tokyo") == there


def test_without_an_app_it_is_utc() -> None:
    assert one_off(datetime(2026, 5, 1, 12)).next_after(utc(2026, 1, 1)) == utc(2026, 5, 1, 12)


def test_it_is_a_whole_millisecond() -> None:
    assert one_off(datetime(2026, 1, 1, 0, 0, 0, 1, UTC)).at == datetime(2026, 1, 1, 0, 0, 0, 1000, UTC)
    assert one_off(datetime(2026, 1, 1, 0, 0, 0, 999_001, UTC)).at == utc(2026, 1, 1, 0, 0, 1)


@pytest.mark.parametrize("value", [5, None, "soon", "2026-13-01", datetime.max])
def test_what_is_no_moment_is_told(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"The moment of one_off\(...\) is"):
        one_off(value)  # type: ignore[arg-type]
