"""Annotations of every kind: a value sent under one arrives as its type."""

from __future__ import annotations

import collections.abc
import datetime as dt
import decimal
import typing
import uuid
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypeVar, Union

import msgspec
import pytest

from aioqueue.payload import decode, encode
from aioqueue.payload.conversion import conversion_for

from .models import (
    Aliased,
    Box,
    Card,
    Cash,
    Cat,
    Colour,
    Dog,
    Event,
    Level,
    Parcel,
    Payment,
    Place,
    Point,
    Shout,
    Size,
    Strict,
    Tree,
    TwoNames,
    User,
    UserId,
)

MAX = 1 << 20
NOW = dt.datetime(2026, 5, 17, 12, 30, 15, 123456, tzinfo=dt.UTC)
ID = uuid.UUID("01a1fd18-f4af-74d6-a8e6-be856a3a3aae")
T = TypeVar("T")


class Connection:
    """A class that isn't data."""


CASES: list[tuple[Any, Any]] = [
    (dt.datetime, NOW),
    (dt.datetime, NOW.replace(tzinfo=None)),
    (dt.date, dt.date(2026, 1, 1)),
    (dt.time, dt.time(1, 2)),
    (dt.timedelta, dt.timedelta(days=3, seconds=1)),
    (uuid.UUID, ID),
    (decimal.Decimal, decimal.Decimal("1.10")),
    (Colour, Colour.RED),
    (Level, Level.HIGH),
    (Point, Point(1, 2)),
    (Size, Size(width=1, unit="m")),
    (Parcel, Parcel(weight=1.5)),
    (Box, Box(id=ID, tags={"a"})),
    (Tree, Tree([Tree(), Tree([Tree()])])),
    (Event, Event(at=NOW, where=Path("x"), parts=[Event(at=NOW)])),
    (User, User(name="Ada", born=NOW, home=Path("/h"))),
    (Aliased, Aliased(**{"from": "ada"})),
    (TwoNames, TwoNames(**{"from": "ada"})),
    (Strict, Strict(at=NOW, ids={ID})),
    (Path, Path("a/b")),
    (PurePath, PurePath("a/b")),
    (PurePosixPath, PurePosixPath("a/b")),
    (complex, 1.5 - 2j),
    (Shout, Shout("hey")),
    (bytes, b"\xff\x00"),
    (bytearray, bytearray(b"\xff")),
    (tuple, (1, 2)),
    (set, {1}),
    (frozenset, frozenset({1})),
    (list[Path], [Path("a")]),
    (list[bytes], [b"\xff"]),
    (dict[str, User], {"a": User(name="x")}),
    (dict[int, Path], {1: Path("x")}),
    (dict[uuid.UUID, list[dt.date]], {ID: [dt.date(2026, 1, 1)]}),
    (tuple[int, ...], (1, 2, 3)),
    (tuple[int, Path], (1, Path("x"))),
    (set[uuid.UUID], {ID}),
    (frozenset[Path], frozenset({Path("x")})),
    (collections.abc.Sequence[Path], [Path("a")]),
    (collections.abc.Mapping[str, Path], {"a": Path("a")}),
    (typing.List[Path], [Path("a")]),  # noqa: UP006
    (Optional[Path], Path("x")),  # noqa: UP045
    (Path | None, None),
    (User | None, User(name="x")),
    (User | None, None),
    (list[User | None], [User(name="x"), None]),
    (Union[int, dt.date], 5),  # noqa: UP007
    (int | dt.date, dt.date(2026, 1, 1)),
    (bytes | None, b"\xff"),
    (Literal["a", 1], 1),
    (UserId, 5),
    (Place, Path("x")),
    (Annotated[Path, "a note"], Path("x")),
    (Annotated[int, msgspec.Meta(gt=3)], 5),
    (Payment, Cash(amount=3)),
    (list[Payment], [Card(number="1"), Cash(amount=3)]),
    (User | Cash, Cash(amount=3)),
    (Cat | Dog, Cat(9)),
    (Cat | Dog, Dog(["sit"])),
    (Cat | Dog | None, None),
    (Cat | int | str, "x"),
    (Path | int, Path("x")),
    (Path | int, 5),
]


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
@pytest.mark.parametrize(("annotation", "value"), CASES, ids=lambda v: str(v)[:60])
def test_there_and_back(annotation: Any, value: Any, serializer: str) -> None:
    plain = decode(*encode(value, serializer=serializer, max_size=MAX), max_size=MAX)
    convert = conversion_for(annotation)[serializer == "json"]
    got = plain if convert is None else convert(plain)
    assert got == value
    assert type(got) is type(value)
    if isinstance(value, (list, tuple)):
        assert [type(item) for item in got] == [type(item) for item in value]
    if convert is not None:
        assert convert(value) == value  # put together after decoding


PLAIN = [Any, object, None, int, float, str, bool, list, dict, typing.List, typing.Dict, type(None), UserId]  # noqa: UP006
PLAIN += [int | None, Optional[str], int | float | None]  # noqa: UP045


@pytest.mark.parametrize("annotation", PLAIN, ids=lambda v: str(v)[:60])
def test_plain_annotations_cost_nothing(annotation: Any) -> None:
    assert conversion_for(annotation) == (None, None)


def test_bytes_are_plain_in_msgpack_only() -> None:
    for annotation in (bytes, bytes | None):
        binary, textual = conversion_for(annotation)
        assert binary is None
        assert textual is not None and textual("/w==") == b"\xff"


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize(
    "annotation",
    [
        Connection,
        Connection | None,
        list[Connection],
        Connection | Path,
        collections.abc.Callable[[int], int],
        collections.abc.Iterable[int],
        type[int],
        T,
        "text",
        5,
        [int],
        Hostile(),
    ],
    ids=lambda v: str(type(v)),
)
def test_annotations_that_cannot_be_followed(annotation: Any) -> None:
    binary, textual = conversion_for(annotation)
    for convert in (binary, textual):
        assert convert is None or convert([1]) == [1]


@pytest.mark.parametrize(
    ("annotation", "plain"),
    [
        (list[bytes], ["abcd"]),  # msgpack has bytes: text isn't base64
        (Path, 5),
        (Shout, 5),
        (dt.datetime, "soon"),
        (Literal["a"], "b"),
        (Annotated[int, msgspec.Meta(gt=3)], 2),
        (User, {"name": 5}),
        (User, None),
        (Payment, {"kind": "cheque"}),
        (Cat | Dog, {"wings": 2}),
        (Cat | int, "x"),
        (tuple[int, int], [1, 2, 3]),
        (Tree, {"children": [{"children": 5}]}),
    ],
    ids=lambda v: str(v)[:60],
)
def test_values_that_do_not_convert(annotation: Any, plain: Any) -> None:
    convert = conversion_for(annotation).binary
    assert convert is not None
    with pytest.raises(Exception):  # noqa: B017 — the caller turns any into a PayloadError
        convert(plain)


def test_a_generic_named_tuple() -> None:
    class Pair(NamedTuple):
        left: Path
        right: dt.date | None = None

    convert = conversion_for(Pair).binary
    assert convert is not None
    assert convert(["a", "2026-01-01"]) == Pair(Path("a"), dt.date(2026, 1, 1))
