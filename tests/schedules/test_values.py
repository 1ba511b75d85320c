"""Schedules are values: frozen, equal by content, printable; their text parses back."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioqueue import Schedule, crontab, every, one_off, solar
from aioqueue.exceptions import ConfigurationError
from aioqueue.schedules import as_schedule, parse_schedule

from .moments import utc
from .strategies import cron_keywords, cron_texts

EXAMPLES = {
    "crontab('0 9 * * mon-fri', tz='Europe/Berlin')": crontab("0  9 * * MON-FRI", tz="Europe/Berlin"),
    "crontab('0 0 15W,LW * *')": crontab("0 0 15w,lw * *"),
    "crontab('0 0 * * friL')": crontab("0 0 * * FRIL"),
    "crontab('0 0 * * *')": crontab("@daily"),
    "crontab()": crontab(),
    "crontab(minute='0,30', hour=9, day_of_week='mon-fri', jitter=2.5)": crontab(
        minute=[30, 0], hour="9", day_of_week="Monday-Friday", jitter=2.5
    ),
    "every(90)": every(90),
    "every(0.1)": every(0.1),
    "every(minutes=10, jitter=30)": every(600, jitter=timedelta(seconds=30)),
    "every(hours=36)": every(days=1, hours=12),
    "every(days=1, anchor='2026-01-01T09:00:00')": every(days=1, anchor=datetime(2026, 1, 1, 9)),
    "every(weeks=1, anchor='2026-01-01T08:00:00+00:00')": every(days=7, anchor="2026-01-01T09:00+01:00"),
    "one_off('2026-12-31T17:00:00+00:00')": one_off("2026-12-31T18:00+01:00"),
    "one_off('2026-12-31T18:00:00.123000')": one_off("2026-12-31T18:00:00.123"),
    "solar('sunset', lat=40.7128, lon=-74.006)": solar("sunset", 40.7128, -74.0060),
    "solar('solar_noon', lat=0.0, lon=0.0, jitter=1)": solar("solar_noon", lat=0, lon=0, jitter=1),
}
examples = pytest.mark.parametrize(
    ("text", "schedule"), [pytest.param(text, schedule, id=text) for text, schedule in EXAMPLES.items()]
)


@examples
def test_text(text: str, schedule: Schedule) -> None:
    assert schedule.text() == str(schedule) == repr(schedule) == text
    assert parse_schedule(text) == schedule
    assert hash(parse_schedule(text)) == hash(schedule)


@examples
def test_copies_are_equal(text: str, schedule: Schedule) -> None:
    for other in (pickle.loads(pickle.dumps(schedule)), copy.copy(schedule), copy.deepcopy(schedule)):
        assert other == schedule
        assert other.next_after(utc(2026, 5, 1)) == schedule.next_after(utc(2026, 5, 1))


@examples
def test_they_are_frozen(text: str, schedule: Any) -> None:
    for name in ("jitter", "text", "whatever"):
        with pytest.raises(AttributeError, match="cannot be changed: make another one"):
            setattr(schedule, name, 1)
    with pytest.raises(AttributeError, match="cannot be changed"):
        del schedule.jitter


def test_all_are_different() -> None:
    assert len(set(EXAMPLES.values())) == len(EXAMPLES)
    assert crontab("0 0 13 * fri") != crontab(minute=0, hour=0, day_of_month=13, day_of_week="fri")
    assert crontab("0 0 * * *") != crontab("0 0 * * *", tz="UTC")
    assert every(60) != "every(minutes=1)"


@given(
    cron_texts() | cron_keywords(),
    st.sampled_from([None, "UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
    st.sampled_from([0, 1.5, 60]),
)
@settings(max_examples=200, deadline=None)
def test_any_crontab_parses_back(arguments: str | dict[str, Any], tz: str | None, jitter: float) -> None:
    keywords = {"minute": arguments} if isinstance(arguments, str) else arguments
    schedule = crontab(**keywords, tz=tz, jitter=jitter)
    other = parse_schedule(str(schedule))
    assert (other, str(other), other.jitter) == (schedule, str(schedule), jitter)
    assert other.next_after(utc(2026, 5, 1)) == schedule.next_after(utc(2026, 5, 1))


@given(
    st.floats(0.1, 1e10),
    st.none() | st.datetimes(max_value=datetime(9999, 1, 1), timezones=st.none() | st.just(ZoneInfo("Europe/Berlin"))),
    st.floats(0, 0.1),
)
@settings(max_examples=200, deadline=None)
def test_any_interval_parses_back(seconds: float, anchor: datetime | None, jitter: float) -> None:
    schedule = every(seconds, anchor=anchor, jitter=jitter)
    other = parse_schedule(str(schedule))
    assert isinstance(other, every)
    assert (other, other.interval, other.anchor, other.jitter) == (
        schedule,
        schedule.interval,
        schedule.anchor,
        schedule.jitter,
    )


@given(st.datetimes(max_value=datetime(9999, 1, 1), timezones=st.none() | st.timezones()))
@settings(max_examples=200, deadline=None)
def test_any_moment_parses_back(at: datetime) -> None:
    schedule = one_off(at)
    assert parse_schedule(str(schedule)) == schedule


@given(st.floats(-90, 90), st.floats(-180, 180))
@settings(max_examples=50, deadline=None)
def test_any_place_parses_back(lat: float, lon: float) -> None:
    schedule = solar("sunrise", lat, lon)
    other = parse_schedule(str(schedule))
    assert isinstance(other, solar)
    assert (other, other.lat, other.lon) == (schedule, lat, lon)


# What a schedule may be given as


@pytest.mark.parametrize(
    ("value", "schedule"),
    [
        (60, every(60)),
        (0.5, every(0.5)),
        (timedelta(minutes=5), every(300)),
        ("*/5 * * * *", crontab("*/5 * * * *")),
        ("@daily", crontab("@daily")),
        ("every(minutes=10)", every(600)),
        (" every( minutes = 10 ) ", every(600)),
        ("300", every(300)),
        (crontab("@daily"), crontab("@daily")),
    ],
)
def test_as_schedule(value: object, schedule: Schedule) -> None:
    assert as_schedule(value) == schedule


@pytest.mark.parametrize("value", [None, True, b"@daily", object(), datetime.now(UTC), [1]])
def test_what_is_no_schedule(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"A schedule is crontab\(...\), every\(...\)"):
        as_schedule(value)


def test_a_schedule_of_celerys_is_told_as_such() -> None:
    class Celerys:
        def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
            return True, 1.0

        def __repr__(self) -> str:
            return "<crontab: 0 9 * * * (m/h/dM/MY/d)>"

    with pytest.raises(
        ConfigurationError, match=r"^<crontab: 0 9 .* Celery's schedules. Import crontab .* from aioqueue"
    ):
        as_schedule(Celerys())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The text of a schedule is one of"),
        ("hello", "The text of a schedule is one of"),
        ("hello world", "five fields"),
        ("evry(60)", "There is no schedule 'evry'. Did you mean 'every'?"),
        ("every(x)", "with numbers and text for arguments"),
        ("every(1 + 1)", "with numbers and text for arguments"),
        ("every(*[60])", "with numbers and text for arguments"),
        ("every(**{'minutes': 1})", "with numbers and text for arguments"),
        ("every(60).interval", "with numbers and text for arguments"),
        ("every(60", "with numbers and text for arguments"),
        ("every(" + "(" * 1500, "with numbers and text for arguments"),
        ("every(" + "-" * 1900 + "1)", "with numbers and text for arguments"),
        ("every(60, 60)", "'every(60, 60)' is no schedule"),
        ("every(secs=60)", "'every(secs=60)' is no schedule"),
        ("every(60, jitter=[])", "The jitter of every(...)"),
        ("crontab(hour=[25])", "The hour of a crontab"),
        ("__import__('os').system('true')", "There is no schedule '__import__'"),
        ("crontab(__import__('os'))", "with numbers and text for arguments"),
        ("0.01", "at least 0.1 seconds"),
        ("inf", "number of seconds"),
        ("nan", "number of seconds"),
        ("* " * 1001, "The text of a schedule is one of"),
        ("every(\x0060)", "with numbers and text for arguments"),
    ],
)
def test_text_that_says_no_schedule(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_schedule(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500


@given(st.text(max_size=30) | st.text("every(crontab)solar=0.,*/'L#W-@dy ", max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_schedule_or_an_error(text: str) -> None:
    try:
        schedule = parse_schedule(text)
    except ConfigurationError:
        return
    assert parse_schedule(str(schedule)) == schedule
