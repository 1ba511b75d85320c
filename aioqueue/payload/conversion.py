"""From decoded builtins to what an annotation promises.

An annotation is looked at once. What comes out is None where the decoded value is passed on as it is, else a
function of the value. An annotation that can't be followed (a class that isn't data, a forward reference that
leads nowhere) gives None as well: the task runs with the plain value.
"""

from __future__ import annotations

import datetime
import decimal
import sys
import typing
import uuid
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, cast

import msgspec

from aioqueue.payload.boxes import like
from aioqueue.payload.convert import NONE, Conversion, is_plain
from aioqueue.payload.introspection import UNIONS, stripped
from aioqueue.payload.parts import by_parts
from aioqueue.payload.plain import MAKERS, to_plain, type_name

_SCALARS: Final = frozenset(
    {bool, int, float, str, type(None), datetime.datetime, datetime.date, datetime.time, datetime.timedelta}
    | {uuid.UUID, decimal.Decimal, list, dict, tuple, set, frozenset}
)
_SUBCLASSED: Final = (str, int, float, bytes)
_DICTS: Final[tuple[Any, ...]] = (OrderedDict, defaultdict, Counter)


def conversion_for(annotation: Any) -> Conversion:
    """The conversion for a resolved annotation."""
    try:
        annotation = stripped(annotation)
        binary_plain, textual_plain = is_plain(annotation), is_plain(annotation, textual=True)
        if textual_plain:
            return NONE
        found = _build(annotation)
    except Exception:
        # Annotations are arbitrary objects, and looking at them runs code of theirs.
        return NONE
    return Conversion(None, found.textual) if binary_plain else found


def _build(annotation: Any) -> Conversion:
    found = list(leaves(annotation))
    if any(_is_pydantic(leaf) for leaf in found) and (validated := _with_pydantic(annotation)) is not None:
        return validated
    if not all(map(_is_convertible, found)):
        return by_parts(annotation)
    wrapper = msgspec.defstruct("Value", [("value", annotation)], array_like=True)
    try:
        msgspec.msgpack.Decoder(wrapper, dec_hook=from_plain)
    except TypeError:
        # msgspec refuses unions it can't tell apart, also those in fields.
        return by_parts(annotation)
    return _with_msgspec(wrapper, simple=all(map(_is_scalar, found)))


def leaves(annotation: Any, depth: int = 32) -> Iterator[Any]:
    """Every class that an annotation names, and the extras of its `Annotated`."""
    annotation = stripped(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal or depth == 0:
        return
    if origin is typing.Annotated:
        yield from annotation.__metadata__
        yield from leaves(annotation.__origin__, depth - 1)
        return
    if origin is None:
        yield annotation
        return
    if origin not in UNIONS:
        yield origin
    for argument in typing.get_args(annotation):
        if argument is not Ellipsis:
            yield from leaves(argument, depth - 1)


def _is_scalar(leaf: Any) -> bool:
    return isinstance(leaf, type) and (leaf in _SCALARS or issubclass(leaf, Enum))


def _is_pydantic(leaf: Any) -> bool:
    cls = leaf if isinstance(leaf, type) else type(leaf)  # pyright: ignore[reportUnknownVariableType]
    has_schema = hasattr(cls, "__get_pydantic_core_schema__") or hasattr(cls, "__pydantic_core_schema__")
    return has_schema or cls.__module__.partition(".")[0] == "pydantic"


def _is_convertible(leaf: Any) -> bool:
    if leaf is Any or leaf is None or not isinstance(leaf, type):
        return True  # a TypeVar, the extras of an Annotated: msgspec knows, or refuses the whole
    if issubclass(leaf, (PurePath, complex, *_SUBCLASSED)) or leaf in _DICTS or _is_pydantic(leaf):
        return True
    try:
        return not isinstance(msgspec.inspect.type_info(leaf), msgspec.inspect.CustomType)
    except TypeError:
        return True  # there is a union in its fields that msgspec refuses


def _with_msgspec(wrapper: Any, *, simple: bool) -> Conversion:
    # msgspec analyses an annotation on every call (1 µs for `int | None`), but that of a Struct only once: hence
    # the Struct with one field.
    convert = msgspec.convert
    if simple:

        def binary(value: Any) -> Any:
            try:
                return convert((value,), wrapper).value
            except msgspec.ValidationError:
                return convert((_flat(value),), wrapper).value

    else:

        def binary(value: Any) -> Any:
            # bytes are told as a builtin so that text isn't taken for base64.
            try:
                return convert((value,), wrapper, dec_hook=from_plain, builtin_types=(bytes,)).value
            except msgspec.ValidationError:
                return convert((_flat(value),), wrapper, dec_hook=from_plain, builtin_types=(bytes,)).value

    def textual(value: Any) -> Any:
        try:
            return convert((value,), wrapper, dec_hook=from_plain, str_keys=True).value
        except msgspec.ValidationError:
            return convert((_flat(value),), wrapper, dec_hook=from_plain, str_keys=True).value

    return Conversion(binary, textual)


def _flat(value: Any) -> Any:
    """A value as msgpack's own types: what an annotation that names another type than was sent may ask for.

    Under `list[str]`, paths are text.
    """
    return msgspec.to_builtins(value, enc_hook=to_plain, builtin_types=(bytes,))


def _with_pydantic(annotation: Any) -> Conversion | None:
    # Whoever wrote this annotation has imported pydantic.
    pydantic = sys.modules.get("pydantic")
    if pydantic is None:
        return None
    try:
        adapter = pydantic.TypeAdapter(annotation)
    except Exception:
        return None  # it holds something that pydantic doesn't know, a Struct for one

    def validate(value: Any) -> Any:
        try:
            return adapter.validate_python(value, by_alias=True, by_name=True)
        except pydantic.ValidationError:
            # A strict model takes a date as text from JSON only.
            try:
                return adapter.validate_json(msgspec.json.encode(value, enc_hook=to_plain), by_alias=True, by_name=True)
            except Exception:
                pass
            raise

    return Conversion(validate, validate)


def from_plain(cls: Any, value: Any) -> Any:
    """msgspec's `dec_hook`: makes what `to_plain` took apart."""
    origin: Any = typing.get_origin(cls) or cls
    if any(origin is one for one in _DICTS) and isinstance(value, dict):
        return _dict_of(origin, typing.get_args(cls), value)
    if isinstance(value, origin):
        return value
    if _derives(origin, PurePath, complex) and isinstance(value, str):
        return origin(value)
    for base in _SUBCLASSED:
        if _derives(origin, base) and isinstance(value, base):
            return origin(value)
    if hasattr(origin, "model_validate"):
        return origin.model_validate(value, by_alias=True, by_name=True)
    raise ValueError(f"Expected `{type_name(origin)}`, got `{type_name(type(value))}`")


def _dict_of(origin: Any, hints: tuple[Any, ...], value: Any) -> Any:
    """A dict of the annotated kind, or of the one that it is already."""
    hints = (*hints, int) if origin is Counter else hints
    convert = conversion_for(dict[hints]).textual if hints else None  # pyright: ignore[reportInvalidTypeArguments]
    items: Any = value if convert is None else convert(value)
    if isinstance(value, origin):
        return value if items is value else like(value, items)
    return cast("Any", origin)(*((_maker_of(hints), items) if origin is defaultdict else (items,)))


def _maker_of(hints: tuple[Any, ...]) -> Any:
    """What makes the values of a defaultdict that was sent as a plain dict."""
    last: Any = hints[-1] if hints else None
    return next((made for made in MAKERS if made is (typing.get_origin(last) or last)), None)


def _derives(cls: Any, *bases: type) -> bool:
    return issubclass(cls, bases)
