"""Values as JSON shows them: for people, web pages and programs that read, not to be made into the same value again."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from aioqueue.payload.plain import Unsendable, to_plain

_DEEPEST = 50
_REFUSALS = (TypeError, ValueError, RecursionError, OverflowError)


def json_form(value: Any) -> Any:
    """A value as plain data that `json.dumps` and any web framework takes.

    Dataclasses, attrs classes, Structs and pydantic models are dicts of their fields; dates, UUIDs, decimals and paths
    are text; bytes are base64; tuples and sets are lists; what is no number, such as NaN, is None; and what JSON has no
    form for is what `repr` says.
    """
    return msgspec.json.decode(json_text(value))


def json_text(value: Any) -> bytes:
    """The same, as the text of it in UTF-8."""
    try:
        return msgspec.json.encode(value, enc_hook=_form)
    except _REFUSALS:
        return msgspec.json.encode(_by_parts(value))


def _form(value: Any) -> Any:
    """msgspec's `enc_hook`: what it does not know itself."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        try:
            return dump(mode="json")
        except Exception:  # a serializer of the user's
            return repr(value)
    try:
        return to_plain(value)
    except Unsendable:
        return repr(value)


def _by_parts(value: Any, depth: int = 0) -> Any:
    """Where something in it keeps the whole from being written: that alone is shown as Python would."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _encodable(value)
    if depth < _DEEPEST and isinstance(value, dict):
        items = cast("dict[Any, Any]", value)
        return {_encodable(str(key)): _by_parts(item, depth + 1) for key, item in items.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_by_parts(member, depth + 1) for member in cast("list[Any]", value)]
    try:
        found = msgspec.to_builtins(value, enc_hook=_form)
    except _REFUSALS:
        return _encodable(repr(value))
    return _encodable(repr(value)) if found is value or depth >= _DEEPEST else _by_parts(found, depth + 1)


def _encodable(text: str) -> str:
    """Text whose halves of characters, and bytes that were no text, are written as Python would."""
    try:
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
