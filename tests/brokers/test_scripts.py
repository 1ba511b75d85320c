"""How scripts are put together: pieces once, and what Python knows in Python only."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aioqueue import workflow
from aioqueue.brokers.redis import plans, scripts
from aioqueue.brokers.redis.scripts import script

LUA = files("aioqueue.brokers.redis") / "lua"
OF_WORKFLOWS = [
    "resume.lua",
    *(f"lib/{name}.lua" for name in ("workflow", "node", "places", "hashes", "reading")),
    *(f"lib/{name}.lua" for name in ("handlers", "bad_ends", "beginning", "revoking", "wrecking", "releasing")),
]

EVERY = sorted(path.name for path in Path(str(LUA)).glob("*.lua")) + sorted(
    f"lib/{path.name}" for path in Path(str(LUA)).glob("lib/*.lua")
)
SAID_BY_THE_SERVER = {"entry", "reply", "holder", "pending", "time", "last", "head", "found", "fields", "read"}
ROWS = {
    "plan",
    "settlement",
    "step",
    "start",
    "group",
    "message",
    "addition",
    "stream",
    "count",
    "record",
    "item",
    "one",
}


def code(name: str) -> str:
    """A file of Lua without its comments."""
    return re.sub(r"--.*", "", (LUA / name).read_text(encoding="utf-8"))


def test_workflows_are_all_looked_at() -> None:
    used = set(re.findall(r"^-- use: (\w+)$", (LUA / "lib/workflow.lua").read_text(encoding="utf-8"), re.MULTILINE))
    assert {f"lib/{name}.lua" for name in used} <= set(OF_WORKFLOWS)


@pytest.mark.parametrize("name", EVERY)
def test_fields_are_named(name: str) -> None:
    """Bare numbers are for what the server says, in its own order, and for the first of a list."""
    counted = set(re.findall(r"\b(?!KEYS|ARGV)(\w+)\[[1-9]\d*\]", code(name)))
    first = set(re.findall(r"\b(\w+)\[1\]\[[A-Z]+\.\w+\]", code(name))) | {"ended"}
    assert counted - SAID_BY_THE_SERVER - (first - ROWS) == set()
    assert not set(re.findall(r"\bunpack\((\w+), 1, \d", code(name))) & ROWS


@pytest.mark.parametrize("name", plans.NAMES)
def test_each_field_of_a_row_is_read(name: str) -> None:
    """One that is added to it is of no use before a script looks at it."""
    read = set(re.findall(rf"\b{name}\.(\w+)", "".join(map(code, EVERY))))
    assert read == set(plans.NAMES[name].__struct_fields__)


def test_a_row_goes_as_its_fields_stand_in_it() -> None:
    for name, row in plans.NAMES.items():
        fields = row.__struct_fields__
        indices: dict[str, Any] = scripts._CONSTANTS[name]
        sent = msgspec.msgpack.decode(msgspec.msgpack.encode(row(*fields)))
        assert {field: sent[indices[field] - 1] for field in fields} == {field: field for field in fields}


def test_those_that_are_short_are_the_beginning_of_those_that_are_whole() -> None:
    for short, whole in ((plans.End, plans.WholeEnd), (plans.Done, plans.Step)):
        assert whole.__struct_fields__[: len(short.__struct_fields__)] == short.__struct_fields__


def test_what_is_seen_at_a_glance_has_its_names_in_scripts() -> None:
    fields = [*workflow.GLANCE, "at"]
    seen = re.findall(r"^ *(?:local )?([\w, ]+) = struct\.unpack\(GLANCE\.FORMAT", "\n".join(map(code, EVERY)), re.M)
    assert len(seen) == 4
    for names in seen:
        for name, field in zip(names.split(", "), fields, strict=False):
            assert name in (field, "_")


@pytest.mark.parametrize("name", OF_WORKFLOWS)
def test_what_python_knows_is_not_written_again(name: str) -> None:
    text = code(name)
    for value in (workflow.PAGE, workflow.INLINE_VALUE, workflow.KEEP_BROKEN):
        assert not re.search(rf"\b{value}\b", text)
    for compared in re.findall(r"[=~]= '(\w?)'", text):
        assert compared not in {*scripts._CONSTANTS["KIND"].values(), *scripts._CONSTANTS["STATE"].values()}


def test_a_piece_stands_there_once() -> None:
    text = script("settle").text
    for name in ("adding", "workflows", "hashes", "clock"):
        assert text.count(f"local function {name}(") == 1


def test_constants_are_those_of_python() -> None:
    text = script("resume").text
    for name in EVERY:
        if "/" not in name:
            assert not re.search(scripts._CONSTANT, script(name.removesuffix(".lua")).text)
    assert f"head[{workflow.Node.__struct_fields__.index('on_error') + 1}]" in text
    assert f"#value * copies <= {workflow.INLINE_VALUE} " in text


def test_a_constant_that_there_is_not_is_noticed() -> None:
    with pytest.raises(KeyError, match="pags"):
        scripts._CONSTANT.sub(scripts._value, "head[NODE.pags]")
