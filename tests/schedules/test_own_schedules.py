"""A schedule of the user's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aioqueue import Schedule, crontab, every
from aioqueue.exceptions import ConfigurationError
from aioqueue.schedules import as_schedule, next_due, upcoming

from .moments import utc


class Weekend(Schedule):
    def __init__(self, hour: int) -> None:
        self.hour = hour

    def next_after(self, when: datetime) -> datetime | None:
        due = when.astimezone(UTC).replace(hour=self.hour, minute=0, second=0, microsecond=0)
        while due <= when or due.weekday() < 5:
            due += timedelta(days=1)
        return due


class Gives(Schedule):
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def next_after(self, when: datetime) -> Any:
        return self.answer


def test_next_after_is_enough() -> None:
    assert upcoming(Weekend(9), utc(2026, 1, 1), 3) == [utc(2026, 1, 3, 9), utc(2026, 1, 4, 9), utc(2026, 1, 10, 9)]
    assert Weekend(9).jitter == 0
    assert Weekend(9).localized("Europe/Berlin") == Weekend(9)
    assert Weekend(9).text() is None
    assert as_schedule(schedule := Weekend(9)) is schedule


def test_it_is_equal_by_its_attributes() -> None:
    assert Weekend(9) == Weekend(9)
    assert Weekend(9) != Weekend(10)
    assert Weekend(9) != every(60)
    assert every(60) != Weekend(9)
    assert len({Weekend(9), Weekend(9), Weekend(10)}) == 2
    assert Weekend(9) != 9
    assert {Gives([1]): 1}[Gives([1])] == 1, "attributes of any kind"
    assert repr(Weekend(9)) == "Weekend(hour=9)"


def test_slots_are_attributes_as_well() -> None:
    class Slotted(Weekend):
        __slots__ = ("minute",)

        def __init__(self, hour: int, minute: int) -> None:
            super().__init__(hour)
            self.minute = minute

    assert Slotted(9, 0) == Slotted(9, 0)
    assert Slotted(9, 0) != Slotted(9, 30)
    assert Slotted(9, 0) != Weekend(9)


def test_without_next_after_it_cannot_be_made() -> None:
    class Nothing(Schedule):
        pass

    with pytest.raises(TypeError, match="next_after"):
        Nothing()  # type: ignore[abstract]


@pytest.mark.parametrize("answer", [utc(2026, 1, 1), utc(2025, 1, 1), datetime(2027, 1, 1), "2027-01-01", 5])
def test_an_answer_that_would_go_wrong_is_told(answer: object) -> None:
    with pytest.raises(ConfigurationError, match=r"Gives\.next_after"):
        next_due(Gives(answer), utc(2026, 1, 1))


def test_an_answer_is_taken_as_whole_milliseconds() -> None:
    due = datetime(2026, 5, 1, 0, 0, 0, 1, UTC)
    assert next_due(Gives(due), utc(2026, 1, 1)) == datetime(2026, 5, 1, 0, 0, 0, 1000, UTC)


def test_none_is_never_again() -> None:
    assert next_due(Gives(None), utc(2026, 1, 1)) is None
    assert upcoming(Gives(None), utc(2026, 1, 1), 3) == []


@pytest.mark.parametrize("schedule", [every(60), crontab("* * * * *"), Gives(None)])
def test_a_moment_without_a_zone_is_refused(schedule: Schedule) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        next_due(schedule, datetime(2026, 1, 1))
    if not isinstance(schedule, Gives):
        with pytest.raises(ValueError, match="has no time zone"):
            schedule.next_after(datetime(2026, 1, 1))
