"""What a conversion has made of containers, as the containers that were sent.

An annotation such as `Sequence[int]` takes a tuple as well as a list, and conversion makes a list of whatever it is.
Where what was sent is an instance of what is annotated, it arrives as what it was. That can only be asked of payloads
with marks: others hold lists and dicts alone.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from aioqueue.payload.boxes import ROWS, is_named_tuple, kind_of, like
from aioqueue.payload.conversion import conversion_for
from aioqueue.payload.convert import Conversion, Convert
from aioqueue.payload.fields import fields_of
from aioqueue.payload.introspection import UNIONS, hints_of, stripped


def restoring(annotation: Any) -> Conversion:
    """The conversion for an annotation, of payloads with marks."""
    return Conversion(*(convert and _then_restored(annotation, convert) for convert in conversion_for(annotation)))


def _then_restored(annotation: Any, convert: Convert) -> Convert:
    return lambda value: restored(annotation, value, convert(value))


def restored(annotation: Any, given: Any, made: Any) -> Any:
    """`made`, with the kinds of containers that `given` had where the annotation takes them.

    Args:
        annotation: what `given` was converted to.
        given: what was sent, decoded.
        made: what the conversion made of it.
    """
    if made is given:
        return made
    annotation = stripped(annotation)
    origin = typing.get_origin(annotation)
    if annotation is Any or annotation is object:
        return given
    if origin is typing.Annotated:
        return restored(annotation.__origin__, given, made)
    if origin in UNIONS:
        return _member(annotation, given, made)
    kind = kind_of(made)
    if (kind in ROWS or is_named_tuple(kind)) and issubclass(kind_of(given), ROWS) and len(given) == len(made):
        items = made if kind in (set, frozenset) else _items(annotation, given, made)
        return _as_given(origin or annotation, given, items, made)
    if kind is dict and issubclass(kind_of(given), dict) and len(given) == len(made):
        return _as_given(origin or annotation, given, _values(annotation, given, made), made)
    if issubclass(kind_of(given), dict) and fields_of(kind) is not None:
        _restore_fields(given, made)
    return made


def _member(annotation: Any, given: Any, made: Any) -> Any:
    """Of a union: by the member that takes what was sent, else by the one that takes what was made."""
    members = [(member, _class_of(member)) for member in typing.get_args(annotation)]
    for value in (given, made):
        for member, cls in members:
            if _is_a(value, cls):
                return restored(member, given, made)
    return made


def _class_of(annotation: Any) -> Any:
    found = stripped(annotation)
    return typing.get_origin(found) or found


def _items(annotation: Any, given: Any, made: Any) -> list[Any]:
    hints = typing.get_args(annotation)
    if is_named_tuple(kind := kind_of(made)):
        hints = tuple(hints_of(kind).get(name, Any) for name in kind._fields)
    elif len(hints) != len(made) or Ellipsis in hints:
        hints = (hints[0] if hints else Any,) * len(made)
    return [restored(*three) for three in zip(hints, given, made, strict=True)]


def _values(annotation: Any, given: Any, made: Any) -> dict[Any, Any]:
    every = (*typing.get_args(annotation), Any, Any)[1]
    each = hints_of(annotation) if typing.is_typeddict(annotation) else {}
    pairs = zip(made.items(), given.values(), strict=True)
    return {key: restored(each.get(key, every), old, new) for (key, new), old in pairs}


def _as_given(cls: Any, given: Any, items: Any, made: Any) -> Any:
    """What was made, in a container of the kind that was sent, if that is one of the annotated kind."""
    return like(given if _is_a(given, cls) else made, items)


def _is_a(value: Any, cls: Any) -> bool:
    try:
        return isinstance(value, cls)
    except TypeError:  # a TypedDict, or no class at all
        return False


def _restore_fields(given: dict[str, Any], made: Any) -> None:
    put: Any = msgspec.structs.force_setattr if isinstance(made, msgspec.Struct) else object.__setattr__
    for name, written, hint in _hints(kind_of(made)):
        old = getattr(made, name, None)
        if written in given and (new := restored(hint, given[written], old)) is not old:
            put(made, name, new)


@lru_cache(1024)
def _hints(cls: Any) -> tuple[tuple[str, str, Any], ...]:
    """Of each field: its name, the one under which it is sent, its annotation."""
    return tuple(_each_hint(cls))


def _each_hint(cls: Any) -> Iterator[tuple[str, str, Any]]:
    found, hints = fields_of(cls), hints_of(cls)
    if found is None or found.form == "pydantic":  # which keeps what fits its annotations by itself
        return
    sent = cls.__struct_encode_fields__ if issubclass(cls, msgspec.Struct) else found.attributes
    for name, written in zip(found.attributes, sent, strict=True):
        yield name, written, hints.get(name, Any)
