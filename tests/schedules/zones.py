"""Zones whose clocks are changed, each in its own way, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

ZONES = [
    "Europe/Berlin",  # at 02:00 and 03:00
    "America/New_York",  # the other half of the world: at 02:00 to 01:00
    "Australia/Lord_Howe",  # by half an hour
    "Africa/Casablanca",  # back for Ramadan: four times a year
    "Pacific/Apia",  # a day left out: 30 December 2011
    "America/Santiago",  # over midnight
]


@cache
def changes(zone: str, first: int = 2010, last: int = 2030) -> list[datetime]:
    """The moments at which its clock is changed, in UTC."""
    there, found = ZoneInfo(zone), list[datetime]()
    moment, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last, 1, 1, tzinfo=UTC)
    offset = moment.astimezone(there).utcoffset()
    while moment < end:
        day_after = moment + timedelta(days=1)
        if day_after.astimezone(there).utcoffset() != offset:
            while (now := moment.astimezone(there).utcoffset()) == offset:
                moment += timedelta(minutes=1)
            found.append(moment)
            offset = now
        moment = (
            day_after if moment.minute == moment.hour == 0 else moment.replace(hour=0, minute=0) + timedelta(days=1)
        )
    return found
