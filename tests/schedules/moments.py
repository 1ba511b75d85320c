"""Short ways to write moments and to ask for due times."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from aioqueue.schedules import Schedule, upcoming


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def local(text: str, zone: str, fold: int = 0) -> datetime:
    """A time on the clock of a zone, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def texts(schedule: Schedule, after: datetime, n: int, zone: str = "UTC") -> list[str]:
    """The next due times as the clock of a zone shows them, with its offset."""
    shown = (due.astimezone(ZoneInfo(zone)) for due in upcoming(schedule, after, n))
    return [due.isoformat(sep=" ", timespec="minutes") for due in shown]
