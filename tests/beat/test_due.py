"""Which due times are fired, which are left out, and what comes next: the rules alone, without a broker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aioqueue import Schedule, crontab, every, one_off
from aioqueue.beat.due import MOST, Look, Times, look, moment_of
from aioqueue.periodic import Terms

NOON = 1_770_000_000_000 // 60_000 * 60_000
SECOND = 1000
MINUTE = 60 * SECOND


def terms(**given: Any) -> Terms:
    return Terms(**given)


def minutely(given: Terms) -> Times:
    return Times("job", crontab("* * * * *"), given, NOON)


def at(late: float, given: Terms, *, minutes: int = 0, **more: Any) -> Look:
    """A look at a minutely schedule that is due at noon, so late after as many minutes."""
    return look(minutely(given), given, NOON, NOON + minutes * MINUTE + round(late * SECOND), **more)


def after(minutes: int) -> int:
    return NOON + minutes * MINUTE


@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
def test_on_time_it_fires(misfire: Any) -> None:
    for late in (0, 0.001, 1):
        assert at(late, terms(misfire=misfire)) == Look((NOON,), 0, after(1), after(1))


@pytest.mark.parametrize(
    ("given", "fired", "missed"),
    [
        (terms(misfire="skip"), [], 4),
        (terms(misfire="skip", misfire_grace=90), [2, 3], 2),
        (terms(misfire="once"), [3], 3),
        (terms(misfire="once", misfire_grace=90), [3], 3),
        (terms(misfire="once", misfire_grace=20), [], 4),
        (terms(misfire="all"), [0, 1, 2, 3], 0),
        (terms(misfire="all", misfire_grace=90), [2, 3], 2),
        (terms(misfire="all", misfire_grace=20), [], 4),
    ],
)
def test_what_was_missed_for_three_minutes_and_a_half(given: Terms, fired: list[int], missed: int) -> None:
    assert at(30, given, minutes=3) == Look(tuple(map(after, fired)), missed, after(4), after(4))


@pytest.mark.parametrize(
    ("given", "fired", "missed"),
    [(terms(misfire="skip"), [3], 3), (terms(misfire="once"), [2, 3], 2), (terms(misfire="all"), [0, 1, 2, 3], 0)],
)
def test_what_is_on_time_runs_beside_what_was_missed(given: Terms, fired: list[int], missed: int) -> None:
    assert at(0.5, given, minutes=3) == Look(tuple(map(after, fired)), missed, after(4), after(4))


def test_each_of_short_intervals_runs_after_a_moment_of_silence() -> None:
    given = terms()
    times = Times("job", every(0.1), given, NOON)
    found = look(times, given, NOON, NOON + 450)
    assert found == Look(tuple(NOON + 100 * n for n in range(5)), 0, NOON + 500, NOON + 500)


def test_running_ones_leave_no_room() -> None:
    given = terms(misfire="all", max_running=2)
    assert at(0, given, minutes=2, room=2).fire == (after(0), after(1))
    assert at(0, given, minutes=2, room=2).missed == 1
    assert at(0, given, minutes=2, room=2).crowded == 1
    assert at(0, given, minutes=2, room=0) == Look((), 3, after(3), after(3), crowded=3)
    assert at(0, given, minutes=2, room=-1).fire == ()


def test_the_number_of_runs() -> None:
    given = terms(misfire="all", max_runs=5)
    assert at(0, given, minutes=2, runs=1) == Look((after(0), after(1), after(2)), 0, after(3), after(3))
    assert at(0, given, minutes=2, runs=2) == Look((after(0), after(1), after(2)), 0, None, None)
    assert at(0, given, minutes=2, runs=4) == Look((after(0),), 0, None, None), "it is over"
    assert at(0, given, minutes=2, runs=4, room=1) == Look((after(0),), 0, None, None)
    assert at(0, given, runs=7) == Look((), 0, None, None)


def test_its_begin_and_its_end() -> None:
    given = terms(start_at=moment_of(after(3)), end_at=moment_of(after(4)))
    times = minutely(given)
    assert times.after(NOON) == after(3), "a due time at the begin counts"
    assert times.after(after(3)) == after(4), "and one at the end"
    assert times.after(after(4)) is None
    assert look(times, given, after(4), after(4)) == Look((after(4),), 0, None, None)


def test_an_interval_is_counted_from_its_adding() -> None:
    times = Times("job", every(minutes=10), Terms(), NOON + 30_000)
    assert times.after(NOON + 30_000) == NOON + 30_000 + 10 * MINUTE
    assert times.after(NOON + 31_000) == NOON + 30_000 + 10 * MINUTE


def test_an_interval_is_counted_from_its_anchor_or_its_begin() -> None:
    anchored = Times("job", every(minutes=10, anchor=moment_of(NOON + 1)), Terms(), NOON + 30_000)
    assert anchored.after(NOON + 30_000) == NOON + 1 + 10 * MINUTE
    begins = Times("job", every(minutes=10), terms(start_at=moment_of(after(7))), NOON)
    assert begins.after(NOON) == after(7)
    assert begins.after(after(7)) == after(17)


def test_an_interval_keeps_its_step_over_a_long_gap() -> None:
    given = terms(misfire="skip")
    since = NOON + 123
    now = NOON + 365 * 24 * 60 * MINUTE
    due: int | None = since
    for _ in range(5):
        assert due is not None
        found = look(Times("job", every(60), given, due), given, due, now)
        due = found.due
        if due is not None and due > now:
            break
    assert due is not None and now < due <= now + MINUTE
    assert (due - since) % MINUTE == 0


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        (terms(misfire="skip"), []),
        (terms(misfire="skip", misfire_grace=150), [-2, -1, 0]),
        (terms(misfire="once"), [0]),
        (terms(misfire="once", misfire_grace=10), []),
        (terms(misfire="all", misfire_grace=150), [-2, -1, 0]),
    ],
)
def test_a_year_of_minutes_is_gone_through_in_a_few_looks(given: Terms, runs: list[int]) -> None:
    last = NOON + 365 * 24 * 60 * MINUTE
    now = last + 20 * SECOND
    times, due, fired, missed = minutely(given), NOON, [], 0
    looks = 0
    while due <= now:
        looks += 1
        found = look(times, given, due, now)
        fired += found.fire
        missed += found.missed
        assert found.due is not None and found.due > due
        due = found.due
    assert looks <= 2
    assert fired == [last + run * MINUTE for run in runs]
    assert due == last + MINUTE
    assert MOST <= missed <= MOST + 5


def gone_through(times: Times, given: Terms, now: int) -> list[int]:
    """What fires of all that is due from noon on."""
    due: int | None = NOON
    fired: list[int] = []
    for _ in range(10):
        if due is None or times.at(due) > now:
            return fired
        found = look(times, given, due, now)
        assert found.due is None or found.due > due
        fired += found.fire
        due = found.due
    raise AssertionError("it does not come to an end")


@pytest.mark.parametrize(
    "given",
    [
        terms(misfire="skip"),
        terms(misfire="skip", misfire_grace=1.2),
        terms(misfire="once"),
        terms(misfire="once", misfire_grace=1.2),
        terms(misfire="all", misfire_grace=1.2),
    ],
)
@pytest.mark.parametrize("jitter", [0, 0.05, 0.1])
@pytest.mark.parametrize("late", [0, 1, 50, 99])
def test_a_long_gap_ends_as_a_short_one_does(given: Terms, jitter: float, late: int) -> None:
    """More due times than are looked at one by one are gone over, and none of those that count."""
    step = 100
    times = Times("job", every(0.1, jitter=jitter), given, NOON)
    now = NOON + 5 * MOST * step + late
    every_one = [due for due in range(NOON, now + 1, step) if times.at(due) <= now]
    patience = 1200 if given.misfire_grace else SECOND
    wanted = [due for due in every_one if now - times.at(due) <= (patience if given.misfire != "once" else SECOND)]
    if given.misfire == "once":
        missed = [due for due in every_one if due not in wanted]
        before = missed[-1] if missed else NOON
        if not given.misfire_grace or now - times.at(before) <= patience:
            wanted = sorted([before, *wanted])
    assert gone_through(times, given, now) == wanted


def test_the_latest_up_to_a_moment() -> None:
    times = minutely(Terms())
    assert times.latest(NOON, after(3)) == after(3)
    assert times.latest(NOON, after(3) - 1) == after(2)
    assert times.latest(NOON, after(1) - 1) == NOON


def test_all_of_many_run_some_at_a_time() -> None:
    given = terms(misfire="all")
    count = 2 * MOST + 100
    times, due, fired = minutely(given), NOON, list[int]()
    now = NOON + (count - 1) * MINUTE
    while due <= now:
        found = look(times, given, due, now)
        assert 0 < len(found.fire) <= MOST
        fired += found.fire
        assert found.due is not None
        due = found.due
    assert fired == [NOON + n * MINUTE for n in range(count)]


def test_jitter_is_the_same_for_all_and_not_the_same_for_each() -> None:
    given = Terms()
    times = Times("job", every(60, jitter=30), given, NOON)
    again = Times("job", every(60, jitter=30), given, NOON)
    other = Times("other", every(60, jitter=30), given, NOON)
    drawn = [times.at(after(n)) - after(n) for n in range(200)]
    assert drawn == [again.at(after(n)) - after(n) for n in range(200)]
    assert drawn != [other.at(after(n)) - after(n) for n in range(200)]
    assert 0 <= min(drawn) < 3000 and 27_000 < max(drawn) <= 30_000
    assert len(set(drawn)) > 150


def test_the_longest_jitter_is_drawn_too() -> None:
    times = Times("job", every(60, jitter=0.001), Terms(), NOON)
    assert {times.at(after(n)) - after(n) for n in range(100)} == {0, 1}


def test_with_jitter_it_is_late_when_its_drawn_moment_is_over() -> None:
    given = terms(misfire="skip")
    times = Times("job", every(60, jitter=30), given, NOON)
    drawn = times.at(NOON)
    assert look(times, given, NOON, drawn + 1000).fire == (NOON,)
    assert look(times, given, NOON, drawn + 1001).fire == ()


@pytest.mark.parametrize("given", [terms(misfire=misfire) for misfire in ("skip", "once", "all")])
def test_one_that_is_drawn_for_an_earlier_moment_than_the_one_before_it_waits_for_that(given: Terms) -> None:
    times = Times("job", crontab("* * * * *", jitter=300), given, NOON)
    assert times.at(after(3)) > times.at(after(4)), "what this test is about"
    due: int | None = NOON
    now, ran, missed = times.at(NOON), list[int](), 0
    while len(ran) < 500:
        assert due is not None
        found = look(times, given, due, now)
        ran += found.fire
        missed += found.missed
        due, now = found.due, found.at or 0
    assert missed == 0
    assert ran == [after(n) for n in range(len(ran))]
    assert all(times.at(due) <= due + 300_000 for due in ran)


@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
@pytest.mark.parametrize("grace", [0, 0.5])
def test_what_is_on_time_is_within_any_grace(misfire: Any, grace: float) -> None:
    given = terms(misfire=misfire, misfire_grace=grace)
    assert at(1, given).fire == (NOON,)
    assert at(1.001, given).fire == ()


def test_once_and_never_again() -> None:
    given = Terms()
    times = Times("job", one_off(moment_of(NOON)), given, 0)
    assert times.after(NOON - 1) == NOON
    assert look(times, given, NOON, NOON) == Look((NOON,), 0, None, None)
    assert look(times, given, NOON, after(1000)) == Look((NOON,), 0, None, None), "late, but the latest"


class Standing(Schedule):
    """One that never goes on."""

    def next_after(self, when: datetime) -> datetime | None:
        return when


class Fine(Schedule):
    """Between the milliseconds."""

    def next_after(self, when: datetime) -> datetime | None:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        step = timedelta(microseconds=1500)
        return start + ((when - start) // step + 1) * step


def test_a_class_of_ones_own_that_stands_still_is_told() -> None:
    with pytest.raises(Exception, match="not later"):
        Times("job", Standing(), Terms(), NOON).after(NOON)


def test_no_due_time_comes_twice_though_there_is_none_between_the_milliseconds() -> None:
    times = Times("job", Fine(), Terms(), NOON)
    found = [NOON]
    for _ in range(50):
        following = times.after(found[-1])
        assert following is not None
        found.append(following)
    assert found == sorted(set(found))
