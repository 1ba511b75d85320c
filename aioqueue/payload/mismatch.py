"""Arguments that are plainly not what their annotation says: a text for a number, a number for a list.

It is a question of types alone, and only of Python's own: what derives from them, or has a meaning of its own, is for
the conversion to judge. Numbers are taken for each other, and so are lists, tuples and sets; None may be given for
anything, as Python's users do.
"""

from __future__ import annotations

import typing
from typing import Any, Final

from aioqueue.payload.introspection import UNIONS, stripped

_NUMBERS: Final = frozenset({int, float, bool})
_ITEMS: Final = frozenset({list, tuple, set, frozenset})
_TAKEN: Final[dict[Any, frozenset[type]]] = {
    **dict.fromkeys(_NUMBERS, _NUMBERS),
    **dict.fromkeys(_ITEMS, _ITEMS),
    **dict.fromkeys((None, type(None)), frozenset[type]()),
    str: frozenset({str}),
    bytes: frozenset({bytes, str}),  # base64, where it comes from JSON
    dict: frozenset({dict}),
}
_ALL: Final = frozenset[type]().union(*_TAKEN.values())
_NONE_REFUSED: Final[frozenset[type]] = frozenset()


def refused(annotation: Any) -> frozenset[type]:
    """The types of which no argument can be meant for a parameter with that annotation, which is resolved."""
    taken = set[type]()
    pending = [annotation]
    while pending:
        one = stripped(pending.pop())
        origin = typing.get_origin(one)
        if origin in UNIONS:
            pending += typing.get_args(one)
        elif (found := _taken(one if origin is None else origin)) is None:
            return _NONE_REFUSED
        else:
            taken |= found
    return _ALL - taken


def _taken(kind: Any) -> frozenset[type] | None:
    try:
        return _TAKEN.get(kind)
    except TypeError:  # annotations are arbitrary objects
        return None
