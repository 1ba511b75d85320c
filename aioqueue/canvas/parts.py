"""A workflow on its way to the broker, cut into parts by number and by weight."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import blake2b

from aioqueue.brokers import shares
from aioqueue.message import decode_message
from aioqueue.payload.calls import call_digest
from aioqueue.payload.serializers import serializer_of
from aioqueue.workflow import PAGE, Node, Part

_MOST_ENTRIES = 500
_ENTRY_BYTES = 200
"""About what an entry weighs beside its message."""


class Parts:
    """The parts of a workflow, as its nodes become known.

    Args:
        names: the ids that its sender gave to nodes; they may come to be known meanwhile.

    Attributes:
        full: those that are, and wait for being taken.
        is_named: its sender gives an id to something of it.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self.full: list[Part] = []
        self.is_named = False
        self._names = names
        self._part = Part()
        self._bytes = 0
        self._called = blake2b(digest_size=16)
        self._is_known = True

    def add(self, number: int, node: Node) -> None:
        """A node of which all is known."""
        self._make_room(len(node.data))
        self._part.nodes.append((number, node))
        self._cut_if_many()

    def add_successors(self, number: int, successors: array[int]) -> int:
        """The nodes after one, where they are more than it can name itself; returns how many pages that takes."""
        return self._add_pages(number, successors, to=True)

    def add_members(self, number: int, members: array[int]) -> None:
        """The members of a join."""
        self._add_pages(number, members, to=False)

    def count(self, number: int, ends: int) -> None:
        """For how many ends a join waits."""
        self._part.counts.append((number, ends))

    def take(self) -> list[Part]:
        """Those that are full."""
        full, self.full = self.full, []
        return full

    def last(self) -> tuple[Part, str]:
        """What is left; and what the whole of it is, as text, or "" where that is not known."""
        self._note_calls()
        return self._part, "c" + self._called.hexdigest() if self._is_known else ""

    def _add_pages(self, number: int, numbers: array[int], *, to: bool) -> int:
        starts = range(0, len(numbers), PAGE)
        for page, start in enumerate(starts):
            some = numbers[start : start + PAGE].tolist()
            self._make_room(5 * len(some))
            (self._part.to if to else self._part.members).append((number, page, some))
            self._cut_if_many()
        return len(starts)

    def _make_room(self, size: int) -> None:
        """For one entry more, in the next part where this one would weigh too much."""
        if self._part.size and self._bytes + size + _ENTRY_BYTES > shares.MOST_BYTES:
            self._cut()
        self._bytes += size + _ENTRY_BYTES

    def _cut_if_many(self) -> None:
        if self._part.size >= _MOST_ENTRIES:
            self._cut()

    def _cut(self) -> None:
        self._note_calls()
        self.full.append(self._part)
        self._part, self._bytes = Part(), 0

    def _note_calls(self) -> None:
        """What the whole of it is, is known part by part, if something has been named by the end of the first: to read
        all messages again for nothing would be dear."""
        self._is_known = self._is_known and self.is_named
        for number, node in self._part.nodes if self._is_known else ():
            message = decode_message(node.data) if node.data else None
            called = ""
            if message is not None:
                own = (serializer_of(message.content),)
                called = call_digest(message.task, message.body, message.content, own=own)
            id = self._names.get(number, "")
            about = f"{number} {node.kind} {node.before} {node.members} {node.on_error} {id} {called}\n"
            self._called.update(about.encode())


class HeldParts(Parts):
    """Parts that are cut only when all is there: until then the messages of the nodes may change."""

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__(names)
        self._held: list[Callable[[], object]] = []

    def add(self, number: int, node: Node) -> None:
        self._held.append(partial(super().add, number, node))

    def count(self, number: int, ends: int) -> None:
        self._held.append(partial(super().count, number, ends))

    def _add_pages(self, number: int, numbers: array[int], *, to: bool) -> int:
        self._held.append(partial(super()._add_pages, number, numbers, to=to))
        return len(range(0, len(numbers), PAGE))

    def let_go(self) -> Iterator[Part]:
        """Cut what has been added; gives those parts that are full."""
        for add in self._held:
            add()
            yield from self.take()
        self._held.clear()
