"""Values of types that msgpack and JSON have no form for, as text and lists with a mark; and back.

One form for both serializers. A text that begins with `$` is a value: `$D2026-05-17` is a date. A list whose first
item is a mark is another container: `["$t", 1, 2]` is a tuple. What a user's text begins with is doubled, so that
nothing of theirs is ever taken for a mark, and a payload without marks is not looked at: whether it has any is told
by its content tag (see `codec`).

    $d datetime   $D date    $c time       $e timedelta   $N Decimal   $u UUID      $i int      $x complex
    $b bytes      $a bytearray  $v memoryview  $p Path    $q PurePosixPath           $w PureWindowsPath
    $k a key that JSON has no form for: a number, true, false or null
    $t tuple      $s set     $z frozenset  $m dict, as keys and values in turn      $E Enum: class, name, value
    $o OrderedDict, $C Counter, as $m      $f defaultdict: what it makes, then as $m  $n namedtuple: class, items
    $r the result of a task that was sent: its id, its task, and those of its members if it is a group's

Reading makes values of these types and nothing else. The names that are looked up, those of an Enum and of a
namedtuple, are looked up among the classes that are loaded; where there is none the value arrives as the plain one.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
import re
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from enum import Enum, Flag
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final, cast
from zoneinfo import ZoneInfo, available_timezones

from aioqueue.exceptions import PayloadError
from aioqueue.payload.boxes import (
    DICTS,
    class_name,
    defaultdict_of,
    head_of,
    is_named_tuple,
    kind_of,
    named_tuple_of,
    of_another_class,
)
from aioqueue.payload.fields import CHANGED_BY_MSGSPEC, Fields, fields_of, lower
from aioqueue.payload.handles import Handle, handle_of
from aioqueue.payload.limits import MAX_CONTAINERS, MAX_DEPTH
from aioqueue.payload.naming import loaded_classes
from aioqueue.payload.plain import Known, Unsendable, type_name

NATIVE_TEXTUAL: Final = frozenset({str, int, float, bool, type(None)})
NATIVE: Final = NATIVE_TEXTUAL | {bytes}
"""What msgpack has a form for, and holds nothing else; the other one is JSON's."""
_JSON_KEYS: Final = frozenset({str})
_MOST_HEX: Final = 3571
"""Of the digits of an int: beyond, Python refuses to write it as text (4,300 decimal digits)."""

_WIDE: Final = f"it holds an int of more than {_MOST_HEX:,} hexadecimal digits: send it as bytes"
_DEEP: Final = f"it is nested deeper than {MAX_DEPTH} levels, or holds itself"
_ZONED: Final = re.compile(r"([^\[\]]+)\[([A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*)\]")


def is_native(items: Iterable[Any], json: bool) -> bool:
    """Whether a serializer writes all of this so that it is read as it was. Never raises.

    It is asked of each payload, and most hold nothing but scalars.
    """
    scalars = NATIVE_TEXTUAL if json else NATIVE
    boxes: list[Any] | None = None
    for item in items:
        if type(item) not in scalars:
            if boxes is None:
                boxes = []
            boxes.append(item)
    return boxes is None or _hold_native(boxes, scalars, json)


def _hold_native(boxes: list[Any], scalars: frozenset[type], json: bool) -> bool:
    keys = _JSON_KEYS if json else NATIVE
    for box in boxes:
        kind: type = type(box)  # pyright: ignore[reportUnknownVariableType]
        if kind is dict:
            for key in box:
                if type(key) not in keys:
                    return False
            box = box.values()
        elif kind is not list:
            try:
                names = fields_of(kind)
                if names is None or names.form in CHANGED_BY_MSGSPEC:
                    return False
                box = [getattr(box, name, None) for name in names.attributes]
            except Exception:  # code of the value's class; whoever marks it says so
                return False
        for item in box:
            if type(item) not in scalars:
                boxes.append(item)  # noqa: PERF401
        if len(boxes) > MAX_CONTAINERS:
            break  # it holds itself, or too much: the encoder says so
    return True


class Marker:
    """Writes one payload.

    Attributes:
        used: there is a mark in what was written.
    """

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self.used = False
        self._known = False

    def mark(self, value: Any, depth: int = 0) -> Any:
        """`value` as what both serializers write natively.

        Raises:
            PayloadError: there is no form for something in it.
        """
        kind: type = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind is str:
            return self._text(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return self._int(value)
        if depth > MAX_DEPTH:
            raise PayloadError(_DEEP)
        if kind is list:
            return [self.mark(item, depth + 1) for item in value]
        if kind is dict:
            return self._dict(value, depth + 1)
        text = _text_of(value)
        if text is not None:
            self.used = True
            return text
        return self._other(value, depth)

    def _text(self, value: str) -> str:
        if value[:1] != "$":
            return value
        self.used = True
        return "$" + value

    def _int(self, value: int) -> int | str:
        if -(2**63) <= value < 2**64:
            return value
        text = f"{value:x}"
        if len(text) > _MOST_HEX:
            raise PayloadError(_WIDE)
        self.used = True
        return f"$i{text}"

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        keys = [self._key(key, depth) for key in value]
        items = [self.mark(item, depth) for item in value.values()]
        if type(value) is dict and list not in map(type, keys):
            return dict(zip(keys, items, strict=True))
        self.used = True
        return [*head_of(value), *(one for pair in zip(keys, items, strict=True) for one in pair)]

    def _key(self, key: Any, depth: int) -> Any:
        kind: type = type(key)  # pyright: ignore[reportUnknownVariableType]
        if not self._json or kind not in NATIVE_TEXTUAL or kind is str:
            found = self.mark(key, depth)
            return ["$k", found] if type(found) is dict else found
        if kind is float and not math.isfinite(key):
            raise PayloadError(f"it holds the key {key}, which JSON can't hold: use serializer='msgpack'")
        if kind is int and type(self._int(key)) is str:
            return self._int(key)
        self.used = True
        return f"$k{repr(key) if kind in (int, float) else _KEY_WORDS[key]}"

    def _other(self, value: Any, depth: int) -> Any:
        if isinstance(value, Handle):
            self.used = True
            return ["$r", *value.names()]
        if isinstance(value, Enum):
            self.used = True
            return ["$E", class_name(type(value)), value._name_ or "", self.mark(value._value_, depth + 1)]
        if isinstance(value, bytes):
            plain = bytes(memoryview(value))
            if not self._json:
                return plain
            self.used = True
            return f"$b{base64.b64encode(plain).decode()}"
        if isinstance(value, (tuple, set, frozenset)):
            return self._row(cast("Any", value), depth + 1)
        if type(value) in DICTS:
            return self._dict(value, depth + 1)
        if isinstance(value, (dict, list)):
            raise of_another_class(value)
        if type(value) is Known:
            self._known = True
            try:
                return self.mark(value.value, depth)
            finally:
                self._known = False
        for base, plainly in _DERIVED:
            if isinstance(value, base):
                return self.mark(plainly(value), depth)
        found = fields_of(cast("Any", type(value)))
        if found is None:
            raise Unsendable(type_name(type(value)))
        return self._fields(value, found, depth)

    def _row(self, value: Any, depth: int) -> list[Any]:
        kind = kind_of(value)
        head = _ROW_MARKS.get(kind)
        if head is None and not is_named_tuple(kind):
            raise of_another_class(value)
        self.used = True
        items = [self.mark(item, depth) for item in value]
        if head is None:
            return ["$n", class_name(kind), *items]
        # Of a set in an order of its own: the same set is the same bytes.
        return [head, *(items if kind is tuple else sorted(items, key=repr))]

    def _fields(self, value: Any, found: Fields, depth: int) -> Any:
        plain, spare = lower(value, found, self._known)
        if spare is None:
            return self.mark(plain, depth)
        used = self.used
        try:
            return self.mark(plain, depth)
        except Unsendable:
            self.used = used
            return self.mark(spare(), depth)


_ROW_MARKS: Final[dict[Any, str]] = {tuple: "$t", set: "$s", frozenset: "$z"}
_KEY_WORDS: Final[dict[Any, str]] = {None: "null", True: "true", False: "false"}
# Subclasses, as Django's SafeString and NumPy's float64, arrive as what they are made of.
_DERIVED: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)


def _text_of(value: Any) -> str | None:
    """The values that a text can hold."""
    kind: type = type(value)  # pyright: ignore[reportUnknownVariableType]
    write = _WRITERS.get(kind)
    if write is None and not isinstance(value, Enum):
        write = next((found for base, found in _WRITERS.items() if isinstance(value, base)), None)
    return None if write is None else write(value)


def _write_datetime(value: dt.datetime) -> str:
    text = dt.datetime.isoformat(value)
    zone = value.tzinfo
    key = zone.key if isinstance(zone, ZoneInfo) else None
    return f"{'$d' if not value.fold else '$d~'}{text}{f'[{key}]' if key else ''}"


def _write_view(value: memoryview) -> str:
    if value.format != "B" or value.ndim != 1:
        raise Unsendable("memoryview", "its items are no bytes: send value.tobytes()")
    return f"$v{base64.b64encode(value.tobytes()).decode()}"


def _write_time(value: dt.time) -> str:
    zone = value.tzinfo
    key = zone.key if isinstance(zone, ZoneInfo) else None
    if zone is not None and value.utcoffset() is None and key is None:
        raise Unsendable("datetime.time", "its zone has no name and depends on the date: send a datetime")
    return f"{'$c' if not value.fold else '$c~'}{dt.time.isoformat(value)}{f'[{key}]' if key else ''}"


# A datetime is a date too: the order counts for subclasses.
_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    dt.datetime: _write_datetime,
    dt.date: lambda value: f"$D{dt.date.isoformat(value)}",
    dt.time: _write_time,
    dt.timedelta: lambda value: f"$e{value.days},{value.seconds},{value.microseconds}",
    decimal.Decimal: lambda value: f"$N{decimal.Decimal.__str__(value)}",
    uuid.UUID: lambda value: f"$u{uuid.UUID.__str__(value)}",
    complex: lambda value: f"$x{complex.__repr__(value)}",
    bytearray: lambda value: f"$a{base64.b64encode(value).decode()}",
    memoryview: _write_view,
    PurePosixPath: lambda value: f"{'$p' if isinstance(value, Path) else '$q'}{value}",
    PureWindowsPath: lambda value: f"{'$p' if isinstance(value, Path) else '$w'}{value}",
}


def unmark(value: Any) -> Any:
    """What `Marker.mark` was given. `value` is no deeper than `MAX_DEPTH`.

    Raises:
        Exception: it is nothing that `mark` writes; any.
    """
    kind: object = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind is str:
        return _read_text(value) if value[:1] == "$" else value
    if kind is list:
        first: Any = value[0] if value else None
        read = _BOXES.get(first) if type(first) is str else None
        if read is not None:
            return read(value)
        return [unmark(item) for item in value]
    if kind is dict:
        found = {unmark(key): unmark(item) for key, item in value.items()}
        if len(found) != len(value):
            raise PayloadError("it holds a dict with a key twice")
        return found
    return value


def _read_text(text: str) -> Any:
    mark = text[1:2]
    if mark == "$":
        return text[1:]
    read = _READERS.get(mark)
    if read is None:
        raise PayloadError(f"it holds a value marked {text[:2]!r}, which this version of aioqueue doesn't know")
    return read(text[2:])


def _read_int(text: str) -> int:
    if len(text) > _MOST_HEX + 1:
        raise PayloadError(_WIDE)
    return int(text, 16)


def _read_key(text: str) -> Any:
    if text in ("null", "true", "false"):
        return {"null": None, "true": True, "false": False}[text]
    return float(text) if not text.lstrip("-").isdigit() else int(text)


def _read_timedelta(text: str) -> dt.timedelta:
    days, seconds, microseconds = text.split(",")
    return dt.timedelta(int(days), int(seconds), int(microseconds))


def _zone(key: str) -> ZoneInfo | None:
    if key not in _zone_names():
        return None
    try:
        return ZoneInfo(key)
    except Exception:  # its data are broken here
        return None


@cache
def _zone_names() -> frozenset[str]:
    """Those that there are here: nothing else is looked for among files and packages because a message says so."""
    return frozenset(available_timezones())


def _read_datetime(text: str) -> dt.datetime:
    fold, text = (1, text[1:]) if text[:1] == "~" else (0, text)
    zoned = _ZONED.fullmatch(text)
    value = dt.datetime.fromisoformat(zoned[1] if zoned else text).replace(fold=fold)
    if zoned is None or (zone := _zone(zoned[2])) is None:
        return value
    # Where the two sides' rules differ, the moment and the offset count, not the name.
    found = value.replace(tzinfo=zone)
    return found if found.utcoffset() == value.utcoffset() else value


def _read_time(text: str) -> dt.time:
    fold, text = (1, text[1:]) if text[:1] == "~" else (0, text)
    zoned = _ZONED.fullmatch(text)
    value = dt.time.fromisoformat(zoned[1] if zoned else text).replace(fold=fold)
    if zoned is None:
        return value
    zone = _zone(zoned[2])
    if zone is None:
        raise PayloadError(f"it holds a time in the zone {zoned[2]!r}, of which this machine knows nothing")
    return value.replace(tzinfo=zone)


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "d": _read_datetime,
    "D": dt.date.fromisoformat,
    "c": _read_time,
    "e": _read_timedelta,
    "N": decimal.Decimal,
    "u": uuid.UUID,
    "i": _read_int,
    "k": _read_key,
    "x": complex,
    "b": lambda text: base64.b64decode(text, validate=True),
    "a": lambda text: bytearray(base64.b64decode(text, validate=True)),
    "v": lambda text: memoryview(base64.b64decode(text, validate=True)),
    "p": Path,
    "q": PurePosixPath,
    "w": PureWindowsPath,
}


def _read_items(value: list[Any]) -> Any:
    return map(unmark, value[1:])


def _read_pairs(value: list[Any]) -> dict[Any, Any]:
    items = list(_read_items(value))
    found = dict(zip(items[::2], items[1::2], strict=True))
    if len(found) * 2 != len(items):
        raise PayloadError("it holds a dict with a key twice")
    return found


def _read_enum(value: list[Any]) -> Any:
    _, name, member, plain = value
    plain = unmark(plain)
    for kind in loaded_classes(name):
        mro: tuple[type, ...] = type.__dict__["__mro__"].__get__(kind)
        if Enum not in mro:
            continue
        # By way of the dicts: no code of the class runs.
        found = type.__dict__["__dict__"].__get__(kind)["_member_map_"].get(member)
        if found is not None:
            return found
        if Flag in mro and not any("_missing_" in vars(one) for one in mro[: mro.index(Flag)]):
            return cast("Any", kind)(plain)  # several at once
    return plain


_BOXES: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "$t": lambda value: tuple(_read_items(value)),
    "$s": lambda value: set(_read_items(value)),
    "$z": lambda value: frozenset(_read_items(value)),
    "$m": _read_pairs,
    "$o": lambda value: OrderedDict(_read_pairs(value)),
    "$C": lambda value: Counter(_read_pairs(value)),
    "$f": lambda value: defaultdict_of(value[1], _read_pairs(value[1:])),
    "$n": lambda value: named_tuple_of(value[1], tuple(map(unmark, value[2:]))),
    "$E": _read_enum,
    "$r": lambda value: handle_of(value[1:]),
}
