"""The Lua scripts, one a file in `lua/`, with the pieces they share in `lua/lib/`.

A script names the pieces it needs in lines `-- use: name`, and so does a piece; each is put in the place of the first
such line. What Python and Lua both have to know stands in Python only: scripts write `NODE.<field>` for the index of a
field in a node's head, `END.<field>` and such for that in a row of a plan (`plans.py`), `SCHEDULE` and `CLAIM` for
those of what is stored of a schedule and of a claim, and `KIND`, `STATE`, `LIMIT`, `NOTICE` and `GLANCE` with the
names of `_CONSTANTS`; they run with the values.

A line `-- flags: allow-oom` lets a script run while the broker is out of memory: all that end tasks or keep workers
alive have it, for what they store is little, and what waits for them is more. `-- flags:` alone has it refused whole
then, before its first write; without any, only the command that needs memory would be.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple, get_args

import msgspec

from aioqueue import workflow
from aioqueue.brokers.protocol import ABANDONED_AFTER, FROM_CODE, Claim, Notice
from aioqueue.brokers.protocol.data import tag_of
from aioqueue.brokers.redis import plans
from aioqueue.brokers.redis.schedule_state import State

_USE = re.compile(r"^-- use: (\w+)$", re.MULTILINE)
_FLAGS = re.compile(r"^-- flags:(.*)$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


def _indices(struct: type[msgspec.Struct]) -> dict[str, int | str]:
    """Where each field is in the array that a struct becomes; Lua counts from one."""
    return {field: index for index, field in enumerate(struct.__struct_fields__, 1)}


_CONSTANTS: dict[str, dict[str, int | str]] = {
    **{name: _indices(row) for name, row in plans.NAMES.items()},
    "NODE": _indices(workflow.Node),
    "GLANCE": {"FORMAT": ">" + "".join(workflow.GLANCE.values())},
    "KIND": {
        **{name: getattr(workflow, name) for name in ("TASK", "JOIN", "LENIENT", "HANDLER")},
        "ALL": workflow.TASK + workflow.JOIN + workflow.LENIENT + workflow.HANDLER,
    },
    "STATE": {
        **{name: getattr(workflow, name) for name in ("QUEUED", "DONE", "FAILED", "UPSTREAM", "REVOKED", "WRECKED")},
        "FINAL": workflow.DONE + workflow.FAILED + workflow.UPSTREAM + workflow.REVOKED,
        "BAD": workflow.FAILED + workflow.UPSTREAM + workflow.REVOKED,
    },
    "LIMIT": {
        "PAGE": workflow.PAGE,
        "INLINE_VALUE": workflow.INLINE_VALUE,
        "KEEP_BROKEN": workflow.KEEP_BROKEN,
        # What makes a workflow heavy, in bytes of a node. How many steps of workflows one script takes, and how many
        # records one of them lets go. And how many values go into one command: Lua unpacks no more of them at once; it
        # is even, for fields and their values.
        "HEAVY": 8192,
        "STEPS": 500,
        "VALUES": 1000,
        # How many schedules one script looks at in a sweep; for how many ms a silent scheduler stands for what it has
        # declared; and for how many a lease may go on: one that is longer is nobody's.
        "SCHEDULES": 500,
        "ABANDONED": ABANDONED_AFTER,
        "LEASE": 24 * 3600 * 1000,
    },
    "SCHEDULE": {
        **_indices(State),
        "CODE": FROM_CODE,
    },
    "CLAIM": _indices(Claim),
    "NOTICE": {kind.__name__: tag_of(kind) for kind in get_args(Notice)},
}
_CONSTANT = re.compile(rf"\b({'|'.join(_CONSTANTS)})\.(\w+)")


class Script(NamedTuple):
    """A script's name, its text and the digest by which the server knows it."""

    name: str
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of that name."""
    source = _source(f"{name}.lua")
    flags = _FLAGS.search(source)
    text = _COMMENT.sub("", _with_pieces(source, set()))
    text = _shebang(flags[1].strip() if flags else None) + _CONSTANT.sub(_value, text)
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def _source(path: str) -> str:
    return (files("aioqueue.brokers.redis") / "lua" / path).read_text(encoding="utf-8")


def _with_pieces(source: str, used: set[str]) -> str:
    """A text with the pieces that it uses, but for those that stand before it already."""

    def piece(use: re.Match[str]) -> str:
        name = use[1]
        if name in used:
            return ""
        used.add(name)
        return _with_pieces(_source(f"lib/{name}.lua"), used)

    return _USE.sub(piece, source)


def _value(constant: re.Match[str]) -> str:
    value = _CONSTANTS[constant[1]][constant[2]]
    return f"'{value}'" if isinstance(value, str) else str(value)


def _shebang(flags: str | None) -> str:
    if flags is None:
        return ""
    return f"#!lua flags={flags}\n" if flags else "#!lua\n"
