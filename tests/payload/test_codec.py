"""Values there and back: every type by every serializer and compression."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioqueue.exceptions import ConfigurationError, PayloadError, PayloadTooLarge
from aioqueue.payload import compression as compression_module
from aioqueue.payload import decode, encode

from .models import Colour, Event, Level, Login, Parcel, Point, Shout, Size, User

MAX = 8 << 20
NOW = dt.datetime(2026, 5, 17, 12, 30, 15, 123456, tzinfo=dt.UTC)
ID = uuid.UUID("12345678123456781234567812345678")

# value, what msgpack gives, what JSON gives
TYPES: list[tuple[Any, Any, Any]] = [
    (None, None, None),
    (True, True, True),
    (2**64 - 1, 2**64 - 1, 2**64 - 1),
    (-(2**63), -(2**63), -(2**63)),
    (1.5, 1.5, 1.5),
    ("äö\0😀", "äö\0😀", "äö\0😀"),
    (b"\xff\x00", b"\xff\x00", "/wA="),
    (bytearray(b"ab"), b"ab", "YWI="),
    (memoryview(b"ab"), b"ab", "YWI="),
    ([1, [2]], [1, [2]], [1, [2]]),
    ((1, 2), [1, 2], [1, 2]),
    ({1}, [1], [1]),
    (frozenset({1}), [1], [1]),
    ({"a": {"b": 1}}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ({1: 2}, {1: 2}, {"1": 2}),
    (NOW, NOW, "2026-05-17T12:30:15.123456Z"),
    (NOW.replace(tzinfo=None), "2026-05-17T12:30:15.123456", "2026-05-17T12:30:15.123456"),
    (dt.date(2026, 5, 17), "2026-05-17", "2026-05-17"),
    (dt.time(12, 30), "12:30:00", "12:30:00"),
    (dt.timedelta(seconds=90), "PT90S", "PT90S"),
    (ID, str(ID), str(ID)),
    (decimal.Decimal("1.50"), "1.50", "1.50"),
    (Colour.RED, "red", "red"),
    (Level.HIGH, 9, 9),
    (Point(1, 2), [1, 2], [1, 2]),
    (Size(width=1, unit="m"), {"width": 1, "unit": "m"}, {"width": 1, "unit": "m"}),
    (Parcel(weight=1.5), {"weight": 1.5}, {"weight": 1.5}),
    (Path("/tmp/x"), "/tmp/x", "/tmp/x"),
    ([Path("a")], ["a"], ["a"]),
    (1 + 2j, "(1+2j)", "(1+2j)"),
    (Shout("hey"), "hey", "hey"),
    (
        User(name="Ada", born=NOW, home=Path("/h")),
        {"name": "Ada", "born": "2026-05-17T12:30:15.123456Z", "home": "/h"},
        {"name": "Ada", "born": "2026-05-17T12:30:15.123456Z", "home": "/h"},
    ),
    (
        Event(at=NOW, where=Path("x")),
        {"at": NOW, "where": "x", "parts": []},
        {"at": "2026-05-17T12:30:15.123456Z", "where": "x", "parts": []},
    ),
]


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("serializer", ["msgpack", "json"])
@pytest.mark.parametrize(("value", "binary", "textual"), TYPES, ids=lambda v: type(v).__name__)
def test_types(value: Any, binary: Any, textual: Any, serializer: str, compression: str | None) -> None:
    filler = "x" * 2000 if compression else ""
    data, content = encode([value, filler], serializer=serializer, compression=compression, max_size=MAX)
    assert content == serializer + (f"+{compression}" if compression else "")
    got = decode(data, content, max_size=MAX)
    expected = binary if serializer == "msgpack" else textual
    assert got == [expected, filler]
    assert type(got[0]) is type(expected)


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
    with pytest.raises(PayloadError, match=r"beyond 64 bits.*as text"):
        encode([2**64], max_size=MAX)
    big = 10**100
    assert decode(*encode(big, serializer="json", max_size=MAX), max_size=MAX) == big


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
    with pytest.raises(ConfigurationError, match="'pickle' is unknown"):
        encode(1, serializer="pickle", max_size=MAX)
    with pytest.raises(ConfigurationError, match="'lzma' is unknown"):
        encode(1, compression="lzma", max_size=MAX)
