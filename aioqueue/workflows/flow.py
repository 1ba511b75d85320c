"""One workflow, and what can be read of it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from aioqueue.brokers.protocol import WorkflowStatus
from aioqueue.workflow import (
    DONE,
    FAILED,
    JOIN,
    LENIENT,
    PAGE,
    QUEUED,
    REVOKED,
    TASK,
    UPSTREAM,
    WAITING,
    Node,
    NoValue,
    Part,
    Start,
    Told,
    Value,
    decode_node,
    encode_node,
)

_BAD = (FAILED, UPSTREAM, REVOKED)
_FINAL = (DONE, *_BAD)


class BadEnd(msgspec.Struct, frozen=True):
    """How a node ended badly by itself: FAILED or REVOKED, and what those after it are told."""

    letter: str
    told: Told


class Revocation(msgspec.Struct, frozen=True):
    """That all of a workflow is revoked: the record of its tasks, and whether those that run are cancelled."""

    record: bytes
    terminate: bool


class Pages(msgspec.Struct):
    """Long lists of numbers by node, which arrive page by page."""

    pages: dict[int, dict[int, list[int]]] = {}

    def __iter__(self) -> Iterator[int]:
        return iter(self.pages)

    def __getitem__(self, node: int) -> list[int]:
        pages = self.pages.get(node, {})
        return [number for page in sorted(pages) for number in pages[page]]

    def put(self, node: int, page: int, numbers: list[int]) -> None:
        """Keep one page."""
        self.pages.setdefault(node, {})[page] = list(numbers)

    def append(self, node: int, index: int, number: int) -> None:
        """Add a number, which is the one at that index."""
        self.pages.setdefault(node, {}).setdefault(index // PAGE, []).append(number)


class Flow(msgspec.Struct, eq=False):
    """A workflow: its nodes, their states, their values.

    Attributes:
        id: its id.
        begun: its first tasks have been queued.
        end, total, keep, names, call: see `aioqueue.workflow.Start`.
        open: how many nodes and calls of handlers are to end.
        bad: a node has ended badly.
        stands_for: the workflow and the node (or the call of a handler) whose place it takes.
        nodes: by number.
        members: of each join.
        to: the nodes after those that have more than a page of them.
        counts: for how many ends each join waits.
        states: by node; a node that is missing waits.
        grafts: the workflows that go on in places, of nodes or of handlers' calls.
        calls: the states of the calls of handlers.
        values: what nodes gave whose value somebody takes.
        ends: the bad ends of nodes.
        heard: failures in grafts, for the handlers of the nodes whose places those take.
    """

    id: str
    begun: bool = False
    end: int = 0
    total: int = 0
    open: int = 0
    keep: int = 0
    names: dict[str, int] = {}
    call: str = ""
    bad: bool = False
    stands_for: tuple[str, str] | None = None
    nodes: dict[int, Node] = {}
    members: Pages = msgspec.field(default_factory=Pages)
    to: Pages = msgspec.field(default_factory=Pages)
    counts: dict[int, int] = {}
    states: dict[int, str] = {}
    grafts: dict[str, str] = {}
    calls: dict[str, str] = {}
    values: dict[int, bytes] = {}
    ends: dict[int, BadEnd] = {}
    heard: dict[str, bytes] = {}

    def add(self, part: Part, start: Start | None) -> None:
        """Take a part of it."""
        for number, node in part.nodes:
            self.nodes[number] = decode_node(encode_node(node))  # whoever made it may go on with it
        for number, page, numbers in part.to:
            self.to.put(number, page, numbers)
        for number, page, numbers in part.members:
            self.members.put(number, page, numbers)
        self.counts.update(part.counts)
        if start is not None:
            self.end, self.total, self.open, self.keep = start.end, start.total, start.open, start.keep
            self.names = dict(start.names)
            self.call = start.call

    def successors(self, n: int) -> list[int]:
        """The nodes after a node."""
        node = self.nodes[n]
        return self.to[n] if node.pages else list(node.to)

    def ids(self) -> list[str]:
        """The ids of its tasks."""
        return [node.id for node in self.nodes.values() if node.kind == TASK]

    def call_ids(self) -> list[str]:
        """The ids of the calls of its error handlers."""
        return [f"{self.id}.{call}" for call in self.calls]

    def letter(self, n: int) -> str:
        """A node's state without the number that may follow."""
        return self.states.get(n, WAITING)[:1]

    def has_ended(self, n: int) -> bool:
        """Whether nothing comes after a node's state."""
        return self.letter(n) in _FINAL

    def is_bad(self, n: int) -> bool:
        """Whether a node has ended badly, by itself or for another."""
        return self.letter(n) in _BAD

    def is_queued(self, n: int) -> bool:
        """Whether a message of a node's own waits or runs."""
        return self.states.get(n) == QUEUED and str(n) not in self.grafts

    def open_node(self, n: int) -> Node | None:
        """A node that has not ended."""
        return None if self.has_ended(n) else self.nodes.get(n)

    def new_member(self, join: int, node: Node) -> int:
        """Make room for one more member of a join, and of those that its members belong to; it runs already."""
        self.total += 1
        about = self.nodes[join]
        into = [join, *about.joins]
        # What fails in it is told to the handlers of the group.
        self.nodes[self.total] = msgspec.structs.replace(
            decode_node(encode_node(node)), to=into, on_error=about.on_error, linked=about.linked
        )
        self.states[self.total] = QUEUED
        self.open += 1
        for one in into:
            self.counts[one] = self.counts.get(one, 0) + 1
            group = self.nodes[one]
            self.members.append(one, group.members, self.total)
            group.members += 1
        return self.total

    # What is read

    def value(self, n: int) -> Value | None:
        """What a node gave: a task's result, or those of a join's members."""
        node = self.nodes.get(n)
        if node is None:
            return None
        if _is_join(node):
            found = [self._member(m) for m in self.members[n]]
            # One that is gone, as the workflow has ended, is not taken for nothing at all.
            return None if None in found else Value(members=tuple(one for one in found if one is not None))
        return Value(data=self.values[n]) if n in self.values else None

    def _member(self, n: int) -> Value | NoValue | None:
        if self.letter(n) == DONE:
            return self.value(n)
        end = self.ends.get(self.origin(n))
        failed = end.told.failure if end is not None else b""
        if self.letter(n) != UPSTREAM:
            return NoValue(failed)
        node = self.nodes[n]
        body = node.kind == TASK and is_body(self.nodes.get(node.before))
        return NoValue(failed, kind="chord" if body else "upstream")

    def origin(self, n: int) -> int:
        """The node whose bad end was that of a node, often its own."""
        return int(self.states[n][1:]) if self.letter(n) == UPSTREAM else n

    def failure(self, subject: str) -> NoValue | None:
        """The failure of a node, or of one in a graft, for an error handler."""
        if not subject.isdecimal():
            return NoValue(self.heard[subject]) if subject in self.heard else None
        n = int(subject)
        end, node = self.ends.get(self.origin(n)), self.nodes.get(n)
        if end is None or node is None:
            return None
        if self.letter(n) == UPSTREAM:
            return NoValue(end.told.failure, kind="chord", id=node.id, task=node.task)
        return NoValue(end.told.failure)

    def status(self) -> WorkflowStatus:
        """All that people may want to know."""
        return WorkflowStatus(
            id=self.id,
            end=self.end,
            nodes={n: msgspec.structs.replace(node, data=b"") for n, node in self.nodes.items()},
            members={n: self.members[n] for n in self.members},
            to={n: self.successors(n) for n in self.nodes if self.nodes[n].pages or self.nodes[n].to},
            states=dict(self.states),
            grafts={int(n): graft for n, graft in self.grafts.items() if n.isdecimal()},
            calls=dict(self.calls),
        )


encode_flow = msgspec.msgpack.Encoder().encode
decode_flow = msgspec.msgpack.Decoder(Flow).decode
"""A workflow as bytes, for stores that keep those."""


def _is_join(node: Node) -> bool:
    return node.kind in (JOIN, LENIENT)


def is_body(node: Node | None) -> bool:
    """Whether what comes after this node is the body of a chord."""
    return node is not None and node.kind != TASK
