"""Once, at a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, final

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError
from aioqueue.schedules.base import Expression, in_utc, written
from aioqueue.schedules.zones import moments, zone


def moment(what: str, value: Any) -> datetime:
    """A moment that a user gave: in UTC, or without a zone if it came without one; in whole milliseconds.

    Raises:
        ConfigurationError: it is neither a datetime nor one in text.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ConfigurationError(
                f"{what} is a datetime, or one in text such as '2026-12-31T18:00:00+01:00', not {kinds.shown(value)}."
            ) from None
    given: datetime = kinds.MOMENT.of(what, value)
    try:
        given = given.replace(tzinfo=None, fold=0) if given.utcoffset() is None else in_utc(given)
        if rest := given.microsecond % 1000:
            given += timedelta(microseconds=1000 - rest)
    except OverflowError:
        raise ConfigurationError(f"{what} is too near to the end of all dates: {value!r}.") from None
    return given


def moment_text(value: datetime | None) -> str | None:
    """Its text in ISO 8601."""
    return None if value is None else value.isoformat()


@final
class one_off(Expression):
    """Due once.

    Args:
        at: when: a datetime, or text in ISO 8601. One without a zone is read in the app's `timezone`.

    Raises:
        ConfigurationError: it is no moment.
    """

    at: datetime

    def __init__(self, at: datetime | str) -> None:
        at = moment("The moment of one_off(...)", at)
        self._freeze(written("one_off", moment_text(at)), at=at)

    def next_after(self, when: datetime) -> datetime | None:
        at = self.at.replace(tzinfo=UTC)
        return at if at > in_utc(when) else None

    def localized(self, timezone: str) -> one_off:
        where = zone(timezone)
        return self if self.at.tzinfo is not None else one_off(moments(self.at, where)[0])
