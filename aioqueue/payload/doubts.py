"""Annotations that can't tell which of several kinds arrives: under `Point | dict`, a Point travels as a dict.

What is sent under one of them is tried by its sender: it is converted as it will be there.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final, cast

from aioqueue.payload.boxes import is_named_tuple
from aioqueue.payload.codec import decode, encode
from aioqueue.payload.conversion import leaves
from aioqueue.payload.fields import fields_of
from aioqueue.payload.introspection import UNIONS, hints_of, stripped
from aioqueue.payload.restoring import restoring

_NO_LIMIT: Final = 2**31
_TOLD: Final = frozenset({type(None), bool, int, float, str, bytes})


def doubt_of(annotation: Any) -> Callable[[Any], bool] | None:
    """What tells whether a value would arrive under this annotation as another kind; None if none would."""
    try:
        convert = restoring(annotation).binary
        if not _is_doubtful(annotation, set()) and (convert is not None or not _names_fields(annotation)):
            return None
        takes_dicts = any(isinstance(one, type) and issubclass(dict, one) for one in leaves(annotation))
    except Exception:  # annotations are arbitrary objects
        return None

    def changes(value: Any) -> bool:
        try:
            plain = decode(*encode(value, max_size=_NO_LIMIT), max_size=_NO_LIMIT)
            return not _same_kinds(value, plain if convert is None else convert(plain), takes_dicts)
        except Exception:
            return False  # it can't be sent, or read: whoever tries says so

    return changes


def tells_models(annotation: Any) -> bool:
    """Whether it names pydantic models, and each of them will be read as what it is."""
    try:
        follows = restoring(annotation).binary is not None
        return follows and not _is_doubtful(annotation, set()) and _names_models(annotation, set())
    except Exception:  # annotations are arbitrary objects
        return False


def _names_models(annotation: Any, seen: set[int]) -> bool:
    found = [one for one in leaves(annotation) if isinstance(one, type)]
    if any((fields := fields_of(one)) is not None and fields.form == "pydantic" for one in found):
        return True
    return any(_names_models(hint, seen) for one in found for hint in _fields_in(one, seen))


def _names_fields(annotation: Any) -> bool:
    """Whether a class with fields is annotated."""
    return any(isinstance(one, type) and fields_of(one) is not None for one in leaves(annotation))


def _is_doubtful(annotation: Any, seen: set[int], depth: int = 32) -> bool:
    annotation = stripped(annotation)
    members = typing.get_args(annotation)
    if typing.get_origin(annotation) in UNIONS:
        others = [member for member in map(stripped, members) if not _is_told(member)]
        if len(others) > 1 and any(isinstance(one, type) and fields_of(one) is not None for one in others):
            return True
    inner = (*members, *_fields_in(typing.get_origin(annotation) or annotation, seen))
    return depth > 0 and any(_is_doubtful(one, seen, depth - 1) for one in inner)


def _fields_in(cls: Any, seen: set[int]) -> Iterable[Any]:
    """The annotations of a class's fields, once; a pydantic model is tried wherever it is sent."""
    if not isinstance(cls, type) or id(cls) in seen:
        return ()
    seen.add(id(cls))
    found = fields_of(cls)
    if typing.is_typeddict(cls) or is_named_tuple(cls) or (found is not None and found.form != "pydantic"):
        return hints_of(cls).values()
    return ()


def _is_told(member: Any) -> bool:
    return member is None or (isinstance(member, type) and (member in _TOLD or issubclass(member, Enum)))


def _same_kinds(sent: Any, arrived: Any, takes_dicts: bool) -> bool:
    """Whether objects with fields, and dicts where dicts are meant, have arrived as what they were."""
    kind: Any = sent.__class__
    if isinstance(sent, dict):
        if not isinstance(arrived, dict):
            return not takes_dicts
        pairs = zip(cast("dict[Any, Any]", sent).values(), cast("dict[Any, Any]", arrived).values(), strict=True)
        return all(_same_kinds(*pair, takes_dicts) for pair in pairs)
    if isinstance(sent, (list, tuple)):
        items = zip(cast("list[Any]", sent), arrived, strict=True)
        return all(_same_kinds(*pair, takes_dicts) for pair in items)
    found = fields_of(kind)
    return found is None or (
        isinstance(arrived, kind)
        and all(_same_kinds(getattr(sent, name), getattr(arrived, name), takes_dicts) for name in found.attributes)
    )
