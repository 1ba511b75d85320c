"""Values there and back: every type by every serializer and compression."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import math
import threading
import uuid
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioqueue.exceptions import ConfigurationError, PayloadError, PayloadTooLarge
from aioqueue.payload import compression as compression_module
from aioqueue.payload import decode, encode
from aioqueue.payload.calls import call_digest
from aioqueue.payload.codec import encode_call

from .models import Box, Colour, Event, Level, Login, Parcel, Point, Rights, Shout, Size, Tree, User, Word

MAX = 8 << 20
NOW = dt.datetime(2026, 5, 17, 12, 30, 15, 123456, tzinfo=dt.UTC)
ID = uuid.UUID("12345678123456781234567812345678")

BERLIN = ZoneInfo("Europe/Berlin")
OFFSET = dt.timezone(dt.timedelta(hours=5, minutes=45))

# What is read as it was, without an annotation, from both serializers.
KEPT: list[Any] = [
    None,
    True,
    2**64 - 1,
    -(2**63),
    2**64,
    -(2**63) - 1,
    10**4000,
    1.5,
    "äö\0😀",
    "$",
    "$$d",
    "$D2026-05-17",
    ["$t", 1],
    ["$m", 1, 2],
    {"$t": 1, "$$": 2},
    b"\xff\x00",
    bytearray(b"ab"),
    [1, [2]],
    (1, 2),
    ((), ([],)),
    {1},
    {(1, "a"), (2, "b")},
    frozenset({1}),
    {"a": {"b": 1}},
    {1: "a", "1": "b"},
    {None: 1, True: 2, 1.5: 3, 2**70: 4, b"x": 5, "$k1": 6, "null": 7},
    {(1, 2): 3, "a": (4,), frozenset({1}): 5},
    {dt.date(2026, 5, 17): 1, ID: 2, Path("x"): 3, decimal.Decimal("1.0"): 4},
    NOW,
    NOW.replace(tzinfo=None),
    NOW.astimezone(OFFSET),
    dt.datetime(2026, 1, 1, 0, 30, tzinfo=BERLIN),
    dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
    dt.datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN, fold=1),
    dt.datetime(2026, 10, 25, 2, 30, fold=1),
    dt.datetime.min,
    dt.datetime.max,
    dt.datetime(1, 1, 1, tzinfo=OFFSET),
    dt.date(2026, 5, 17),
    dt.time(12, 30),
    dt.time(12, 30, fold=1, tzinfo=OFFSET),
    dt.time(12, 30, tzinfo=BERLIN),
    dt.timedelta(seconds=90),
    dt.timedelta.min,
    dt.timedelta.max,
    ID,
    decimal.Decimal("1.50"),
    decimal.Decimal("-Infinity"),
    Colour.RED,
    Level.HIGH,
    Word.A,
    Rights.READ | Rights.WRITE,
    Rights.READ,
    {Colour.RED: Level.HIGH},
    Path("/tmp/x"),
    PurePosixPath("x"),
    PureWindowsPath("c:/x"),
    [Path("a")],
    memoryview(b"ab"),
    Point(1, 2),
    {Point(1, (2,)): [Point(3, Point(4, 5))]},
    collections.OrderedDict(b=1, a=2),
    collections.OrderedDict({(1,): collections.OrderedDict()}),
    collections.Counter("abba"),
    collections.defaultdict(list, a=[1]),
    collections.defaultdict(None, {1: 2}),
    1 + 2j,
    complex(-0.0, float("inf")),
]

# What arrives as plain data: its annotation makes it what it was.
PLAIN: list[tuple[Any, Any]] = [
    (Size(width=1, unit="m"), {"width": 1, "unit": "m"}),
    (Parcel(weight=1.5), {"weight": 1.5}),
    (Shout("hey"), "hey"),
    (collections.namedtuple("Local", "x")(1), (1,)),
    (Tree([Tree()]), {"children": [{"children": []}]}),
    (Box(id=ID, tags={"a"}), {"id": ID, "tags": {"a"}}),
    (User(name="Ada", born=NOW, home=Path("/h")), {"name": "Ada", "born": NOW, "home": Path("/h")}),
    (Event(at=NOW, where=Path("x")), {"at": NOW, "where": Path("x"), "parts": []}),
]


def spelt(value: Any) -> str:
    """The value, and the types of all that is in it, as text."""
    kind = type(value)
    if isinstance(value, dict):
        inner = [f"{spelt(key)}: {spelt(item)}" for key, item in value.items()]
    elif isinstance(value, set | frozenset):
        inner = sorted(map(spelt, value))
    elif isinstance(value, list | tuple):
        inner = list(map(spelt, value))
    elif isinstance(value, memoryview):
        return f"{kind.__name__} {bytes(value)!r}"
    else:
        return f"{kind.__name__} {value!r}"  # of a datetime: with its zone and its fold
    return f"{kind.__name__}({', '.join(inner)})"


def same(got: Any, expected: Any) -> bool:
    return spelt(got) == spelt(expected)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("serializer", ["msgpack", "json"])
@pytest.mark.parametrize(
    ("value", "expected"), [*((value, value) for value in KEPT), *PLAIN], ids=lambda v: type(v).__name__
)
def test_types(value: Any, expected: Any, serializer: str, compression: str | None) -> None:
    filler = "x" * 2000 if compression else ""
    for whole, wanted in ((value, expected), ([value, filler], [expected, filler]), ({"a": value}, {"a": expected})):
        data, content = encode(whole, serializer=serializer, compression=compression, max_size=MAX)
        assert same(decode(data, content, max_size=MAX), wanted)


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_only_what_needs_marks_is_marked(serializer: str) -> None:
    plain = [[1, "a", None, {"b": [1.5, True]}], {"c": {"d": "$"}}]
    assert encode(plain, serializer=serializer, max_size=MAX)[1] == serializer
    assert encode_call(*plain, serializer, None, MAX)[1] == serializer
    assert encode(Tree([Tree()]), serializer=serializer, max_size=MAX)[1] == serializer
    assert encode(User(name="x"), serializer=serializer, max_size=MAX)[1] == serializer
    assert encode([1, NOW], serializer=serializer, max_size=MAX)[1] == f"{serializer}+types"
    assert encode([1, NOW, "x" * 2000], serializer=serializer, compression="zlib", max_size=MAX)[1] == (
        f"{serializer}+types+zlib"
    )


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_payloads_of_earlier_versions_are_read_as_they_are(serializer: str) -> None:
    old = [["$D2026-05-17", ["$t", 1]], {"a": "$"}]
    data = (msgspec.json if serializer == "json" else msgspec.msgpack).encode(old)
    assert decode(data, serializer, max_size=MAX) == old


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_the_same_set_is_the_same_bytes(serializer: str) -> None:
    texts = [str(n) for n in range(50)]
    other_order = {*texts, *map(str, range(1000))}
    other_order -= {str(n) for n in range(50, 1000)}
    one, other = (encode(value, serializer=serializer, max_size=MAX) for value in (set(texts), other_order))
    assert one == other


def test_zstd() -> None:
    pytest.importorskip("zstandard")
    value = ["hello"] * 1000
    data, content = encode(value, compression="zstd", max_size=MAX)
    assert content == "msgpack+zstd"
    assert len(data) < 100
    assert decode(data, content, max_size=MAX) == value


def test_zstd_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression_module, "_zstd_module", lambda: None)
    with pytest.raises(ConfigurationError, match=r"aioqueue\[zstd\]"):
        encode(1, compression="zstd", max_size=MAX)
    with pytest.raises(PayloadError, match=r"aioqueue\[zstd\]"):
        decode(b"x", "msgpack+zstd", max_size=MAX)


def test_compression_only_where_it_helps() -> None:
    assert encode("x" * 900, compression="zlib", max_size=MAX)[1] == "msgpack"
    assert encode("x" * 1100, compression="zlib", max_size=MAX)[1] == "msgpack+zlib"
    noise = b"".join(uuid.uuid4().bytes for _ in range(200))
    data, content = encode(noise, compression="zlib", max_size=MAX)
    assert content == "msgpack"
    assert decode(data, content, max_size=MAX) == noise


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=60,
)


zones = st.none() | st.just(dt.UTC) | st.sampled_from([BERLIN, OFFSET, ZoneInfo("UTC"), ZoneInfo("America/New_York")])
keys = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just("$")
    | st.binary()
    | st.datetimes(timezones=zones, allow_imaginary=False)
    | st.dates()
    | st.times(timezones=st.sampled_from([None, OFFSET]))
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.sampled_from([*Colour, *Level, *Word, *Rights])
    | st.text("abc/.$", min_size=1).map(Path)
)
hashable = st.recursive(
    keys, lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4), max_leaves=8
)
rich = st.recursive(
    keys | st.sets(hashable, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(hashable, inner, max_size=5)
    ),
    max_leaves=25,
)


@given(value=rich, serializer=st.sampled_from(["msgpack", "json"]), compression=st.sampled_from([None, "zlib"]))
def test_every_type_there_and_back(value: Any, serializer: str, compression: str | None) -> None:
    data, content = encode(value, serializer=serializer, compression=compression, max_size=MAX)
    assert same(decode(data, content, max_size=MAX), value)
    args, kwargs = decode(*encode_call((value,), {"a": value}, serializer, None, MAX), max_size=MAX)
    assert same(args, [value]) and same(kwargs, {"a": value})


@given(value=plain, serializer=st.sampled_from(["msgpack", "json"]), compression=st.sampled_from([None, "zlib"]))
def test_round_trip(value: Any, serializer: str, compression: str | None) -> None:
    data, content = encode(value, serializer=serializer, compression=compression, max_size=MAX)
    assert decode(data, content, max_size=MAX) == value


@given(st.lists(st.binary(max_size=3) | st.floats() | st.dictionaries(st.tuples(st.integers(0, 9)), st.integers(0, 9))))
def test_round_trip_of_what_only_msgpack_has(value: list[Any]) -> None:
    data, content = encode(value, max_size=MAX)
    assert repr(decode(data, content, max_size=MAX)) == repr(value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_has_no_nan(number: float) -> None:
    for value in (number, [{"a": (1.0, {"b": number})}], Parcel(weight=number)):
        with pytest.raises(PayloadError, match="use serializer='msgpack'"):
            encode(value, serializer="json", max_size=MAX)
    assert encode([None, 1.0], serializer="json", max_size=MAX)[0] == b"[null,1.0]"
    assert repr(decode(*encode(number, max_size=MAX), max_size=MAX)) == repr(number)


def test_large_integers() -> None:
    for serializer in ("msgpack", "json"):
        for big in (10**100, -(2**64), 10**4299):
            assert decode(*encode([big], serializer=serializer, max_size=MAX), max_size=MAX) == [big]
        with pytest.raises(PayloadError, match=r"4300 digits|more than 3,571 hexadecimal digits"):
            encode([10**5000], serializer=serializer, max_size=MAX)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (threading.Lock(), "a _thread.lock can't be sent: send plain data"),
        ([{"a": object()}], "a object can't be sent"),
        (ValueError("x"), "a ValueError can't be sent"),
        (print, "a builtin_function_or_method can't be sent"),
        (int, "a type can't be sent"),
        ("\ud800", "lone surrogate"),
        (Login(password="x"), "SecretStr, which pydantic would send as asterisks"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_what_cannot_be_sent(value: Any, text: str, serializer: str) -> None:
    with pytest.raises(PayloadError, match=text):
        encode(value, serializer=serializer, max_size=MAX)


def test_asterisks_are_no_secret() -> None:
    stars = "**********"
    assert decode(*encode(User(name=stars), max_size=MAX), max_size=MAX)["name"] == stars


def test_a_list_that_holds_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for serializer in ("msgpack", "json"):
        with pytest.raises(PayloadError, match="holds itself"):
            encode(loop, serializer=serializer, max_size=MAX)


def test_code_of_the_value_that_raises() -> None:
    class Rude(User):
        def model_dump(self, **_: Any) -> Any:
            raise RuntimeError("no")

    with pytest.raises(PayloadError, match="no"):
        encode(Rude(name="x"), max_size=MAX)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_too_large_to_send(compression: str | None) -> None:
    assert encode("x" * 95, max_size=97)
    with pytest.raises(PayloadTooLarge, match=r"takes 5,003 bytes, more than max_payload_size=1,000"):
        encode("x" * 5000, compression=compression, max_size=1000)


def test_unknown_serializer_and_compression() -> None:
    with pytest.raises(ConfigurationError, match=r"'msgpak' is unknown.*Did you mean 'msgpack'"):
        encode(1, serializer="msgpak", max_size=MAX)
    with pytest.raises(ConfigurationError, match="'dill' is unknown"):
        encode(1, serializer="dill", max_size=MAX)
    with pytest.raises(ConfigurationError, match="'lz4' is unknown"):
        encode(1, compression="lz4", max_size=MAX)


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_calls_with_values_of_other_types_are_other_calls(serializer: str) -> None:
    values = [dt.date(2026, 1, 1), "2026-01-01", "$D2026-01-01", (1, 2), [1, 2], {1, 2}, frozenset({1, 2})]
    values += [Point(1, 2), collections.OrderedDict({1: 2}), collections.Counter({1: 2})]
    values += [NOW, NOW.astimezone(BERLIN), Colour.RED, "red", {1: 2}, {"1": 2}, Path("red"), True, 1]
    digests = [call_digest("t", *encode_call((value,), {}, serializer, None, MAX)) for value in values]
    assert len(set(digests)) == len(values)
    again = [call_digest("t", *encode_call([value], {}, serializer, None, MAX)) for value in values]
    assert again == digests
