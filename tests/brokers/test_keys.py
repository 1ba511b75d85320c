"""The names of keys are made in one place, and that place knows all of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

import aioqueue
from aioqueue.brokers.redis import keys
from aioqueue.brokers.redis.keys import Keys

PACKAGE = Path(aioqueue.__file__).parent
REDIS = PACKAGE / "brokers" / "redis"
NAMES = [
    name
    for line in re.findall(r"^    \{ns:0\}:(.*?)  ", keys.__doc__ or "", re.MULTILINE)
    for name in line.strip().split(", ")
]
PIECES = {piece for name in NAMES for piece in re.split(r"<\w+>", name) if piece.strip(":")}
"""What the names consist of beside ids and the like: `q:`, `:front`, `delayed`."""
SCRIPTS = sorted(str(path.relative_to(REDIS / "lua")) for path in (REDIS / "lua").rglob("*.lua"))


def made_by_hand(source: str) -> Iterator[str]:
    """Texts that are put together of a prefix, or of a piece of a key's name."""
    for node in ast.walk(ast.parse(source)):
        parts: list[ast.expr] = []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            parts = [node.left, node.right]
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
        for part in parts:
            name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
            text = part.value if isinstance(part, ast.Constant) else ""
            if name.endswith("prefix") or (text in PIECES and len(parts) > 1):
                yield ast.unparse(node)


def test_names_are_known() -> None:
    assert len(NAMES) == len(set(NAMES)) > 25
    assert {"q:", ":front", "r:", ":s", "dead:count", "early:"} <= PIECES


@pytest.mark.parametrize(
    "text",
    ['prefix + "leases"', 'f"{self._prefix}wf:{id}"', 'f"{self._keys.prefix}x"', 'key + ":s"', 'f"r:{id}"'],
)
def test_a_name_made_by_hand_is_noticed(text: str) -> None:
    assert list(made_by_hand(text))


def test_python_makes_no_name_by_hand() -> None:
    found = [
        f"{path.name}: {text}"
        for path in sorted(REDIS.glob("*.py"))
        if path.name != "keys.py"
        for text in made_by_hand(path.read_text())
    ]
    assert found == []


def test_nobody_else_knows_how_keys_begin() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path == REDIS / "keys.py" or ":0}" not in path.read_text(), path


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_use_no_other_keys(name: str) -> None:
    text = (files("aioqueue.brokers.redis") / "lua" / name).read_text(encoding="utf-8")
    for piece in re.findall(r"prefix \.\. '([^']*)'", text):
        assert any(known == piece or (known.startswith(piece) and known[len(piece)] == "<") for known in NAMES), piece


def test_all_that_keys_makes_is_listed() -> None:
    made = Keys("ns")
    single = {value for name, value in vars(made).items() if name != "prefix"}
    single |= {made.stream(keys.stream("<queue>", "<priority>")), made.stream(keys.stream("<queue>", keys.FRONT))}
    single |= {made.record("<id>"), made.done("<client>")}
    single |= {made.nodes("<id>"), made.states("<id>"), made.values("<id>")}
    assert single <= {"{ns:0}:" + name for name in NAMES}


def test_each_name_is_used() -> None:
    """What nobody makes any more is not listed."""
    made = Keys("ns")
    single = {value.removeprefix(made.prefix) for name, value in vars(made).items() if name != "prefix"}
    text = "\n".join((REDIS / "lua" / name).read_text(encoding="utf-8") for name in SCRIPTS)
    text += (REDIS / "keys.py").read_text(encoding="utf-8").split('"""', 2)[2]
    for name in NAMES:
        pieces = [piece for piece in re.split(r"<\w+>", name) if piece.strip(":")]
        for piece in pieces:
            assert piece in single or re.search(rf"""['"}}:]{re.escape(piece.strip(":"))}\b""", text), name


def test_the_page_has_the_same_names() -> None:
    page = (PACKAGE.parent / "docs" / "concepts" / "architecture.md").read_text(encoding="utf-8")
    listed = re.findall(r"`\{ns:0\}:(.*?)`", page.split("## Keys")[1].split("\n## ")[0])
    assert sorted(listed) == sorted(NAMES)
