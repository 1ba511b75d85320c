"""The setting `beat_schedule`: Celery's dictionary of schedules, as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, Protocol, Required, TypeAlias, TypedDict, cast

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.kinds import Seconds
from aioqueue.options import SendOptions
from aioqueue.schedules import Schedule, as_schedule, crontab, every

Misfire: TypeAlias = Literal["skip", "once", "all"]
"""What becomes of due times at which nothing could fire."""

When: TypeAlias = Schedule | float | timedelta | str
"""When something is due: a schedule, a number of seconds, a timedelta, or text such as "0 9 * * mon-fri"."""


class TermsGiven(TypedDict, total=False):
    """How a schedule fires, beside when, as `@app.periodic` and `app.schedules.add` take it.

    Attributes:
        misfire: what becomes of due times that were missed, as no scheduler ran: "skip" leaves them out, "once" runs
            the latest of them, "all" runs each.
        misfire_grace: how late a due time may be to be run at all, in seconds or as a timedelta. None is no limit, and
            1 s with "skip".
        max_running: leave a due time out while so many of its earlier tasks have not ended.
        start_at, end_at: nothing is due before, and after; one without a zone is read in the app's `timezone`.
        max_runs: after so many runs nothing is due any more.
    """

    misfire: Misfire
    misfire_grace: Seconds | None
    max_running: int | None
    start_at: datetime | None
    end_at: datetime | None
    max_runs: int | None


class Sendable(Protocol):
    """A task or a canvas."""

    @property
    def apply_async(self) -> Callable[..., Any]:
        """Sends it."""
        ...


class ScheduleEntry(TermsGiven, total=False):
    """An entry of `beat_schedule`.

    Attributes:
        task: the task's name, or a task or a canvas itself.
        schedule: when it is due.
        args, kwargs: for the task.
        options: of the sending, such as `{"queue": "low"}`.
        relative: Celery's: a number of seconds counts from the full day, hour or minute.
    """

    task: Required[str | Sendable]
    schedule: Required[When]
    args: Iterable[Any]
    kwargs: Mapping[str, Any]
    options: SendOptions
    relative: bool


BeatSchedule: TypeAlias = Mapping[str, ScheduleEntry]
"""What the setting `beat_schedule` takes."""

TERMS: Final = tuple(TermsGiven.__annotations__)
_KEYS: Final = tuple(ScheduleEntry.__annotations__)
_MIDNIGHT = datetime(2001, 1, 1)  # a Monday, by the clock of the app's `timezone`
_DAY = timedelta(days=1)


class BeatEntry(NamedTuple):
    """One of its schedules.

    Attributes:
        name: its name.
        task: the task's name, or a task or a canvas itself.
        schedule: when it is due.
        args, kwargs: for the task.
        options: of the sending.
        terms: as `@app.periodic` takes them.
    """

    name: str
    task: Any
    schedule: Schedule
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]
    terms: Mapping[str, Any]


def entry(name: Any, given: Any) -> BeatEntry:
    """An entry of the dictionary; of its task nothing is known here.

    Raises:
        ConfigurationError: it is none.
    """
    where = f"The entry {name!r} of beat_schedule"
    if not isinstance(name, str) or not isinstance(given, Mapping):
        raise ConfigurationError(
            f"{where} is {kinds.shown(given)}: beat_schedule is a dict of names, each with a dict such as "
            "{'task': 'shop.tasks.cleanup', 'schedule': 300}."
        )
    values = cast("Mapping[Any, Any]", given)
    for key in values:
        if key not in _KEYS:
            raise ConfigurationError(f"{where} has {key!r}, which means nothing there.{suggest(str(key), _KEYS)}")
    for key in ("task", "schedule"):
        if values.get(key) is None:
            raise ConfigurationError(f"{where} has no {key!r}.")
    try:
        schedule = as_schedule(values["schedule"])
    except ConfigurationError as error:
        raise ConfigurationError(f"{where} cannot be: {error}") from None
    if values.get("relative") and isinstance(schedule, every) and schedule.anchor is None:
        schedule = _by_the_clock(schedule)
    return BeatEntry(
        name,
        values["task"],
        schedule,
        kinds.ARGUMENTS.of(f"{where}: args", values.get("args") or ()),
        kinds.MAPPING.of(f"{where}: kwargs", values.get("kwargs") or {}),
        kinds.MAPPING.of(f"{where}: options", values.get("options") or {}),
        {key: values[key] for key in TERMS if key in values},
    )


def _by_the_clock(schedule: every) -> Schedule:
    """What Celery calls relative: each day at midnight, each hour when it is full."""
    if schedule.interval == _DAY:  # which is not always 24 hours
        return crontab("0 0 * * *", jitter=schedule.jitter)
    return every(schedule.interval, anchor=_MIDNIGHT, jitter=schedule.jitter)


def check_entries(entries: Mapping[Any, Any]) -> None:
    """Look at all of them.

    Raises:
        ConfigurationError: one of them is none.
    """
    for name, given in entries.items():
        entry(name, given)
