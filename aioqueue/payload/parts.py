"""Annotations that msgspec refuses, taken apart: unions whose members look alike to it, and whatever holds one.

A union is told by what arrived: by its type, then by the names of its fields, then by what can be made of it.
"""

from __future__ import annotations

import collections.abc
import typing
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, cast

from aioqueue.payload.boxes import ROWS, is_named_tuple, kind_of
from aioqueue.payload.convert import NONE, Conversion, Convert, describe, is_plain
from aioqueue.payload.fields import fields_of
from aioqueue.payload.introspection import UNIONS, stripped
from aioqueue.payload.objects import pattern_of
from aioqueue.payload.plain import type_name

_ROWS: Final[dict[Any, Callable[[Any], Any]]] = {
    **dict.fromkeys(
        (list, collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Collection), list
    ),
    **dict.fromkeys((set, collections.abc.Set, collections.abc.MutableSet), set),
    frozenset: frozenset,
}
_DICTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def by_parts(annotation: Any) -> Conversion:
    """The conversion for an annotation, made of those for its parts; NONE if one of them can't be followed."""
    annotation = stripped(annotation)
    origin, hints = typing.get_origin(annotation), typing.get_args(annotation)
    cls: Any = origin or annotation
    if origin is typing.Annotated:
        return _follow(annotation.__origin__)
    if origin in UNIONS:
        return _union(hints)
    if cls is tuple or cls in _ROWS or cls in _DICTS:
        return _container(cls, hints)
    return _object(annotation) if isinstance(cls, type) else NONE


def _follow(annotation: Any) -> Conversion:
    from aioqueue.payload.conversion import conversion_for  # which comes here with what it can't do itself

    return conversion_for(annotation)


def _each(hints: tuple[Any, ...]) -> list[Conversion] | None:
    """The conversions for all; None if one can't be followed."""
    found = list(map(_follow, hints))
    if any(one.textual is None and not is_plain(hint) for one, hint in zip(found, hints, strict=True)):
        return None
    return found


def _container(cls: Any, hints: tuple[Any, ...]) -> Conversion:
    each = _each(tuple(hint for hint in hints if hint is not Ellipsis))
    if not each:
        return NONE
    if cls in _DICTS:
        return Conversion(*(_items_of_dict(*pair) for pair in zip(*each, strict=True)))
    if cls is not tuple or Ellipsis in hints:
        make = _ROWS.get(cls, tuple)
        return Conversion(*(_items(make, one) for one in each[0]))
    return Conversion(*(_places(converts) for converts in zip(*each, strict=True)))


def _as_is(value: Any) -> Any:
    return value


def _items(make: Callable[[Any], Any], convert: Convert | None) -> Convert:
    return lambda value: make(map(convert or _as_is, _row(value)))


def _places(converts: tuple[Convert | None, ...]) -> Convert:
    return lambda value: tuple(
        (convert or _as_is)(item) for convert, item in zip(converts, _row(value, len(converts)), strict=True)
    )


def _row(value: Any, length: int | None = None) -> Any:
    if not isinstance(value, ROWS):
        raise ValueError(f"Expected `array`, got `{type_name(kind_of(value))}`")
    if length is not None and len(cast("Any", value)) != length:
        raise ValueError(f"Expected `array` of length {length}, got {len(cast('Any', value))}")
    return cast("Any", value)


def _items_of_dict(key: Convert | None, item: Convert | None) -> Convert:
    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"Expected `object`, got `{type_name(kind_of(value))}`")
        pairs = cast("dict[Any, Any]", value).items()
        return {(key or _as_is)(one): (item or _as_is)(other) for one, other in pairs}

    return convert


@lru_cache(1024)
def _object(annotation: Any) -> Conversion:
    pattern = pattern_of(annotation)
    if pattern is None:
        return NONE

    @cache  # and when the first value comes: a class may hold itself
    def converts(which: int) -> dict[str, Convert | None]:
        return {name: _follow(hint)[which] for name, hint in pattern.hints.items()}

    def binary(value: Any) -> Any:
        return pattern.read(value, converts(0))

    def textual(value: Any) -> Any:
        return pattern.read(value, converts(1))

    return Conversion(binary, textual)


class _Member(NamedTuple):
    """Of a union.

    Attributes:
        cls: of its values.
        names: under which its fields are sent, if it has any.
        converts: as a `Conversion` has them.
    """

    cls: Any
    names: frozenset[str] | None
    converts: tuple[Convert, Convert]

    def rank(self, value: Any) -> int:
        """How well a value fits, 0 best."""
        if kind_of(value) is self.cls and self.cls is not dict:
            return 0
        if self.names is None or not isinstance(value, dict):
            return 2
        given = cast("dict[Any, Any]", value).keys()
        return 1 if given == self.names else 2 if given <= self.names else 3


def _union(hints: tuple[Any, ...]) -> Conversion:
    each = _each(hints)
    if each is None:
        return NONE  # one that can't be followed might be the one that is meant
    members: list[_Member] = []
    for hint, found in zip(map(stripped, hints), each, strict=True):
        cls: Any = typing.get_origin(hint) or hint
        exact = _exactly(cls)
        members.append(_Member(cls, _names(hint), (found.binary or exact, found.textual or exact)))
    # Of these there is nothing in a value that has to be converted.
    exactly = frozenset(hint for hint in map(stripped, hints) if isinstance(hint, type) and not is_named_tuple(hint))
    return Conversion(_best(members, exactly, 0), _best(members, exactly, 1))


def _names(hint: Any) -> frozenset[str] | None:
    cls: Any = typing.get_origin(hint) or hint
    if not isinstance(cls, type):
        return None
    found = fields_of(cls)
    if found is not None and found.form == "pydantic":
        return frozenset(found.attributes)
    pattern = pattern_of(hint)
    return None if pattern is None else pattern.written


def _exactly(cls: Any) -> Convert:
    def check(value: Any) -> Any:
        if cls not in (Any, object) and not (value is None if cls is None else isinstance(value, cls)):
            raise ValueError(f"Expected `{type_name(cls)}`, got `{type_name(type(value))}`")
        return value

    return check


def _best(members: list[_Member], exactly: frozenset[Any], which: int) -> Convert:
    def convert(value: Any) -> Any:
        if kind_of(value) in exactly:
            return value  # under `Path | str`, a text is a text
        problems: list[str] = []
        for member in sorted(members, key=lambda one: one.rank(value)):
            try:
                return member.converts[which](value)
            except Exception as error:
                problems.append(describe(error))
        raise ValueError("; ".join(problems))

    return convert
