"""How deep and how large a structure may be, whoever sent it.

A few kilobytes can describe a structure that takes gigabytes to build or that no code can walk without a
RecursionError. A payload of at most `MAX_DEPTH` bytes can't, nor one with few bytes that could open a container:
both are told in one pass at the speed of C. Only the others are looked at item by item.
"""

from __future__ import annotations

import re
from typing import Any, Final

from aioqueue.exceptions import PayloadError

MAX_DEPTH: Final = 64
"""Lists and dicts inside each other, the two around a task's arguments included."""

MAX_CONTAINERS: Final = 100_000
"""Lists and dicts in one payload: the smallest takes 1 byte on the wire and up to 240 in memory."""

MAX_ITEMS: Final = 1_000_000
"""Values of any kind in one payload."""

# The first bytes of msgpack's arrays and maps. They occur inside numbers and texts too, so counting them
# gives an upper bound.
_OPENERS: Final = bytes([*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF])
_JSON_TEXT: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BOXES: Final = frozenset({list, dict, tuple})


def examine_msgpack(data: bytes) -> bool:
    """Refuse too many items before they are built; True if the depth must be checked once they are.

    Raises:
        PayloadError: there are more than `MAX_ITEMS` values, or more than `MAX_CONTAINERS` lists and dicts.
    """
    openers = len(data) - len(data.translate(None, _OPENERS))
    if openers > MAX_CONTAINERS or len(data) > MAX_ITEMS:
        _refuse_if_many(*count_msgpack(data))
    return openers > MAX_DEPTH


def examine_json(data: bytes) -> bool:
    """The same as `examine_msgpack`, for JSON."""
    openers = data.count(b"[") + data.count(b"{")
    if openers > MAX_CONTAINERS or len(data) > MAX_ITEMS:
        bare = _JSON_TEXT.sub(b"", data)
        containers = bare.count(b"[") + bare.count(b"{")
        _refuse_if_many(containers + bare.count(b",") + bare.count(b":"), containers)
    return openers > MAX_DEPTH


def check_depth(value: Any) -> None:
    """Refuse a decoded value that is nested deeper than `MAX_DEPTH`.

    It goes level by level, so a deep value can't exhaust the stack. Only exact lists, dicts and tuples are
    looked into: that is what decoders build.
    """
    level: list[Any] = [value] if type(value) in _BOXES else []
    for _ in range(MAX_DEPTH):
        if not level:
            return
        inner: list[Any] = []
        for box in level:
            kind: object = type(box)  # pyright: ignore[reportUnknownVariableType]
            items: Any = box.values() if kind is dict else box
            if kind is dict and tuple in map(type, box):
                inner += [key for key in box if type(key) in _BOXES]
            # Most boxes hold no box, which this tells without a loop in Python.
            if not _BOXES.isdisjoint(map(type, items)):
                inner += [item for item in items if type(item) in _BOXES]
        level = inner
    if level:
        raise PayloadError(f"it is nested deeper than {MAX_DEPTH} levels")


def _sizes() -> tuple[tuple[int, ...], dict[int, tuple[int, int]]]:
    """Bytes a value takes by its first byte, and for the others (bytes before the content, bytes of its length)."""
    size = [1] * 256
    for head in range(0xA0, 0xC0):
        size[head] = 1 + head - 0xA0
    for first, sizes in ((0xCA, (5, 9)), (0xCC, (2, 3, 5, 9)), (0xD0, (2, 3, 5, 9)), (0xD4, (3, 4, 6, 10, 18))):
        size[first : first + len(sizes)] = sizes
    size[0xDC], size[0xDD], size[0xDE], size[0xDF] = 3, 5, 3, 5
    variable = {0xC4: (2, 1), 0xC5: (3, 2), 0xC6: (5, 4), 0xD9: (2, 1), 0xDA: (3, 2), 0xDB: (5, 4)}
    variable |= {0xC7: (3, 1), 0xC8: (4, 2), 0xC9: (6, 4)}
    for head in variable:
        size[head] = 0
    return tuple(size), variable


_SIZE, _VARIABLE = _sizes()


def count_msgpack(data: bytes) -> tuple[int, int]:
    """The values in `data`, and the lists and dicts among them, up to where one of the limits is passed.

    It walks from value to value without building any. Malformed bytes are left to the decoder.
    """
    size, variable, openers = _SIZE, _VARIABLE, frozenset(_OPENERS)
    position = items = containers = 0
    end = len(data)
    while position < end:
        head = data[position]
        items += 1
        if head in openers:
            containers += 1
        step = size[head]
        if not step:
            before, width = variable[head]
            step = before + int.from_bytes(data[position + 1 : position + 1 + width], "big")
        position += step
        if items > MAX_ITEMS or containers > MAX_CONTAINERS:
            break
    return items, containers


def _refuse_if_many(items: int, containers: int) -> None:
    if containers > MAX_CONTAINERS:
        raise PayloadError(f"it holds more than {MAX_CONTAINERS:,} lists and dicts")
    if items > MAX_ITEMS:
        raise PayloadError(f"it holds more than {MAX_ITEMS:,} values")
