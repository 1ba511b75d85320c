"""One workflow as the memory broker keeps it, and what can be read of it."""

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
    Part,
    Start,
    Value,
    decode_node,
    encode_node,
)

_BAD = (FAILED, UPSTREAM, REVOKED)
_FINAL = (DONE, *_BAD)


class BadEnd(msgspec.Struct, frozen=True):
    """What is told of a node that ended badly by itself.

    Attributes:
        letter: FAILED or REVOKED.
        failure: for its error handlers.
        upstream, chord: the records of what comes after it, as that and as the body of a chord.
    """

    letter: str
    failure: bytes = b""
    upstream: bytes = b""
    chord: bytes = b""


class Revocation(msgspec.Struct, frozen=True):
    """That all of a workflow is revoked: the record of its tasks, and whether those that run are cancelled."""

    record: bytes
    terminate: bool


class Pages:
    """Long lists of numbers by node, which arrive page by page."""

    def __init__(self) -> None:
        self._pages: dict[int, dict[int, list[int]]] = {}

    def __iter__(self) -> Iterator[int]:
        return iter(self._pages)

    def __getitem__(self, node: int) -> list[int]:
        pages = self._pages.get(node, {})
        return [number for page in sorted(pages) for number in pages[page]]

    def put(self, node: int, page: int, numbers: list[int]) -> None:
        """Keep one page."""
        self._pages.setdefault(node, {})[page] = list(numbers)

    def append(self, node: int, place: int, number: int) -> None:
        """Add a number, which is the one at that place."""
        self._pages.setdefault(node, {}).setdefault(place // PAGE, []).append(number)


class Flow:
    """A workflow: its nodes, their states, their values.

    Attributes:
        begun: its first tasks have been queued.
        open: how many nodes and calls of handlers are to end.
        bad: a node has ended badly.
        parent: the workflow and the node (or the call of a handler) whose place it takes.
        counts: for how many ends each join waits.
        ends: the bad ends of nodes.
        heard: failures in grafts, for the handlers of the nodes whose places those take.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.begun = False
        self.end = self.total = self.open = self.keep = 0
        self.names: dict[str, int] = {}
        self.bad = False
        self.parent: tuple[str, str] | None = None
        self.nodes: dict[int, Node] = {}
        self.members = Pages()
        self.counts: dict[int, int] = {}
        self.states: dict[int, str] = {}
        self.grafts: dict[str, str] = {}
        self.calls: dict[str, str] = {}
        self.values: dict[int, bytes] = {}
        self.ends: dict[int, BadEnd] = {}
        self.heard: dict[str, bytes] = {}
        self._to = Pages()

    def add(self, part: Part, start: Start | None) -> None:
        """Take a part of it."""
        for number, node in part.nodes:
            self.nodes[number] = decode_node(encode_node(node))  # whoever made it may go on with it
        for number, page, numbers in part.to:
            self._to.put(number, page, numbers)
        for number, page, numbers in part.members:
            self.members.put(number, page, numbers)
        self.counts.update(part.counts)
        if start is not None:
            self.end, self.total, self.open, self.keep = start.end, start.total, start.open, start.keep
            self.names = dict(start.names)

    def successors(self, n: int) -> list[int]:
        """The nodes after a node."""
        node = self.nodes[n]
        return self._to[n] if node.pages else list(node.to)

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

    def _member(self, n: int) -> Value | None:
        if self.letter(n) == DONE:
            return self.value(n)
        end = self.ends.get(self.origin(n))
        failed = end.failure if end is not None else b""
        if self.letter(n) != UPSTREAM:
            return Value(failed=failed)
        node = self.nodes[n]
        body = node.kind == TASK and is_body(self.nodes.get(node.after))
        return Value(failed=failed, kind="chord" if body else "upstream")

    def origin(self, n: int) -> int:
        """The node whose bad end was that of a node, often its own."""
        return int(self.states[n][1:]) if self.letter(n) == UPSTREAM else n

    def failure(self, subject: str) -> Value | None:
        """The failure of a node, or of one in a graft, for an error handler."""
        if not subject.isdecimal():
            return Value(failed=self.heard[subject]) if subject in self.heard else None
        n = int(subject)
        end, node = self.ends.get(self.origin(n)), self.nodes.get(n)
        if end is None or node is None:
            return None
        if self.letter(n) == UPSTREAM:
            return Value(failed=end.failure, kind="chord", id=node.id, task=node.task)
        return Value(failed=end.failure)

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


def _is_join(node: Node) -> bool:
    return node.kind in (JOIN, LENIENT)


def is_body(node: Node | None) -> bool:
    """Whether what comes after this node is the body of a chord."""
    return node is not None and node.kind != TASK
