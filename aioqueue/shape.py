"""What is left of a workflow with those who sent it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from typing import Generic, TypeVar

import msgspec

from aioqueue.workflow import SOURCE

T = TypeVar("T")


class Shape(msgspec.Struct, eq=False):
    """How the nodes of a workflow that was sent belong together, for the results of its tasks: their names and numbers,
    and nothing of what was sent.

    Attributes:
        id: the workflow's.
        end: the node at its end.
        before: the node before each.
        tasks: the name of each one's task, "" for a join.
        names: the ids that were given to nodes.
        joins: the members of each join.
        lenient: the joins that let failures through.
        ignored: tasks of which no result is kept.
        keeping_errors: those of them of which errors are.
    """

    id: str
    end: int = SOURCE
    before: array[int] = msgspec.field(default_factory=lambda: array("q", [SOURCE]))
    tasks: list[str] = msgspec.field(default_factory=lambda: [""])
    names: dict[int, str] = {}
    joins: dict[int, array[int]] = {}
    lenient: set[int] = set()
    ignored: set[int] = set()
    keeping_errors: set[int] = set()

    def add(self, before: int, task: str) -> int:
        """One node more; returns its number."""
        self.before.append(before)
        self.tasks.append(task)
        return len(self.before) - 1

    def id_of(self, node: int) -> str:
        """The id of a node."""
        return self.names.get(node) or f"{self.id}.{node}"


class Kinship(ABC, Generic[T]):
    """What a result, of type `T`, knows of the workflow that it is of: its shape, and what was forgotten.

    Attributes:
        shape: the workflow's.
    """

    shape: Shape
    _forgotten: set[int]

    @property
    def workflow(self) -> str:
        """The workflow's id."""
        return self.shape.id

    @property
    def end(self) -> int:
        """The node at its end."""
        return self.shape.end

    @abstractmethod
    def result(self, node: int) -> T:
        """The result of a node."""

    def before(self, node: int) -> int:
        """The node before it."""
        return self.shape.before[node]

    def behind(self, node: int) -> list[int]:
        """The nodes that come directly after it."""
        return [number for number, before in enumerate(self.shape.before) if before == node and number]

    def forget(self, node: int) -> None:
        """Note that a node's result was forgotten; with that at the end, those of all nodes."""
        self._forgotten.add(node)

    def is_forgotten(self, node: int) -> bool:
        """Whether it was, by this process."""
        return node in self._forgotten or self.shape.end in self._forgotten
