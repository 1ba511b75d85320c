"""What a conversion is: a function for each kind of payload, or nothing to do."""

from __future__ import annotations

import typing
from collections.abc import Callable
from inspect import Parameter
from typing import Any, Final, NamedTuple

from aioqueue.payload.introspection import UNIONS, stripped

Convert = Callable[[Any], Any]


class Conversion(NamedTuple):
    """How a decoded value becomes what its annotation says; None means: as it is.

    Attributes:
        binary: for values from msgpack, which has bytes and any keys.
        textual: for values from JSON, where bytes are base64 and keys are text.
    """

    binary: Convert | None = None
    textual: Convert | None = None


NONE: Final = Conversion()

# Decoded as themselves. `int` isn't checked: Python doesn't either.
_PLAIN: Final = (Any, object, Parameter.empty, None, type(None), bool, int, float, str, list, dict)


def is_plain(annotation: Any, *, textual: bool = False) -> bool:
    """Whether a value arrives under an annotation as it was decoded."""
    annotation = stripped(annotation)
    if not typing.get_args(annotation):
        annotation = typing.get_origin(annotation) or annotation  # typing.List is list
    if typing.get_origin(annotation) in UNIONS:
        return all(is_plain(member, textual=textual) for member in typing.get_args(annotation))
    return any(annotation is plain for plain in _PLAIN) or (annotation is bytes and not textual)


def describe(error: Exception) -> str:
    """What is wrong with a value, without the value: it may be a secret, and it may be large."""
    if hasattr(error, "errors") and type(error).__module__.startswith("pydantic"):
        try:
            pydantic_error: Any = error
            details: list[dict[str, Any]] = pydantic_error.errors(
                include_input=False, include_url=False, include_context=False
            )
            return "; ".join(f"{'.'.join(map(str, item['loc'])) or '$'}: {item['msg']}" for item in details[:3])
        except Exception:
            return type(error).__name__
    # `$[0]` is the wrapper's only field.
    return str(error).replace(" - at `$[0]`", "").replace("`$[0]", "`$")[:1000]
