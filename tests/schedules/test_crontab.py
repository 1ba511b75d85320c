"""A crontab: its two spellings, each with its rule, and what its fields can say."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from aioqueue import crontab
from aioqueue.exceptions import ConfigurationError
from aioqueue.schedules import upcoming

from .moments import texts, utc

NEW_YEAR = utc(2026, 1, 1)


def days(schedule: crontab, n: int, after: datetime = NEW_YEAR) -> list[date]:
    return [due.date() for due in upcoming(schedule, after, n)]


def test_text_is_by_the_rule_of_cron_either_day() -> None:
    assert days(crontab("0 0 13 * fri"), 4) == [
        date(2026, 1, 2),
        date(2026, 1, 9),
        date(2026, 1, 13),
        date(2026, 1, 16),
    ]


def test_keywords_are_by_the_rule_of_celery_both_days() -> None:
    schedule = crontab(minute=0, hour=0, day_of_month=13, day_of_week="fri")
    assert days(schedule, 3) == [date(2026, 2, 13), date(2026, 3, 13), date(2026, 11, 13)]


def test_in_text_a_day_that_begins_with_a_star_is_no_choice() -> None:
    # As in Debian's cron and the others that stem from Vixie's.
    assert days(crontab("0 0 */10 * thu"), 3) == [date(2026, 5, 21), date(2026, 6, 11), date(2026, 10, 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * *", ["2026-01-01 00:01", "2026-01-01 00:02"]),
        ("*/20 * * * *", ["2026-01-01 00:20", "2026-01-01 00:40", "2026-01-01 01:00"]),
        ("5/25 8 * * *", ["2026-01-01 08:05", "2026-01-01 08:30", "2026-01-01 08:55", "2026-01-02 08:05"]),
        ("10-40/15 8 * * *", ["2026-01-01 08:10", "2026-01-01 08:25", "2026-01-01 08:40"]),
        ("0 22-1 * * *", ["2026-01-01 01:00", "2026-01-01 22:00", "2026-01-01 23:00", "2026-01-02 00:00"]),
        ("0 20-4/4 * * *", ["2026-01-01 04:00", "2026-01-01 20:00", "2026-01-02 00:00"]),
        ("0 9 * * mon-fri", ["2026-01-01 09:00", "2026-01-02 09:00", "2026-01-05 09:00"]),
        ("0 9 * * MON,Wednesday", ["2026-01-05 09:00", "2026-01-07 09:00", "2026-01-12 09:00"]),
        ("0 9 * * sat-sun", ["2026-01-03 09:00", "2026-01-04 09:00", "2026-01-10 09:00"]),
        ("0 9 * * 7", ["2026-01-04 09:00", "2026-01-11 09:00"]),
        ("0 9 * * 0", ["2026-01-04 09:00", "2026-01-11 09:00"]),
        ("0 9 * * 5-7", ["2026-01-02 09:00", "2026-01-03 09:00", "2026-01-04 09:00", "2026-01-09 09:00"]),
        ("0 0 1 feb,August *", ["2026-02-01 00:00", "2026-08-01 00:00", "2027-02-01 00:00"]),
        ("0 0 1 nov-feb *", ["2026-02-01 00:00", "2026-11-01 00:00", "2026-12-01 00:00", "2027-01-01 00:00"]),
        ("0 0 L * *", ["2026-01-31 00:00", "2026-02-28 00:00", "2026-03-31 00:00"]),
        ("0 0 l feb *", ["2026-02-28 00:00", "2027-02-28 00:00", "2028-02-29 00:00"]),
        ("0 0 LW * *", ["2026-01-30 00:00", "2026-02-27 00:00", "2026-03-31 00:00"]),
        ("0 0 15W * *", ["2026-01-15 00:00", "2026-02-16 00:00", "2026-03-16 00:00"]),
        ("0 0 1w * *", ["2026-02-02 00:00", "2026-03-02 00:00", "2026-04-01 00:00"]),  # 1 February is a Sunday
        ("0 0 1W aug *", ["2026-08-03 00:00", "2027-08-02 00:00"]),  # Saturday: not back into July
        ("0 0 31W * *", ["2026-01-30 00:00", "2026-03-31 00:00", "2026-05-29 00:00"]),  # Sunday: not on into June
        ("0 0 1W,LW * *", ["2026-01-30 00:00", "2026-02-02 00:00", "2026-02-27 00:00"]),
        ("0 0 * * fri#2", ["2026-01-09 00:00", "2026-02-13 00:00"]),
        ("0 0 * * 1#5", ["2026-03-30 00:00", "2026-06-29 00:00"]),
        ("0 0 * * 7#1", ["2026-01-04 00:00", "2026-02-01 00:00"]),
        ("0 0 * * friL", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        ("0 0 * * 5l", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        ("0 0 * * sunL,tue#1", ["2026-01-06 00:00", "2026-01-25 00:00", "2026-02-03 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("  0\t0  1 1 * ", ["2027-01-01 00:00"]),
        ("@hourly", ["2026-01-01 01:00", "2026-01-01 02:00"]),
        ("@daily", ["2026-01-02 00:00", "2026-01-03 00:00"]),
        ("@MIDNIGHT", ["2026-01-02 00:00", "2026-01-03 00:00"]),
        ("@weekly", ["2026-01-04 00:00", "2026-01-11 00:00"]),
        ("@monthly", ["2026-02-01 00:00", "2026-03-01 00:00"]),
        ("@yearly", ["2027-01-01 00:00", "2028-01-01 00:00"]),
        ("@annually", ["2027-01-01 00:00", "2028-01-01 00:00"]),
    ],
)
def test_fields(text: str, expected: list[str]) -> None:
    assert texts(crontab(text), NEW_YEAR, len(expected)) == [f"{moment}+00:00" for moment in expected]


@pytest.mark.parametrize(
    ("keywords", "same"),
    [
        ({}, {"minute": "*"}),
        ({"minute": 0}, {"minute": "0"}),
        ({"minute": [30, 0]}, {"minute": "0,30"}),
        ({"minute": {0, 30}}, {"minute": (0, 30)}),
        ({"minute": range(0, 60, 20)}, {"minute": "0,20,40"}),
        ({"hour": ["8-10", 17]}, {"hour": "17,8-10"}),
        ({"day_of_week": "Monday-Friday"}, {"day_of_week": " mon - fri "}),
        ({"month_of_year": "September"}, {"month_of_year": "sep"}),
        ({"hour": None}, {"hour": "*"}),
    ],
)
def test_keywords_take_what_those_of_celery_take(keywords: dict[str, object], same: dict[str, object]) -> None:
    assert crontab(**keywords) == crontab(**same)  # type: ignore[call-overload]


def test_fields_by_position_are_in_the_order_of_celery() -> None:
    assert crontab(0, "9", "mon-fri", "1-7", 5) == crontab(
        minute=0, hour=9, day_of_week="mon-fri", day_of_month="1-7", month_of_year=5
    )
    assert crontab("*/15") == crontab(minute="*/15")


def test_celery_means_every_minute_where_nothing_is_said() -> None:
    assert texts(crontab(hour=9), NEW_YEAR, 2) == ["2026-01-01 09:00+00:00", "2026-01-01 09:01+00:00"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 25 * * *", "The hour of a crontab is 0 to 23, with ranges (1-5), steps (*/2) and lists (1,3), not '25'."),
        ("60 * * * *", "The minute of a crontab is 0 to 59"),
        ("0 0 32 * *", "The day_of_month of a crontab is 1 to 31"),
        ("0 0 0 * *", "The day_of_month of a crontab is 1 to 31"),
        ("0 0 * 13 *", "The month_of_year of a crontab is 1 to 12"),
        ("0 0 * * 8", "The day_of_week of a crontab is 0 to 6"),
        ("0 0 * * fri#6", "not 'fri#6'"),
        ("0 0 * * foo", "not 'foo'"),
        ("0 0 * * L", "not 'L'"),
        ("0 0 15X * *", "not '15X'"),
        ("0 0 32W * *", "not '32W'"),
        ("0 0 ? * *", "not '?'"),
        ("H * * * *", "not 'H'"),
        ("*/0 * * * *", "not '*/0'"),
        ("1,,2 * * * *", "not '1,,2'"),
        ("5-1/0 * * * *", "not '5-1/0'"),
        ("-1 * * * *", "not '-1'"),
        ("٣ * * * *", "not '٣'"),
        ("* * * *", "five fields, minute, hour, day of the month, month and day of the week, not 4 as '* * * *'"),
        ("0 * * * * *", "For seconds there is every(seconds)."),
        ("@dayly", "Did you mean '@daily'?"),
        ("@reboot", "not starts of a machine"),
        ("0," * 500 + "0 0 * * *", "The fields of a crontab have 1000 characters together at most, not 1005."),
        ("0 0 30 2 *", "'0 0 30 2 *' would never be due"),
        ("0 0 31W 2 *", "would never be due"),
        ("0 0 31 4,6,9,11 *", "would never be due"),
        ("0 0 */40 * mon#5", "would never be due"),  # the fifth Monday is not the first of a month
    ],
)
def test_what_is_wrong_is_told(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        crontab(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("value", [True, 1.5, [], [1.5], b"1", object(), [[1]], "", [True]])
def test_what_no_field_can_be(value: object) -> None:
    with pytest.raises(ConfigurationError, match="The hour of a crontab is"):
        crontab(hour=value)  # type: ignore[call-overload]


def test_the_30th_of_february_or_a_monday_is_a_monday() -> None:
    assert days(crontab("0 0 30 2 mon"), 2) == [date(2026, 2, 2), date(2026, 2, 9)]


def test_a_leap_day_on_a_monday() -> None:
    # Once in 28 years, and in 40 over a century that is not a leap year: it is looked for by days, not by minutes.
    schedule = crontab(minute=0, hour=0, day_of_month=29, month_of_year=2, day_of_week="mon")
    assert days(schedule, 4) == [date(2044, 2, 29), date(2072, 2, 29), date(2112, 2, 29), date(2140, 2, 29)]


def test_after_the_last_year_there_is_none() -> None:
    assert crontab("0 0 1 1 *").next_after(utc(9999, 6, 1)) is None
    assert crontab("* * * * *", tz="Pacific/Apia").next_after(utc(9999, 12, 31, 23, 59)) is None


def test_it_is_strictly_after() -> None:
    schedule = crontab("0 9 * * *")
    assert schedule.next_after(utc(2026, 5, 1, 9)) == utc(2026, 5, 2, 9)
    assert schedule.next_after(utc(2026, 5, 1, 8, 59, 59)) == utc(2026, 5, 1, 9)
    assert schedule.next_after(datetime.fromisoformat("2026-05-01T08:59:59.999999+00:00")) == utc(2026, 5, 1, 9)
    assert schedule.next_after(datetime.fromisoformat("2026-05-01T09:00:00.000001+00:00")) == utc(2026, 5, 2, 9)
