"""Amounts as people read them in logs: `1 task`, `40 ms`, `a, b and 3 more`."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

_FEW = 10
# Seconds, and what is left over.
_UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 task`, `2 tasks`, `3 retries`; without a plural the noun takes an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def span(seconds: float) -> str:
    """A span of time in the unit that fits: `40 ms`, `2.3 s`, `1 min 35 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    seconds = round(seconds)
    size, unit, smaller, part = next(row for row in _UNITS if seconds >= row[0])
    whole, rest = divmod(round(seconds / smaller), size // smaller)
    return f"{whole} {unit} {rest} {part}" if rest else f"{whole} {unit}"


def few(names: Collection[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(names) - _FEW
    shown = ", ".join(islice(names, _FEW))
    return f"{shown} and {more} more" if more > 0 else shown
