"""Spans of time and moments: read from the command line, shown to people."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|min|m|h|d|)")


def parse_span(text: str) -> float:
    """Seconds, or with a unit: `90`, `1.5`, `250ms`, `5m`, `2h`, `1d`.

    Raises:
        BadParameter: it is no span of time.
    """
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None:
        raise click.BadParameter(f"{text!r} is no span of time: 90 (seconds), 1.5, 250ms, 5m, 2h, 1d.")
    return float(match[1]) * _UNITS[match[2]]


def read_moment(text: str) -> datetime:
    """A date and time in ISO 8601, with a zone or without.

    Raises:
        BadParameter: it is no date and time.
    """
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise click.BadParameter(f"{text!r} is no date and time; write it as 2026-12-31T18:00:00+01:00.") from None


def parse_moment(text: str) -> datetime:
    """The same; one without a zone is UTC.

    Raises:
        BadParameter: it is no date and time.
    """
    moment = read_moment(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def parse_span_or_moment(text: str) -> float | datetime:
    """Either of them.

    Raises:
        BadParameter: it is neither.
    """
    return parse_moment(text) if "-" in text else parse_span(text)


def span_option(*names: str, help: str) -> Callable[[_F], _F]:
    """An option that takes a span of time; its value is in seconds."""
    return click.option(*names, type=parse_span, metavar="SECONDS", help=help)


def span_text(seconds: float | None) -> str:
    """`12 ms`, `3.4 s`, `5 min`, `2 h 10 min`, `3 d 4 h`; nothing for None."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def moment_text(moment: datetime | None, *, since: datetime | None = None) -> str:
    """A moment in the local zone, and how long ago that is."""
    if moment is None:
        return ""
    ago = ((since or datetime.now(UTC)) - moment).total_seconds()
    when = moment.astimezone().isoformat(sep=" ", timespec="milliseconds")
    return f"{when}  ({span_text(ago)} ago)" if ago >= 0 else f"{when}  (in {span_text(-ago)})"
