"""What the value of an option or a setting can be: a check for each kind, and the sentence that says what it takes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias, TypeGuard, cast

from aioqueue.exceptions import ConfigurationError, suggest

Seconds: TypeAlias = float | timedelta
"""A length of time: a number of seconds, or a timedelta."""

MOST: Final = 2**31
"""The highest number of anything that can be counted."""
MOST_BYTES: Final = 2**53
_LONGEST: Final = 1e11  # seconds; what can be added to a time in ms and still be a whole number


class NotHere(ValueError):
    """It is of the kind, but cannot be had in this process; the text says why, and what to do."""


class Kind(NamedTuple):
    """A kind of value.

    Attributes:
        takes: what such a value is, for a person.
        read: gives the value as it is used; raises `ValueError` or `TypeError` for what is none.
    """

    takes: str
    read: Callable[[Any], Any]

    def of(self, what: str, value: Any, after: str = "") -> Any:
        """`value` as it is used.

        Args:
            what: whose value it is, as the subject of a sentence.
            value: what was given.
            after: what became of it, as a sentence.

        Raises:
            ConfigurationError: it is not of this kind.
        """
        try:
            return self.read(value)
        except NotHere as error:
            raise ConfigurationError(f"{what} is {shown(value)}: {error}.{after}") from None
        except (ValueError, TypeError) as error:
            why = f" ({error})" if str(error) else ""
            raise ConfigurationError(f"{what} is {self.takes}, not {shown(value)}{why}.{after}") from None

    def or_none(self) -> Kind:
        """The same, or None."""

        def read(value: Any) -> Any:
            return None if value is None else self.read(value)

        return Kind(f"{self.takes}, or None", read)


def is_name(value: Any) -> TypeGuard[str]:
    """Whether it can name a queue or a task's id: 1 to 255 printable characters without spaces."""
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable() and " " not in value


def shown(value: Any) -> str:
    """A value as it is written, cut."""
    text = repr(value)
    return text if len(text) < 80 else text[:80] + "…"


def number_of_seconds(value: Any) -> float:
    """A number of seconds, or a timedelta, as a number.

    Raises:
        TypeError: it is something else.
        ValueError: nobody could wait for so long.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if not -_LONGEST < value < _LONGEST:  # nor NaN
        raise ValueError
    return value


def seconds(value: Seconds) -> float:
    """The same, of what the types have made sure of."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def _seconds(value: Any) -> float:
    if (number := number_of_seconds(value)) < 0:
        raise ValueError
    return number


def _timeout(value: Any) -> float | None:
    return None if value is None else number_of_seconds(value)


def _items(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str | bytes | Mapping):
        raise TypeError
    return tuple(value)


def _seconds_or_moment(value: Any) -> float | datetime:
    return value if isinstance(value, datetime) else _seconds(value)


def _positive_seconds(value: Any) -> float:
    if (number := number_of_seconds(value)) <= 0:
        raise ValueError
    return number


def _whole(lowest: int, highest: float = math.inf) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError
        if not lowest <= value <= highest:
            raise ValueError
        return value

    return read


def _instance(*types: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, types):
            raise TypeError
        return value

    return read


def _backoff(value: Any) -> bool | float:
    return value if isinstance(value, bool) else _positive_seconds(value)


def _exceptions(value: Any) -> tuple[type[BaseException], ...]:
    if isinstance(value, str | bytes | Mapping):
        raise TypeError(f"{shown(value)} is none")
    given: tuple[Any, ...] = (value,) if isinstance(value, type) else tuple(value)
    for one in given:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise TypeError(f"{shown(one)} is none")
    return cast("tuple[type[BaseException], ...]", given)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError
    found = cast("Mapping[Any, Any]", value)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(f"its key {shown(name)} is no text")
    return found


_UNITS: Final = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", re.IGNORECASE)


def number_of_bytes(value: Any) -> int:
    """A number of bytes, or a text such as "200MB" or "1.5 GiB", as a number.

    Raises:
        TypeError, ValueError: it is something else.
    """
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        if found is None or (unit := _UNITS.get(found[2].lower())) is None:
            raise ValueError
        value = int(min(float(found[1]) * unit, MOST_BYTES + 1))
    return _whole(0, MOST_BYTES)(value)


def one_of(names: Iterable[str]) -> Kind:
    """One of a few words."""
    known = tuple(names)

    def read(value: Any) -> str:
        if isinstance(value, str) and value not in known:
            raise ValueError(suggest(value, known).strip())
        if not isinstance(value, str):
            raise TypeError
        return value

    *others, last = (repr(name) for name in known)
    return Kind(f"{', '.join(others)} or {last}" if others else last, read)


def _name(value: Any) -> str:
    if not is_name(value):
        raise ValueError
    return value


def _function(value: Any) -> Callable[..., Any]:
    if not callable(value):
        raise TypeError
    return value


def _anything(value: Any) -> Any:
    return value


def up_to(most: int) -> Kind:
    """A number of things."""
    return Kind(f"a whole number from 1 to {most:,}", _whole(1, most))


ANYTHING: Final = Kind("anything", _anything)  # it is looked at where it is used
NAME: Final = Kind("a name of 1 to 255 printable characters without spaces", _name)
SECONDS: Final = Kind("a number of seconds from 0 on, or a timedelta", _seconds)
LIMIT: Final = Kind("a number of seconds above 0, or a timedelta", _positive_seconds)
DELAY: Final = Kind("a number of seconds, or a timedelta", number_of_seconds)
MOMENT: Final = Kind("a datetime", _instance(datetime))
PRIORITY: Final = Kind("a whole number from 0 to 9 (9 runs first)", _whole(0, 9))
COUNT: Final = Kind("a whole number from 0 on", _whole(0, MOST))
POSITIVE: Final = Kind("a whole number from 1 on", _whole(1, MOST))
FUNCTION: Final = Kind("a function", _function)
FLAG: Final = Kind("True or False", _instance(bool))
TEXT: Final = Kind("text", _instance(str))
TIMEOUT: Final = Kind("a number of seconds, a timedelta, or None for as long as it takes", _timeout)
ARGUMENTS: Final = Kind("a list or a tuple", _items)
MAPPING: Final = Kind("a dict with text for its keys", _mapping)
EXCEPTIONS: Final = Kind("an exception's class, or several of them", _exceptions)
EXCEPTION: Final = Kind("an exception", _instance(BaseException))
BACKOFF: Final = Kind("True, False, or a number of seconds (or a timedelta) to begin with", _backoff)
UNTIL: Final = Kind("a number of seconds from 0 on, a timedelta, or a datetime", _seconds_or_moment)
BYTES: Final = Kind("a number of bytes, or a text such as '200MB' or '1 GiB'", number_of_bytes)
