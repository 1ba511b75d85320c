"""Spans of time and moments: read from the command line, shown to people."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import click

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|min|m|h|d|)")


class Span(click.ParamType[float]):
    """Seconds, or with a unit: `90`, `1.5`, `250ms`, `5m`, `2h`, `1d`."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        match = _SPAN.fullmatch(str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is no span of time; give seconds, or a unit: 90, 1.5, 250ms, 5m, 2h, 1d.", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


class Moment(click.ParamType[datetime]):
    """A date and time in ISO 8601; one without a zone is UTC."""

    name = "iso-time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError:
            self.fail(f"{value!r} is no date and time; write it as 2026-12-31T18:00:00+01:00.", param, ctx)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class SpanOrMoment(click.ParamType[float | datetime]):
    """Either of them."""

    name = "seconds|iso-time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | datetime:
        if isinstance(value, datetime) or "-" in str(value):
            return MOMENT.convert(value, param, ctx)
        return SPAN.convert(value, param, ctx)


SPAN = Span()
MOMENT = Moment()
SPAN_OR_MOMENT = SpanOrMoment()


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
