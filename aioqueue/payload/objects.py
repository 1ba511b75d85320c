"""Objects made of fields that were converted one by one, as msgspec makes them of whole dicts."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, cast

import msgspec

from aioqueue.payload.boxes import is_named_tuple, kind_of
from aioqueue.payload.convert import Convert, describe
from aioqueue.payload.fields import fields_of
from aioqueue.payload.introspection import hints_of
from aioqueue.payload.plain import type_name

_MISSING: Final[Any] = object()


class Pattern(NamedTuple):
    """How objects of a class travel.

    Attributes:
        cls: their class.
        hints: the annotations of its fields.
        names: under which each field is sent, in order.
        tag: of a Struct: the name and the value that tell it, or its value alone.
        listed: they travel as a list.
        make: makes one of its fields; what was not sent is not in them.
    """

    cls: Any
    hints: dict[str, Any]
    names: dict[str, str]
    tag: tuple[str | None, Any] | None
    listed: bool
    make: Callable[[dict[str, Any]], Any]

    @property
    def written(self) -> frozenset[str] | None:
        """The keys that a whole one has."""
        if self.listed:
            return None
        told = self.tag[0] if self.tag is not None else None
        return frozenset(self.names.values() if told is None else (told, *self.names.values()))

    def read(self, value: Any, converts: dict[str, Convert | None]) -> Any:
        """An object of what was decoded.

        Raises:
            ValueError: it is none, and why.
        """
        if isinstance(value, self.cls) and not self.listed and self.cls is not dict:
            return value
        given = self._listed(value) if self.listed else self._named(value)
        fields: dict[str, Any] = {}
        for name, item in given.items():
            convert = converts.get(name)
            try:
                fields[name] = item if convert is None else convert(item)
            except Exception as error:
                raise ValueError(f"{name}: {describe(error)}") from error
        return self.make(fields)

    def _named(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"Expected `object`, got `{type_name(kind_of(value))}`")
        given = cast("dict[Any, Any]", value)
        if self.tag is not None and given.get(self.tag[0], self.tag[1]) != self.tag[1]:
            raise ValueError(f"Invalid value {given[self.tag[0]]!r:.100} of the tag")
        if self._is_closed() and not (given.keys() <= (self.written or set())):
            raise ValueError(f"{type_name(self.cls)} has no such fields")
        return {name: given[written] for name, written in self.names.items() if written in given}

    def _is_closed(self) -> bool:
        config = getattr(self.cls, "__struct_config__", None)
        return config is not None and config.forbid_unknown_fields

    def _listed(self, value: Any) -> dict[str, Any]:
        if isinstance(value, self.cls) and isinstance(value, msgspec.Struct):
            return {name: getattr(value, name) for name in self.names}
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"Expected `array`, got `{type_name(kind_of(value))}`")
        given = list(cast("list[Any]", value))
        if is_named_tuple(kind_of(value)) and not isinstance(value, self.cls):
            raise ValueError(f"Expected `{type_name(self.cls)}`, got `{type_name(kind_of(value))}`")
        if self.tag is not None and given[:1] != [self.tag[1]]:
            raise ValueError("another tag")
        given = given if self.tag is None else given[1:]
        if len(given) > len(self.names) and (self.tag is None and issubclass(self.cls, tuple)):
            raise ValueError(f"Expected `array` of length {len(self.names)}, got {len(given)}")
        return dict(zip(self.names, given, strict=False))


@lru_cache(1024)
def pattern_of(annotation: Any) -> Pattern | None:
    """How the objects of a class that is no pydantic model travel; None if it has no fields, or they lead nowhere."""
    cls: Any = typing.get_origin(annotation) or annotation
    hints = _given(annotation, hints_of(cls))
    if typing.is_typeddict(cls):
        return Pattern(dict, hints, {name: name for name in hints}, None, False, partial(_whole, cls))
    if is_named_tuple(cls):
        names = {name: name for name in cls._fields}
        return Pattern(cls, hints, names, None, True, partial(_call, cls))
    found = fields_of(cls)
    if found is None or found.form == "pydantic" or found.unfit or not hints:
        return None
    if issubclass(cls, msgspec.Struct):
        config = cls.__struct_config__
        tag = None if config.tag is None else (None if config.array_like else config.tag_field, config.tag)
        names = dict(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True))
        return Pattern(cls, hints, names, tag, config.array_like, partial(_call, cls))
    names = {name: name for name in found.attributes}
    return Pattern(cls, hints, names, None, False, partial(_set, cls, found.finish))


def _given(annotation: Any, hints: dict[str, Any]) -> dict[str, Any]:
    """The annotations of `Pair[int]`, with what its type variables stand for."""
    cls: Any = typing.get_origin(annotation)
    stands = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(annotation), strict=False))

    def put(hint: Any) -> Any:
        if hint in stands:
            return stands[hint]
        inner: Any = getattr(hint, "__parameters__", ())
        return hint[tuple(stands.get(one, one) for one in inner)] if inner and typing.get_args(hint) else hint

    return {name: put(hint) for name, hint in hints.items()} if stands else hints


def _call(cls: Any, fields: dict[str, Any]) -> Any:
    return cls(**fields)


def _whole(cls: Any, fields: dict[str, Any]) -> dict[str, Any]:
    missing = cls.__required_keys__ - fields.keys()
    if missing:
        raise ValueError(f"Object missing required field `{min(missing)}`")
    return fields


def _set(cls: Any, finish: str | None, fields: dict[str, Any]) -> Any:
    """Past its `__init__`, as msgspec does: that may take something else."""
    made = cls.__new__(cls)
    for name, default in _defaults(cls):
        item = fields.get(name, _MISSING)
        if item is _MISSING and (item := default(made)) is _MISSING:
            raise ValueError(f"Object missing required field `{name}`")
        object.__setattr__(made, name, item)
    if finish is not None:
        getattr(made, finish)()
    return made


@lru_cache(1024)
def _defaults(cls: Any) -> list[tuple[str, Callable[[Any], Any]]]:
    """What each field is if it was not sent."""
    if dataclasses.is_dataclass(cls):
        return [(one.name, _of_dataclass(one)) for one in dataclasses.fields(cls)]
    return [(one.name, _of_attrs(one.default)) for one in cls.__attrs_attrs__]


def _of_dataclass(field: dataclasses.Field[Any]) -> Callable[[Any], Any]:
    if field.default_factory is not dataclasses.MISSING:
        factory = field.default_factory
        return lambda made: factory()
    default: Any = _MISSING if field.default is dataclasses.MISSING else field.default
    return lambda made: default


def _of_attrs(default: Any) -> Callable[[Any], Any]:
    if hasattr(default, "takes_self"):
        return default.factory if default.takes_self else lambda made: default.factory()
    given = _MISSING if type(default).__name__ == "_Nothing" else default
    return lambda made: given
