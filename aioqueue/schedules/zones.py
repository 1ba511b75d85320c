"""Time zones by name, and what their clocks show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError, suggest

_SECOND = timedelta(seconds=1)


def zone(name: str, what: str = "The time zone") -> ZoneInfo:
    """The zone of that IANA name.

    Args:
        name: such as "Europe/Berlin".
        what: whose zone it is, as the subject of a sentence.

    Raises:
        ConfigurationError: this machine knows no such zone.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # OSError: a folder, such as "Europe"
        known = available_timezones()
        missing = "" if known else " This machine has no zones at all: `pip install tzdata`."
        raise ConfigurationError(
            f"{what} is a name of the IANA data base, such as 'Europe/Berlin', not {kinds.shown(name)}."
            f"{suggest(name, known)}{missing}"
        ) from None


def zone_name(value: Any, what: str) -> str | None:
    """The name of a zone that a user gave: as text, a `ZoneInfo`, or `datetime.UTC`; None stays None.

    Raises:
        ConfigurationError: it is none of these, or nobody knows it.
    """
    if value is None:
        return None
    if isinstance(value, tzinfo):
        value = "UTC" if value is UTC else getattr(value, "key", None) or repr(value)
    if not isinstance(value, str):
        raise ConfigurationError(
            f"{what} is a name of the IANA data base, such as 'Europe/Berlin', not {kinds.shown(value)}."
        )
    return zone(value, what).key


def moments(local: datetime, zone: ZoneInfo, *, each: bool = False) -> list[datetime]:
    """When a clock in `zone` shows `local`, in UTC.

    Args:
        local: without a zone.
        zone: where the clock is.
        each: every time that it shows it. Else exactly one moment: the first when it shows that twice, because it was
            put back; when it never does, because it was put forward, the one at which it was.
    """
    early = local.replace(tzinfo=zone, fold=0).utcoffset() or timedelta()
    late = local.replace(tzinfo=zone, fold=1).utcoffset() or timedelta()
    local = local.replace(tzinfo=UTC)
    if early == late:
        return [local - early]
    if early > late:
        return [local - early, local - late] if each else [local - early]
    return [] if each else [_change(zone, local - late, local - early)]


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first second of another offset after `before`, at the latest `after`."""
    old = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2 // _SECOND * _SECOND
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
