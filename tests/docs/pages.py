"""Pages of the documentation, and the fenced blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^( *)(```+)([^\n`]*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file that it is in.
        line: of its first line of content, counted from 1.
        language: "python", "console", …
        title: the file that the reader is to put it into, or "".
        text: what is in it.
        remark: the HTML comment right before it, without its marks, or "".
    """

    page: Path
    line: int
    language: str
    title: str
    text: str
    remark: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All pages, those at the root of the repository included."""
    at_root = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [page for page in [*at_root, *sorted(DOCS.rglob("*.md"))] if page.exists()]


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, or those in one language."""
    return [block for block in _blocks(page) if language in (None, block.language)]


def _blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    before = ""
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        if opened is None:
            before = lines[number].strip() or before
            number += 1
            continue
        indent, fence, info = opened.groups()
        start = number = number + 1
        while lines[number].strip() != fence:
            number += 1
        text = "\n".join(line.removeprefix(indent) for line in lines[start:number]) + "\n"
        title = _TITLE.search(info)
        remark = before.removeprefix("<!--").removesuffix("-->").strip() if before.startswith("<!--") else ""
        yield Block(page, start + 1, info.split(" ")[0], title[1] if title else "", text, remark)
        before = ""
        number += 1


def inline_code(page: Path) -> list[str]:
    """What stands `between backticks`, outside of the blocks."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return _INLINE.findall(text)
