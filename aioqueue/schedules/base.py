"""What a schedule is: something that knows when it is due next."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError

_MILLISECOND = timedelta(milliseconds=1)


class Schedule(ABC):
    """When something is due, again and again. Derive from it for a schedule of your own: it needs `next_after` only.

    A schedule is a value: two of the same class with equal attributes are equal. It is asked from several threads and
    processes, and again after years, so that its answer must follow from its attributes and from `when` alone: no
    clock, no counter.

    Attributes:
        jitter: by how many seconds at most a run is put off. Which of them it is follows from the schedule's name and
            the due time.
    """

    jitter: float = 0.0

    @abstractmethod
    def next_after(self, when: datetime) -> datetime | None:
        """The first due time after `when`.

        Args:
            when: aware; usually the due time before.

        Returns:
            an aware datetime, later than `when`; None if there is none, ever.

        Raises:
            ValueError: `when` has no time zone.
        """

    def localized(self, timezone: str) -> Schedule:
        """This schedule, read in that time zone if it names none itself.

        Args:
            timezone: an IANA name.

        Raises:
            ConfigurationError: nobody knows that zone.
        """
        return self

    def text(self) -> str | None:
        """The expression that makes it, for `parse_schedule`; None for a class of your own."""
        return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return type(self) is type(other) and self.__getstate__() == other.__getstate__()  # slots are part of it

    def __hash__(self) -> int:
        return hash(type(self))  # the attributes of a user's own class may be of any kind

    def __repr__(self) -> str:
        attributes = ", ".join(f"{name}={_shown(value)}" for name, value in vars(self).items())
        return f"{type(self).__qualname__}({attributes})"


def _shown(value: object) -> str:
    """Its `repr`, where the order in which members of a set are met makes no difference."""
    if value and isinstance(value, set | frozenset):
        members = f"{{{', '.join(sorted(map(repr, cast('set[object]', value))))}}}"
        return members if isinstance(value, set) else f"frozenset({members})"
    return repr(value)


_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def print_of(schedule: Schedule) -> str:
    """How one of a class of the user's own prints, the same in each process that makes it: it is known by that."""
    as_dataclass = is_dataclass(schedule) and hasattr(type(schedule).__repr__, "__wrapped__") and vars(schedule)
    return _ADDRESS.sub("", Schedule.__repr__(schedule) if as_dataclass else str(schedule))


class Expression(Schedule):
    """A schedule that is what its text says: frozen, equal when the texts are."""

    _text: str

    def _freeze(self, text: str, **attributes: Any) -> None:
        vars(self).update(attributes, _text=text)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self} cannot be changed: make another one.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{self} cannot be changed: make another one.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Expression):
            return False if isinstance(other, Schedule) else NotImplemented
        return self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Any, ...]:
        from aioqueue.schedules.text import parse_schedule

        return parse_schedule, (self._text,)

    def __repr__(self) -> str:
        return self._text

    def text(self) -> str:
        return self._text


def written(name: str, *positional: object, **keywords: object) -> str:
    """The call of that name with those arguments, as Python writes it. What is None is left out."""
    given = [repr(value) for value in positional if value is not None]
    given += [f"{key}={value!r}" for key, value in keywords.items() if value is not None]
    return f"{name}({', '.join(given)})"


def checked_jitter(of: str, value: Any) -> float:
    """A `jitter` as a number of seconds."""
    jitter = kinds.DELAY.of(f"The jitter of {of}", value)
    if jitter < 0:
        raise ConfigurationError(f"The jitter of {of} is a number of seconds from 0 on, not {kinds.shown(value)}.")
    return float(jitter)


def shortest(number: float) -> float | None:
    """A number of seconds as it is written: without a fraction where it has none; None for 0."""
    return (int(number) if number == int(number) else number) or None


def in_utc(when: datetime) -> datetime:
    """The same moment in UTC, where datetimes compare and add up as moments do: in a zone, they do as the clock reads.

    Raises:
        ValueError: it has no zone.
    """
    if when.utcoffset() is None:
        raise ValueError(f"{when!r} has no time zone. Give it one: datetime.now(UTC).")
    return when.astimezone(UTC)


def next_due(schedule: Schedule, when: datetime) -> datetime | None:
    """What `schedule` answers, looked at: the first due time after `when`, in UTC and in whole milliseconds.

    Raises:
        ConfigurationError: a class of the user's own gave what is no datetime, has no zone, or is not later.
    """
    when = in_utc(when)
    due: Any = schedule.next_after(when)
    if due is None:
        return None
    if not isinstance(due, datetime) or due.utcoffset() is None:
        raise ConfigurationError(
            f"{type(schedule).__name__}.next_after gave {kinds.shown(due)}; it has to give a datetime with a time "
            "zone, or None for never again."
        )
    if (late := due.astimezone(UTC)) <= when:
        raise ConfigurationError(
            f"{type(schedule).__name__}.next_after({when.isoformat()}) gave {due.isoformat()}, which is not later. It "
            "has to give the first due time after the one that it is given."
        )
    # Where times are kept in ms, one that is cut would come again as its own successor.
    return late if not (rest := late.microsecond % 1000) else late - timedelta(microseconds=rest) + _MILLISECOND


def upcoming(schedule: Schedule, after: datetime, n: int) -> list[datetime]:
    """The next `n` due times after a moment, in UTC; fewer if there are no more.

    Raises:
        ConfigurationError: as of `next_due`.
        ValueError: `after` has no time zone.
    """
    found: list[datetime] = []
    due: datetime | None = after
    while len(found) < n and (due := next_due(schedule, due)) is not None:
        found.append(due)
    return found
