"""The Lua scripts, one a file in `lua/`, with the pieces they share in `lua/lib/`.

A script names the pieces it needs in lines `-- use: name`; they are put in its place, in that order. A line
`-- flags: allow-oom` lets it run while the broker is out of memory: all that end tasks or keep workers alive have it,
for what they store is little, and what waits for them is more. `-- flags:` alone has it refused whole then, before its
first write; without any, only the command that needs memory would be.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple

_USE = re.compile(r"^-- use: (\w+)$", re.MULTILINE)
_FLAGS = re.compile(r"^-- flags:(.*)$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


class Script(NamedTuple):
    """A script's name, its text and the digest by which the server knows it."""

    name: str
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of that name."""
    folder = files("aioqueue.brokers.redis") / "lua"
    source = (folder / f"{name}.lua").read_text(encoding="utf-8")
    text = _USE.sub(lambda use: (folder / "lib" / f"{use[1]}.lua").read_text(encoding="utf-8"), source)
    flags = _FLAGS.search(source)
    text = _shebang(flags[1].strip() if flags else None) + _COMMENT.sub("", text)
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def _shebang(flags: str | None) -> str:
    if flags is None:
        return ""
    return f"#!lua flags={flags}\n" if flags else "#!lua\n"
