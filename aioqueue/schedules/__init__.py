"""Schedules: values that know when something is due. No clock, no broker, no coroutine.

`base.py` says what a schedule is; `cron.py`, `interval.py`, `instant.py` and `sun.py` are the four kinds; `zones.py`
knows what clocks show; `text.py` reads schedules.
"""

from __future__ import annotations

from typing import NoReturn

from aioqueue.schedules.base import Schedule, next_due, print_of, upcoming
from aioqueue.schedules.cron import crontab
from aioqueue.schedules.instant import one_off
from aioqueue.schedules.interval import every
from aioqueue.schedules.sun import solar
from aioqueue.schedules.text import as_schedule, parse_schedule

__all__ = [
    "Schedule",
    "as_schedule",
    "crontab",
    "every",
    "next_due",
    "one_off",
    "parse_schedule",
    "print_of",
    "solar",
    "upcoming",
]


def __getattr__(name: str) -> NoReturn:
    from aioqueue.other_words import elsewhere

    raise elsewhere(__name__, name)
