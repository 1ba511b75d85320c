"""Crontabs at random: made from a number, as hypothesis draws one faster than a hundred."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

FIELDS: dict[str, tuple[int, int, Sequence[str]]] = {
    "minute": (0, 59, ()),
    "hour": (0, 23, ()),
    "day_of_month": (1, 31, ()),
    "month_of_year": (1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    "day_of_week": (0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
}


def _item(random: Random, name: str) -> str:
    """One item of a field: a number or a name, a range, with a step or without; what Celery knows, too."""
    low, high, names = FIELDS[name]
    kind = random.choice(["one", "one", "range", "stepped", "star"])
    if kind == "star":
        return f"*/{random.randint(1, high)}"
    words = names if names and random.random() < 0.5 else [str(number) for number in range(low, high + 1)]
    first, last = sorted([random.randint(low, high), random.randint(low, high)])
    if kind == "one":
        return words[first - low]
    return f"{words[first - low]}-{words[last - low]}" + (f"/{random.randint(1, 10)}" if kind == "stepped" else "")


def _field(random: Random, name: str, stars: float = 0.6) -> str:
    if random.random() < stars:
        return "*"
    return ",".join(_item(random, name) for _ in range(random.randint(1, 3)))


def cron_text(random: Random) -> str:
    """The text of a crontab that is due some day: on few days of the month in months of 31 only."""
    day = _field(random, "day_of_month")
    month = _field(random, "month_of_year") if day == "*" else random.choice(["*", "1", "jul-aug", "*/2"])
    return " ".join(
        [_field(random, "minute", 0.2), _field(random, "hour", 0.3), day, month, _field(random, "day_of_week")]
    )


def cron_keyword(random: Random) -> dict[str, Any]:
    """The same with keywords, as text, numbers or lists."""
    return {
        name: random.choice([text, text.split(","), int(text) if text.isdecimal() else text])
        for name, text in zip(FIELDS, cron_text(random).split(), strict=True)
        if text != "*"
    }


def cron_texts() -> st.SearchStrategy[str]:
    return st.integers(0, 2**32).map(lambda seed: cron_text(Random(seed)))


def cron_keywords() -> st.SearchStrategy[dict[str, Any]]:
    return st.integers(0, 2**32).map(lambda seed: cron_keyword(Random(seed)))
