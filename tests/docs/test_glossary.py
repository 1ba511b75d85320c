"""The glossary: each word once, in order, and no class that it names has the name of another one."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import aioqueue

from .pages import DOCS

PACKAGE = Path(aioqueue.__file__).parent
# A program of its own; and the rows of scripts, which carry what the other classes of their names do.
APART = ("demo/", "brokers/redis/plans.py")
ROW = re.compile(r"^\| \*\*(.+?)\*\* \| .+ \| (?:`(\w+)` )?\|$", re.MULTILINE)


@cache
def classes() -> Counter[str]:
    """How often a class of each name is defined."""
    files = [file for file in PACKAGE.rglob("*.py") if not file.relative_to(PACKAGE).as_posix().startswith(APART)]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def rows() -> list[tuple[str, str]]:
    """Each word, and the class of its name."""
    text = (DOCS / "concepts" / "glossary.md").read_text(encoding="utf-8")
    found = ROW.findall(text)
    assert len(found) == text.count("\n| **"), "a row is not read"
    return found


def test_each_word_stands_once_and_in_order() -> None:
    words = [word for word, _ in rows()]
    assert words == sorted(set(words))


def test_each_class_is_the_only_one_of_its_name() -> None:
    defined = classes()
    assert {name: defined[name] for _, name in rows() if name} == {name: 1 for _, name in rows() if name}


def test_what_has_a_class_of_its_name_names_it() -> None:
    """But for what has several: their sense is the one that is written here, all the same."""
    defined = classes()
    named = {word: name for word, name in rows() if not name}
    assert [word for word in named if defined[word.title().replace(" ", "")] == 1] == []
