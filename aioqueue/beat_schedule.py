"""The setting `beat_schedule`: Celery's dictionary of schedules, as it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.schedules import Schedule, as_schedule, crontab, every

TERMS = ("misfire", "misfire_grace", "max_running", "start_at", "end_at", "max_runs")
_KEYS = ("task", "schedule", "args", "kwargs", "options", "relative", *TERMS)
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
