"""Schedules from text, and from what else a schedule may be given as."""

from __future__ import annotations

import ast
from datetime import timedelta
from typing import Any, Final

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.schedules.base import Expression, Schedule
from aioqueue.schedules.cron import crontab
from aioqueue.schedules.instant import one_off
from aioqueue.schedules.interval import every
from aioqueue.schedules.sun import solar

_LONGEST: Final = 2_000
_KINDS: Final[dict[str, type[Expression]]] = {"crontab": crontab, "every": every, "one_off": one_off, "solar": solar}
_TAKES: Final = (
    "'*/5 9-17 * * mon-fri', 'every(minutes=10)', 'one_off(\"2026-12-31T18:00:00+01:00\")' or '300' (seconds)"
)


def parse_schedule(text: str) -> Schedule:
    """The schedule that a text says.

    Args:
        text: an expression, as `Schedule.text()` gives it: `crontab(...)`, `every(...)`, `one_off(...)`, `solar(...)`
            with literals for their arguments; or a crontab alone, `*/5 9-17 * * mon-fri` or `@daily`; or a number of
            seconds.

    Raises:
        ConfigurationError: it says none.
    """
    given: Any = text
    if not isinstance(given, str) or len(given) > _LONGEST:
        raise ConfigurationError(f"The text of a schedule is one of {_TAKES}, not {kinds.shown(given)}.")
    text = text.strip()
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return every(seconds)
    name, bracket, _ = text.partition("(")
    if not bracket:
        if not text or (len(text.split()) == 1 and not text.startswith("@")):
            raise ConfigurationError(f"The text of a schedule is one of {_TAKES}, not {text!r}.")
        return crontab(text)
    if (name := name.strip()) not in _KINDS:
        raise ConfigurationError(
            f"There is no schedule {kinds.shown(name)}.{suggest(name, _KINDS)} There are {', '.join(_KINDS)}."
        )
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        positional = [ast.literal_eval(value) for value in call.args]
        keywords = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords if word.arg}
        if len(keywords) != len(call.keywords):
            raise ValueError
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigurationError(
            f"The text of a schedule is one of {_TAKES}, with numbers and text for arguments, not {kinds.shown(text)}."
        ) from None
    try:
        return _KINDS[name](*positional, **keywords)
    except TypeError as error:
        raise ConfigurationError(f"{kinds.shown(text)} is no schedule: {error}.") from None


def as_schedule(value: Any) -> Schedule:
    """What a schedule may be given as, as one: a `Schedule`, a number of seconds, a timedelta, or text.

    Raises:
        ConfigurationError: it is none of these.
    """
    if isinstance(value, Schedule):
        return value
    if isinstance(value, str):
        return parse_schedule(value)
    if isinstance(value, timedelta | int | float) and not isinstance(value, bool):
        return every(value)
    if hasattr(value, "is_due"):
        raise ConfigurationError(
            f"{kinds.shown(value)} is one of Celery's schedules. Import crontab and solar from aioqueue, say "
            "every(...) for schedule(...), and derive a class of your own from aioqueue.Schedule."
        )
    raise ConfigurationError(
        "A schedule is crontab(...), every(...), one_off(...), solar(...), a Schedule of your own, a number of "
        f"seconds, a timedelta, or the text of a crontab, not {kinds.shown(value)}."
    )
