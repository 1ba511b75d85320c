"""Options of `aioqueue worker` that are settings of the app, for as long as this worker runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from aioqueue.cli.times import parse_span
from aioqueue.exceptions import ConfigurationError

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

_F = TypeVar("_F", bound=Callable[..., Any])


class _Override(NamedTuple):
    """An option and the setting that it is, under Celery's name where it has Celery's unit. One of the type bool takes
    no value."""

    names: tuple[str, ...]
    setting: str
    type: Any
    metavar: str
    help: str

    @property
    def parameter(self) -> str:
        """Its keyword argument."""
        return self.names[-1].lstrip("-").replace("-", "_")


def _parse_most(text: str) -> int:
    most, _, least = text.partition(",")
    if not most.isdigit() or int(most) < 1 or (least and not least.isdigit()):
        raise click.BadParameter(f"{text!r} is no MAX,MIN such as 10,3.")
    return max(int(most), int(least or 0))  # Celery takes them in either order, too


_parse_most.__name__ = "MAX[,MIN]"

_OVERRIDES: Final = (
    _Override(("-P", "--pool"), "worker_pool", str, "POOL", "For plain functions: async, threads, processes or solo."),
    _Override(("--time-limit",), "task_time_limit", parse_span, "SECONDS", "End tasks that run for longer."),
    _Override(
        ("--soft-time-limit",),
        "task_soft_time_limit",
        parse_span,
        "SECONDS",
        "Raise SoftTimeLimitExceeded in tasks that run for longer.",
    ),
    _Override(
        ("--max-tasks", "--max-tasks-per-child"),
        "worker_max_tasks_per_child",
        click.IntRange(1),
        "N",
        "Replace the process after so many tasks.",
    ),
    _Override(
        ("--max-memory", "--max-memory-per-child"),
        "worker_max_memory_per_child",
        str,
        "KIB",
        "Replace the process when it takes more: 500000, or 500MB.",
    ),
    _Override(
        ("--prefetch",),
        "worker_prefetch",
        click.IntRange(0),
        "N",
        "Hold N tasks ready beside those that run; 0 is none.",
    ),
    _Override(
        ("--prefetch-multiplier",),
        "worker_prefetch_multiplier",
        click.IntRange(0),
        "N",
        "Hold N times the concurrency, those that run included.",
    ),
    _Override(
        ("--autoscale",),
        "worker_concurrency",
        _parse_most,
        "MAX[,MIN]",
        "The same as -c MAX: what is idle costs nothing.",
    ),
    _Override(("-E", "--task-events", "--events"), "events", bool, "", "Tell what happens: see aioqueue events."),
)


def override_options(command: _F) -> _F:
    """The options."""
    for one in reversed(_OVERRIDES):
        kind: dict[str, Any] = {"type": one.type, "metavar": one.metavar}
        if one.type is bool:
            kind = {"is_flag": True, "default": None}
        command = click.option(one.parameter, *one.names, help=one.help, **kind)(command)
    return command


def override(app: AioQueue, given: Mapping[str, Any]) -> None:
    """Set what was given.

    Raises:
        UsageError: a value that its setting cannot have.
    """
    values = {one.setting: given[one.parameter] for one in _OVERRIDES if given[one.parameter] is not None}
    if {"worker_prefetch", "worker_prefetch_multiplier"} <= values.keys():
        raise click.UsageError("--prefetch and --prefetch-multiplier say the same in two ways: give one of them.")
    if "worker_prefetch_multiplier" in values:
        values["worker_prefetch"] = None
    try:
        app.conf.update(values)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


def words_of(given: Mapping[str, Any]) -> list[str]:
    """The same options, for the command of another process."""
    found = [(one.names[-1], given[one.parameter]) for one in _OVERRIDES if given[one.parameter] is not None]
    return [word for name, value in found for word in ((name,) if value is True else (name, str(value)))]
