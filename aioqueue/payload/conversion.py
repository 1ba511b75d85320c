"""From decoded builtins to what an annotation promises.

An annotation is looked at once. What comes out is None where the decoded value is passed on as it is, else a
function of the value. An annotation that can't be followed (a class that isn't data, a forward reference that
leads nowhere) gives None as well: the task runs with the plain value.
"""

from __future__ import annotations

import datetime
import decimal
import sys
import types
import typing
import uuid
from collections.abc import Callable, Iterator
from enum import Enum
from inspect import Parameter
from pathlib import PurePath
from typing import Any, Final, NamedTuple

import msgspec

from aioqueue.payload.plain import type_name

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
_SCALARS: Final = frozenset(
    {bool, int, float, str, type(None), datetime.datetime, datetime.date, datetime.time, datetime.timedelta}
    | {uuid.UUID, decimal.Decimal, list, dict, tuple, set, frozenset}
)
_UNIONS: Final = (typing.Union, types.UnionType)
_SUBCLASSED: Final = (str, int, float, bytes)


def conversion_for(annotation: Any) -> Conversion:
    """The conversion for a resolved annotation."""
    try:
        annotation = _strip(annotation)
        binary_plain, textual_plain = _is_plain(annotation), _is_plain(annotation, textual=True)
        if textual_plain:
            return NONE
        found = _build(annotation)
    except Exception:
        # Annotations are arbitrary objects, and looking at them runs code of theirs.
        return NONE
    return Conversion(None, found.textual) if binary_plain else found


def _strip(annotation: Any) -> Any:
    """Through NewType and `type X = ...`, which are names for something else."""
    for _ in range(32):
        if hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            break
    return annotation


def _is_plain(annotation: Any, *, textual: bool = False) -> bool:
    annotation = _strip(annotation)
    if not typing.get_args(annotation):
        annotation = typing.get_origin(annotation) or annotation  # typing.List is list
    if typing.get_origin(annotation) in _UNIONS:
        return all(_is_plain(member, textual=textual) for member in typing.get_args(annotation))
    return any(annotation is plain for plain in _PLAIN) or (annotation is bytes and not textual)


def _build(annotation: Any) -> Conversion:
    leaves = list(_leaves(annotation))
    if any(_is_pydantic(leaf) for leaf in leaves) and (found := _with_pydantic(annotation)) is not None:
        return found
    if not all(map(_is_convertible, leaves)):
        return _by_member(annotation)
    wrapper = msgspec.defstruct("Value", [("value", annotation)], array_like=True)
    try:
        msgspec.msgpack.Decoder(wrapper, dec_hook=from_plain)
    except TypeError:
        # msgspec refuses unions it can't tell apart.
        return _by_member(annotation)
    return _with_msgspec(wrapper, simple=all(map(_is_scalar, leaves)))


def _leaves(annotation: Any, depth: int = 32) -> Iterator[Any]:
    """Every class that an annotation names, and the extras of its `Annotated`."""
    annotation = _strip(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal or depth == 0:
        return
    if origin is typing.Annotated:
        yield from annotation.__metadata__
        yield from _leaves(annotation.__origin__, depth - 1)
        return
    if origin is None:
        yield annotation
        return
    if origin not in _UNIONS:
        yield origin
    for argument in typing.get_args(annotation):
        if argument is not Ellipsis:
            yield from _leaves(argument, depth - 1)


def _is_scalar(leaf: Any) -> bool:
    return isinstance(leaf, type) and (leaf in _SCALARS or issubclass(leaf, Enum))


def _is_pydantic(leaf: Any) -> bool:
    cls = leaf if isinstance(leaf, type) else type(leaf)  # pyright: ignore[reportUnknownVariableType]
    return hasattr(cls, "__get_pydantic_core_schema__") or cls.__module__.partition(".")[0] == "pydantic"


def _is_convertible(leaf: Any) -> bool:
    if leaf is Any or leaf is None or not isinstance(leaf, type):
        return True  # a TypeVar, the extras of an Annotated: msgspec knows, or refuses the whole
    if issubclass(leaf, (PurePath, complex, *_SUBCLASSED)) or _is_pydantic(leaf):
        return True
    return not isinstance(msgspec.inspect.type_info(leaf), msgspec.inspect.CustomType)


def _with_msgspec(wrapper: Any, *, simple: bool) -> Conversion:
    # msgspec analyses an annotation on every call (1 µs for `int | None`), but that of a Struct only once: hence
    # the Struct with one field.
    convert = msgspec.convert
    if simple:

        def binary(value: Any) -> Any:
            return convert((value,), wrapper).value

    else:

        def binary(value: Any) -> Any:
            # bytes are told as a builtin so that text isn't taken for base64.
            return convert((value,), wrapper, dec_hook=from_plain, builtin_types=(bytes,)).value

    def textual(value: Any) -> Any:
        return convert((value,), wrapper, dec_hook=from_plain, str_keys=True).value

    return Conversion(binary, textual)


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
                return adapter.validate_json(msgspec.json.encode(value), by_alias=True, by_name=True)
            except Exception:
                pass
            raise

    return Conversion(validate, validate)


def _by_member(annotation: Any) -> Conversion:
    """A union of which msgspec can't tell the members apart: the first one that fits."""
    if typing.get_origin(annotation) not in _UNIONS:
        return NONE
    pairs: list[tuple[Convert, Convert]] = []
    for member in typing.get_args(annotation):
        found = conversion_for(member)
        if found.textual is None and not _is_plain(member):
            return NONE  # one that can't be followed might be the one that is meant
        exact = _exactly(_strip(member))
        pairs.append((found.binary or exact, found.textual or exact))
    return Conversion(_first([pair[0] for pair in pairs]), _first([pair[1] for pair in pairs]))


def _exactly(cls: Any) -> Convert:
    def check(value: Any) -> Any:
        if cls not in (Any, object) and not (value is None if cls is None else isinstance(value, cls)):
            raise ValueError(f"Expected `{type_name(cls)}`, got `{type_name(type(value))}`")
        return value

    return check


def _first(converts: list[Convert]) -> Convert:
    def convert(value: Any) -> Any:
        problems: list[str] = []
        for attempt in converts:
            try:
                return attempt(value)
            except Exception as error:
                problems.append(describe(error))
        raise ValueError("; ".join(problems))

    return convert


def from_plain(cls: Any, value: Any) -> Any:
    """msgspec's `dec_hook`: makes what `to_plain` took apart."""
    origin: Any = typing.get_origin(cls) or cls
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


def _derives(cls: Any, *bases: type) -> bool:
    return issubclass(cls, bases)


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
