"""The kinds of containers that marks tell apart, beside those that a serializer has a form for."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, Final

from aioqueue.payload.naming import importable_module, loaded_classes
from aioqueue.payload.plain import MAKERS, Unsendable, type_name

DICTS: Final[dict[Any, str]] = {dict: "$m", OrderedDict: "$o", Counter: "$C", defaultdict: "$f"}
"""Each kind of dict, and its mark."""

ROWS: Final = (list, tuple, set, frozenset)

_MAKER_NAMES: Final[dict[str, Callable[[], Any] | None]] = {"": None, **{one.__name__: one for one in MAKERS}}


def kind_of(value: Any) -> Any:
    """Its type, of which nothing is known."""
    return type(value)  # pyright: ignore[reportUnknownVariableType]


def is_named_tuple(kind: Any) -> bool:
    """Whether it is a class that `NamedTuple` or `namedtuple` made, or one that derives from it."""
    return issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple) and hasattr(kind, "_make")  # pyright: ignore[reportUnknownArgumentType]


def class_name(kind: Any) -> str:
    """The name under which `loaded_classes` finds a class."""
    return f"{importable_module(kind.__module__)}:{kind.__qualname__}"


def head_of(value: Any) -> list[str]:
    """What is written of a dict before its keys and values: its mark, and what makes its values.

    Raises:
        Unsendable: code makes them.
    """
    mark = DICTS[type(value)]
    if mark != "$f":
        return [mark]
    maker: Any = value.default_factory
    name = "" if maker is None else getattr(maker, "__name__", "")
    if _MAKER_NAMES.get(name, value) is not maker:
        raise Unsendable("collections.defaultdict", f"what makes its values ({maker!r}) is code: send dict(value)")
    return [mark, name]


def defaultdict_of(name: str, items: dict[Any, Any]) -> defaultdict[Any, Any]:
    """The reverse, of a defaultdict."""
    return defaultdict(_MAKER_NAMES[name], items)


def named_tuple_of(name: str, items: tuple[Any, ...]) -> Any:
    """The items as a namedtuple of a class that is loaded here; a tuple, if there is none. No code of a class runs."""
    for kind in loaded_classes(name):
        mro: Any = type.__dict__["__mro__"].__get__(kind)
        if tuple not in mro:
            continue
        dicts = (type.__dict__["__dict__"].__get__(one) for one in mro)
        names: Any = next((one["_fields"] for one in dicts if "_fields" in one), None)
        if type(names) is tuple and len(names) == len(items):  # pyright: ignore[reportUnknownArgumentType]
            made: Any = tuple
            return made.__new__(kind, items)
    return items


def like(given: Any, items: Any) -> Any:
    """Items in a container of the kind of another one."""
    kind = kind_of(given)
    if kind is defaultdict:
        return defaultdict(given.default_factory, items)
    if is_named_tuple(kind):
        made: Any = tuple
        return made.__new__(kind, items)
    return kind(items)


def of_another_class(value: Any) -> Unsendable:
    """Why an object of a class that derives from a container's can't be sent."""
    base = next(base.__name__ for base in (dict, *ROWS) if isinstance(value, base))
    advice = f"it is a {base} of a class of its own, and would arrive as a plain {base}: send {base}(value)"
    return Unsendable(type_name(kind_of(value)), advice)
