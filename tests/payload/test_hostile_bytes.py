"""Bytes that somebody else wrote: whatever they are, only PayloadError comes out, without much memory or work."""

from __future__ import annotations

import datetime as dt
import enum
import json
import random
import struct
import sys
import tracemalloc
import zlib
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioqueue.exceptions import PayloadError, PayloadTooLarge
from aioqueue.payload import Parameters, decode, encode
from aioqueue.payload.limits import MAX_CONTAINERS, MAX_DEPTH, MAX_ITEMS, count_msgpack

from . import models as models  # classes that marks name have to be loaded

MAX = 8 << 20
NOW = dt.datetime(2500, 5, 17, 12, 30, 15, 123456, tzinfo=dt.UTC)
pack = msgspec.msgpack.encode


def refused(data: bytes, content: str = "msgpack", *, match: str | None = None) -> None:
    with pytest.raises(PayloadError, match=match):
        decode(data, content, max_size=MAX)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\xa5ab",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x05",
        b"\x01\x02",
        b"\xa1\xff",
        b"\x81\x80\x01",
        b"\xc7\x0c\xff" + b"\xff" * 12,
        b"\xd7\xff" + b"\xff" * 8,
        b"\xdd\x00\x0f\x00\x00" * 900 + b"\0" * 900_000,
    ],
    ids=lambda data: data[:6].hex() or "empty",
)
def test_malformed_msgpack(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"[", b"NaN", b"1e400", b"9" * 100_000, b'"\xff"', b"1 2", b"{1:2}", b'"\\ud800"', b"[1,]", b"\x00"],
    ids=repr,
)
def test_malformed_json(data: bytes) -> None:
    refused(data, "json")


def test_extensions_are_refused() -> None:
    refused(b"\xc7\x01\x05\x01", match="extension of type 5")
    refused(b"\x92\xc7\x01\x05\x01\x01", match="extension of type 5")


@pytest.mark.parametrize(
    "content",
    ["pickle", "Pickle", "pickle+zlib", "yaml", "cloudpickle"],
)
def test_what_runs_code_is_refused_by_its_tag(content: str) -> None:
    refused(b"cos\nsystem\n(S'true'\ntR.", content, match="can run code, so it was refused unread")


@pytest.mark.parametrize(
    "content", ["", "MSGPACK", "msgpack+", "msgpack+lz4", "+zlib", "x" * 10_000, None, 3, [], b"json"]
)
def test_unknown_tags(content: Any) -> None:
    with pytest.raises(PayloadError, match="isn't one of msgpack,") as caught:
        decode(b"\x01", content, max_size=MAX)
    assert len(str(caught.value)) < 300


def nested(depth: int, kind: str) -> tuple[bytes, str]:
    match kind:
        case "list":
            return b"\x91" * (depth - 1) + b"\x90", "msgpack"
        case "dict":
            return b"\x81\xa1a" * (depth - 1) + b"\x80", "msgpack"
        case "key":  # {((...(),),): 1}
            return b"\x81" + b"\x91" * (depth - 2) + b"\x90" + b"\x01", "msgpack"
        case "json":
            return b"[" * depth + b"]" * depth, "json"
        case _:
            return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1), "json"


KINDS = ["list", "dict", "key", "json", "json dict"]


@pytest.mark.parametrize("kind", KINDS)
def test_depth(kind: str) -> None:
    decode(*nested(MAX_DEPTH, kind), max_size=MAX)
    for depth in (MAX_DEPTH + 1, MAX_DEPTH + 2, 500, 5_000, 100_000):
        refused(*nested(depth, kind), match="nested deeper than 64" if kind != "key" or depth < 900 else None)


def test_depth_beside_much_else() -> None:
    wide = [[0]] * 500
    deep: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    decode(pack([wide, deep[0]]), "msgpack", max_size=MAX)
    refused(pack([wide, deep]), match="deeper")
    refused(pack([wide, {"a": deep}]), match="deeper")
    refused(json.dumps([wide, deep]).encode(), "json", match="deeper")


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_what_is_too_deep_to_be_read_is_not_sent(serializer: str) -> None:
    deep: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert decode(*encode(deep, serializer=serializer, max_size=MAX), max_size=MAX) == deep
    with pytest.raises(PayloadError, match="deeper"):
        encode([deep], serializer=serializer, max_size=MAX)


def peak(data: bytes, content: str, *, match: str) -> int:
    tracemalloc.start()
    try:
        refused(data, content, match=match)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "content", "match"),
    [
        (b"\xdd" + struct.pack(">I", 7_000_000) + b"\x80" * 7_000_000, "msgpack", "100,000 lists and dicts"),
        (b"\xdd" + struct.pack(">I", 7_000_000) + b"\x01" * 7_000_000, "msgpack", "1,000,000 values"),
        (b"[" + b"{}," * 2_000_000 + b"{}]", "json", "100,000 lists and dicts"),
        (b"[" + b"1," * 3_000_000 + b"1]", "json", "1,000,000 values"),
    ],
    ids=["msgpack dicts", "msgpack numbers", "json dicts", "json numbers"],
)
def test_items_are_counted_before_they_are_built(data: bytes, content: str, match: str) -> None:
    assert peak(data, content, match=match) < 30 << 20


@pytest.mark.parametrize("data", [b"\x01", b"\x80", b"\x90", b"\xa0", b"\x91"], ids=repr)
def test_counting_ends_at_the_limits(data: bytes) -> None:
    items, containers = count_msgpack(data * 7_000_000)
    assert items <= MAX_ITEMS + 1 and containers <= MAX_CONTAINERS + 1


def test_few_items_of_many_bytes_are_fine() -> None:
    for value in (
        b"\x80" * 2_000_000,
        "{[,:" * 500_000,
        '"' + "[" * 1_200_000,
        "\\" + "[" * 1_200_000,
        ["\x80" * 100_000, 2**40] * 5,
    ):
        serializers = ["msgpack"] if isinstance(value, bytes) else ["msgpack", "json"]
        for serializer in serializers:
            assert decode(*encode(value, serializer=serializer, max_size=MAX), max_size=MAX) == value


def test_counting_understands_every_kind_of_value() -> None:
    """One of each, over and over: if a size were wrong, the walk would count the insides of texts."""
    each = [2**7, 2**15, 2**31, 2**40, -1, -(2**7), -(2**15), -(2**31), -(2**40), 1.5, "a" * 20, "\x80" * 50]
    each += ["\x80" * 200, "\x80" * 40_000, b"\x80" * 50, b"\x80" * 300, b"\x80" * 70_000, None, True]
    value: list[Any] = [*each, {"k": [1] * 20}, {str(i): i for i in range(20)}]
    value = [value] * 20
    assert decode(*encode(value, max_size=MAX), max_size=MAX) == value
    limit = [[]] * (MAX_CONTAINERS - 1)
    assert decode(*encode(limit, max_size=MAX), max_size=MAX) == limit
    with pytest.raises(PayloadError, match="100,000 lists"):
        encode([*limit, []], max_size=MAX)
    assert len(decode(pack([1] * (MAX_ITEMS - 1)), "msgpack", max_size=MAX)) == MAX_ITEMS - 1
    refused(pack([1] * MAX_ITEMS), match="1,000,000 values")


SIZES = [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536]
NUMBERS = [0, 127, 128, 255, 256, 2**16, 2**32, 2**64 - 1, -1, -32, -33, -128, -129, -(2**15) - 1, -(2**31) - 1]


@pytest.mark.parametrize(
    "value",
    [None, True, 1.5, *NUMBERS, *("\x7f" * n for n in SIZES), *(b"\x80" * n for n in SIZES), NOW]
    + [msgspec.msgpack.Ext(5, b"\x80" * n) for n in (1, 2, 4, 8, 16, 3, 255, 256, 65_536)],
    ids=lambda value: f"{type(value).__name__} {value!r}"[:30],
)
def test_the_size_of_every_kind_of_value_is_known(value: Any) -> None:
    assert count_msgpack(pack([value] * 3)) == (4, 1)
    assert count_msgpack(pack({"k": value, "l": [value]})) == (6, 2)


def test_counting_ends_at_the_limit() -> None:
    """Whatever comes after it is not walked through."""
    lines = 0

    def count(frame: Any, event: str, _: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return count if frame.f_code is count_msgpack.__code__ else None

    numbers = b"\xdd" + struct.pack(">I", 7_000_000) + b"\x01" * 7_000_000
    before = sys.gettrace()
    sys.settrace(count)
    try:
        assert count_msgpack(numbers) == (MAX_ITEMS + 1, 1)
    finally:
        sys.settrace(before)
    assert lines < 12 * MAX_ITEMS


@pytest.mark.parametrize("count", [0, 15, 16, 65_535, 65_536])
def test_lists_and_dicts_of_every_size_are_counted(count: int) -> None:
    assert count_msgpack(pack([1] * count)) == (count + 1, 1)
    assert count_msgpack(pack(dict.fromkeys(range(count)))) == (count * 2 + 1, 1)


def test_zlib_bomb() -> None:
    bomb = zlib.compress(b"\0" * (256 << 20), 9)
    assert len(bomb) < 300_000
    assert peak(bomb, "msgpack+zlib", match="decompresses to more than max_payload_size=8,388,608") < 40 << 20
    with pytest.raises(PayloadTooLarge):
        decode(bomb, "json+zlib", max_size=MAX)


def test_zlib_malformed() -> None:
    good, content = encode("x" * 5000, compression="zlib", max_size=MAX)
    refused(good[:-1], content, match="truncated")
    refused(good + b"x", content, match="bytes follow")
    refused(b"x" + good, content)
    refused(b"", content)
    refused(zlib.compress(b""), content)
    decode(good, content, max_size=5003)
    with pytest.raises(PayloadTooLarge):
        decode(good, content, max_size=5002)


def test_zstd_bombs() -> None:
    zstandard: Any = pytest.importorskip("zstandard")
    bomb = zstandard.ZstdCompressor().compress(b"\0" * (64 << 20))
    refused(bomb, "msgpack+zstd", match="decompresses to more than")
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(b"\0" * (64 << 20))
    refused(unsized, "msgpack+zstd", match="doesn't tell its size")
    good, content = encode("x" * 5000, compression="zstd", max_size=MAX)
    refused(good[:-1], content)
    refused(good + b"x", content)
    refused(b"", content)


def test_too_large_to_read() -> None:
    with pytest.raises(PayloadTooLarge, match="has 101 bytes, more than max_payload_size=100"):
        decode(b"\x01" * 101, "msgpack", max_size=100)


SAMPLES: list[Any] = [
    [[2, 3], {}],
    [["$t", ["$s", 1, "$D2026-01-01"], ["$E", "a:b", "c", "$u"], "$i1"], {"$k1": ["$m", 1, 2], "z": "$d~2026-01-01"}],
    [["ada@example.org", "hällo"], {"when": 1.5, "tags": ["a", None, True], "n": -(2**40)}],
    [[b"\x80" * 40, {"a": {"b": [1, 2, {"c": "d" * 300}]}}], {"deep": [[[[[]]]]] * 30}],
]
CONTENTS = ["msgpack", "json", "msgpack+zlib", "json+zlib", "msgpack+types", "json+types", "json+types+zlib"]


def valid(sample: Any, content: str) -> bytes:
    data = (msgspec.json.encode if content.startswith("json") else pack)(sample)
    return zlib.compress(data) if content.endswith("zlib") else data


@pytest.mark.parametrize("content", CONTENTS)
def test_mutants(content: str) -> None:
    def task(to: str, when: float = 0, tags: list[str | None] | None = None, *rest: bytes, **more: int) -> None: ...

    parameters = Parameters(task)
    chance = random.Random(7)
    accepted = 0
    for number in range(6_000):
        data = bytearray(valid(SAMPLES[number % len(SAMPLES)], content))
        for _ in range(chance.randint(1, 4)):
            where = chance.randrange(len(data) + 1)
            match chance.randrange(4):
                case 0 if where < len(data):
                    data[where] = chance.randrange(256)
                case 1:
                    data.insert(where, chance.choice((0x80, 0x91, 0xC7, 0xDD, 0xDF, 0xFF, chance.randrange(256))))
                case 2:
                    del data[where : where + chance.randint(1, 8)]
                case _:
                    data[where:where] = data[: chance.randint(0, 16)]
        try:
            parameters.decode(bytes(data), content, max_size=100_000)
            accepted += 1
        except PayloadError:
            pass
    assert accepted < 6_000


@given(data=st.binary(max_size=300), content=st.sampled_from(CONTENTS))
def test_noise(data: bytes, content: str) -> None:
    try:
        decode(data, content, max_size=200)
    except PayloadError:
        pass


@pytest.mark.parametrize(
    "value",
    [
        "$",
        "$?x",
        "$t",
        ["$t$"],
        ["$E", "a:b", "c"],
        ["$E", 1, 2, 3],
        ["$E", "a:b", 1, "$?"],
        ["$s", [1]],
        ["$s", {}],
        ["$z", ["$t", []]],
        ["$m", 1],
        ["$m", [], 1],
        ["$m", 1, 2, 1, 3],
        {"$k1": 1, "$i1": 2},
        {"$b": 1, "$b!": 2},
        "$i" + "f" * 5_000,
        "$k" + "9" * 5_000,
        "$e1",
        "$e999999999999,0,0",
        "$d2026-01-01[../../etc/passwd]",
        "$d2026-01-01[",
        "$c01:00[Nowhere/Nothing]",
        "$D2026-13-01",
        "$Nx",
        "$ux",
        "$x1+",
        "$b!!",
        "$a!!",
        ["$E", "payload.models:Rights", "", 1 << 30],
        ["$f", "eval"],
        ["$f", "int", 1],
        ["$f", ["int"]],
        ["$f"],
        ["$o", 1],
        ["$C", [], 1],
        ["$n"],
        ["$n", 1, 2],
        "$v!!",
    ],
    ids=repr,
)
@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_marks_that_nobody_writes(value: Any, serializer: str) -> None:
    data = (msgspec.json.encode if serializer == "json" else pack)([0, value])
    refused(data, f"{serializer}+types")
    assert decode(data, serializer, max_size=MAX) == [0, value]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("os:system", "x"),
        ("payload.models:Event", 1),
        ("builtins:eval", "1"),
        ("nowhere.at.all:X", 1),
        ("enum:Enum", 3),
    ],
)
def test_a_name_is_looked_up_among_loaded_enums_and_nowhere_else(name: str, plain: Any) -> None:
    loaded = set(sys.modules)
    assert decode(pack(["$E", name, "RED", plain]), "msgpack+types", max_size=MAX) == plain
    assert decode(pack(["$E", "payload.models:Colour", "__class__", plain]), "msgpack+types", max_size=MAX) == plain
    assert set(sys.modules) == loaded


@pytest.mark.parametrize(
    "name", ["os:system", "payload.models:Event", "os:stat_result", "builtins:tuple", "payload.models:Colour", "x"]
)
def test_a_named_tuple_is_one_of_those_that_are_loaded(name: str) -> None:
    assert decode(pack(["$n", name, 1, 2]), "msgpack+types", max_size=MAX) == (1, 2)
    assert type(decode(pack(["$n", name, 1, 2]), "msgpack+types", max_size=MAX)) is tuple
    assert type(decode(pack(["$n", "payload.models:Point", 1]), "msgpack+types", max_size=MAX)) is tuple


def test_code_of_a_named_tuple_does_not_run() -> None:
    found = decode(pack(["$n", f"{__name__}:Careful", 1]), "msgpack+types", max_size=MAX)
    assert type(found) is Careful and found.x == 1


class Careful(NamedTuple("_Careful", [("x", int)])):
    def __new__(cls, *args: Any) -> Any:
        raise AssertionError("code of a class ran because a message named it")

    __init__ = __new__


def test_an_enum_with_code_of_its_own_is_not_asked() -> None:
    data = pack(["$E", f"{__name__}:Asking", "", 8])
    assert decode(data, "msgpack+types", max_size=MAX) == 8


class Asking(enum.Flag):
    A = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        raise AssertionError("code of a class ran because a message named it")


@pytest.mark.parametrize("mark", ["$t", "$m", "$E"])
def test_marked_depth(mark: str) -> None:
    def deep(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = {"$t": ["$t", value], "$m": ["$m", 1, value], "$E": ["$E", "a:b", "c", value]}[mark]
        return value

    decode(pack(deep(MAX_DEPTH)), "msgpack+types", max_size=MAX)
    for levels in (MAX_DEPTH + 1, 500):
        refused(pack(deep(levels)), "msgpack+types", match="deeper")
    value: Any = ()
    for _ in range(MAX_DEPTH):
        value = (value,)
    with pytest.raises(PayloadError, match="deeper"):
        encode(value, max_size=MAX)
