"""What stands in a canvas as JSON can hold it, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from aioqueue.exceptions import ConfigurationError, PayloadError
from aioqueue.payload.codec import from_marked, to_marked

_MARKED = "$"


def plain_call(task: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call as JSON can hold them, where there are any.

    What JSON has no form for, such as bytes, is marked, and comes back as it was.

    Raises:
        PayloadError: one cannot be written.
    """
    try:
        plain = {"args": _written(list(args)), "kwargs": _written(kwargs)}
    except PayloadError as error:
        raise PayloadError(f"The arguments of {task} cannot be written as JSON: {error}.") from None
    return {name: value for name, value in plain.items() if value}


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON can hold them; times are text (ISO 8601)."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else _written(value) for name, value in options.items()
    }


def _written(value: Any) -> Any:
    """As JSON can hold it: with marks for what it has no form for, and then in a dict of its own."""
    found, marked = to_marked(value, json=True)
    return {_MARKED: found} if marked or _is_written(value) else found


def read(value: Any) -> Any:
    """What was written like that.

    Raises:
        ConfigurationError: it was not.
    """
    if not _is_written(value):
        return value
    try:
        return from_marked(value[_MARKED])
    except PayloadError as error:
        raise ConfigurationError(f"{short(value)} is no part of a canvas: {error}.") from None


def _is_written(value: Any) -> bool:
    return isinstance(value, Mapping) and list(cast("Mapping[Any, Any]", value)) == [_MARKED]


def short(data: Any) -> str:
    """What stands in an error of data that may be long."""
    text = repr(data)
    return text if len(text) <= 120 else text[:120] + "…"
