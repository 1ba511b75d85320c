"""Objects with fields, as a dict of these: dataclasses, attrs classes, msgspec Structs, pydantic models.

They arrive as their annotation says, and without one as a dict. What could not be made again on the other side as
it was is refused here, by its sender.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from aioqueue.payload.models import lower_model
from aioqueue.payload.plain import Unsendable, type_name

_GONE: Final = object()


class Fields(NamedTuple):
    """What is known of a class.

    Attributes:
        form: dataclass, attrs, struct or pydantic.
        attributes: the names of its fields.
        finish: the method that runs once the fields are set.
        unfit: why its objects can't be sent.
    """

    form: str
    attributes: tuple[str, ...]
    finish: str | None = None
    unfit: str | None = None


CHANGED_BY_MSGSPEC: Final = frozenset({"pydantic", "attrs", "finished"})
"""What isn't left to msgspec: it drops attrs' private names, and looks at nothing that has to be looked at."""


@lru_cache(2048)
def fields_of(cls: Any) -> Fields | None:
    """What is to be known of a class with fields; None for all others."""
    if hasattr(cls, "__pydantic_fields__") and hasattr(cls, "__pydantic_core_schema__"):
        return Fields("pydantic", tuple(cls.__pydantic_fields__))
    if issubclass(cls, msgspec.Struct):
        finish = "__post_init__" if hasattr(cls, "__post_init__") else None
        return Fields("finished" if finish else "struct", cls.__struct_fields__, finish)
    if dataclasses.is_dataclass(cls):
        every: dict[str, Any] = cls.__dataclass_fields__
        later = [name for name, field in every.items() if field._field_type is dataclasses._FIELD_INITVAR]  # type: ignore[attr-defined]  # pyright: ignore
        unfit = f"its InitVar {later[0]!r} isn't kept, and it can't be made again without" if later else None
        finish = "__post_init__" if hasattr(cls, "__post_init__") else None
        names = tuple(field.name for field in dataclasses.fields(cls))
        return Fields("finished" if finish or unfit else "dataclass", names, finish, unfit)
    if hasattr(cls, "__attrs_attrs__"):
        names = tuple(one.name for one in cls.__attrs_attrs__)
        return Fields("attrs", names, "__attrs_post_init__" if hasattr(cls, "__attrs_post_init__") else None)
    return None


def lower(value: Any, found: Fields, only_set: bool) -> tuple[Any, Callable[[], Any] | None]:
    """The fields of one object, and another form in case that they can't be sent.

    Args:
        only_set: of a pydantic model, those that were set; see `lower_model`.

    Raises:
        Unsendable: it would arrive as another one.
    """
    if found.form == "pydantic":
        return lower_model(value, only_set=only_set)
    if found.unfit:
        raise Unsendable(type_name(type(value)), found.unfit + ": send a dict")
    values = {name: getattr(value, name, _GONE) for name in found.attributes}
    if found.finish is not None:
        _check_finished(value, values, found.finish)
    if isinstance(value, msgspec.Struct):
        return _struct(value, values), None
    return {name: item for name, item in values.items() if item is not _GONE}, None


def _check_finished(value: Any, values: dict[str, Any], finish: str) -> None:
    """Whether the method that will run over there, once the fields are set, leaves them as they are."""
    again = copy.copy(value)
    try:
        getattr(again, finish)()
        changed = [name for name, item in values.items() if not _same(item, getattr(again, name, _GONE))]
    except Exception as error:
        advice = f"its {finish} refuses the fields that it has ({error}), as it would in the worker: send a dict"
        raise Unsendable(type_name(type(value)), advice) from error
    if changed:
        advice = f"its {finish} would change {changed[0]!r} in the worker, where it runs again: send a dict"
        raise Unsendable(type_name(type(value)), advice)


def _same(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except Exception:
        return True  # an array, say: not ours to judge


def _struct(value: Any, values: dict[str, Any]) -> Any:
    config = value.__struct_config__
    items = list(values.values())
    if config.array_like:
        return items if config.tag is None else [config.tag, *items]
    named = dict(zip(value.__struct_encode_fields__, items, strict=True))
    if any(item is msgspec.UNSET for item in items):
        _check_unset(value, values)
        named = {name: item for name, item in named.items() if item is not msgspec.UNSET}
    return named if config.tag is None else {config.tag_field: config.tag, **named}


def _check_unset(value: Any, values: dict[str, Any]) -> None:
    """A field that is not sent has its default there."""
    for field in msgspec.structs.fields(value):
        if values[field.name] is msgspec.UNSET and field.default is not msgspec.UNSET:
            advice = (
                f"its field {field.name!r} is UNSET, and would have its default in the worker: make UNSET the default"
            )
            raise Unsendable(type_name(type(value)), advice)
