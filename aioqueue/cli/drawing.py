"""A workflow as a tree in the terminal.

What comes after something stands below it, what runs side by side stands on branches: the members of a group, error
handlers, and links where something else comes after a task as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from aioqueue.cli.outcome import STATE_COLOURS
from aioqueue.cli.terminal import aligned, bold, dim, printable

if TYPE_CHECKING:
    from aioqueue.graph import Graph, GraphNode

ENDED = ("SUCCESS", "FAILURE", "REVOKED")
_NOT_RUN = "not run"
_NAMED_FAILURES = 10
_DEEPEST = 30
_LINES = ("├─ ", "└─ ", "│  ", "×")
_PLAIN_LINES = ("|- ", "`- ", "|  ", "x")


def draw(graph: Graph, *, members: int, width: int, encoding: str | None = "utf-8") -> list[str]:
    """The lines of a picture.

    Args:
        graph: the workflow.
        members: of a group with more than so many only the numbers are shown.
        width: of the screen.
        encoding: what the lines are written in; without lines in it, the picture is drawn with letters.
    """
    rows = list(_Drawing(graph, members, _lines_in(encoding)).rows())
    return [_head(graph), "", *aligned(["task", "state", "id"], rows, width=width)]


def counts_text(graph: Graph) -> str:
    """How many of its tasks are in which state: `3 SUCCESS, 1 FAILURE, 2 not run`."""
    counts = Counter(_word(node) for node in graph.nodes if node.kind == "task")
    known = [state for state in (*ENDED, _NOT_RUN) if state in counts]
    known += sorted(state for state in counts if state not in known)
    return ", ".join(f"{counts[state]} {printable(state)}" for state in known)


def _word(node: GraphNode) -> str:
    return _NOT_RUN if node.upstream else node.state


def _head(graph: Graph) -> str:
    states = [node.state for node in graph.nodes if node.kind == "task"]
    tasks = f"{len(states)} {'task' if len(states) == 1 else 'tasks'}"
    if graph.ended:
        return f"{bold(printable(graph.id))}  {_coloured(graph.state)}  {tasks}: {counts_text(graph)}"
    ended = sum(state in ENDED for state in states)
    return f"{bold(printable(graph.id))}  {ended} of {tasks} ended: {counts_text(graph)}"


class _Drawing:
    def __init__(self, graph: Graph, members: int, lines: tuple[str, str, str, str]) -> None:
        self._graph = graph
        self._most = members
        self._fork, self._last, self._rail, self._times = lines
        self._nodes = {node.id: node for node in graph.nodes}
        self._homes: dict[str, str] = {}
        self._inside: dict[str, list[GraphNode]] = {}
        self._next: dict[str, list[GraphNode]] = {}
        self._handlers: dict[str, list[GraphNode]] = {}
        for node in graph.nodes:
            before = node.after if node.after in self._nodes else ""
            if node.kind == "handler":
                self._handlers.setdefault(before, []).append(node)
            elif before and self._home(before) == self._home(node.id):
                self._next.setdefault(before, []).append(node)
            else:
                self._inside.setdefault(self._home(node.id), []).append(node)

    def rows(self) -> Iterator[list[str]]:
        """The rows of the table."""
        first = self._inside.get("", [])
        if len(first) == 1:
            yield from self._run(first[0], "", "", 0)
        else:
            yield from self._branches(first, "", 0)

    def _home(self, id: str) -> str:
        """The group in which a node is drawn; what is linked to a task stands where the task does."""
        way: list[str] = []
        found = ""
        while id:
            node = self._nodes[id]
            way.append(id)
            if id in self._homes or node.group in self._nodes:
                found = self._homes.get(id, node.group)
                break
            id = node.after if node.after in self._nodes else ""
        self._homes.update(dict.fromkeys(way, found))
        return found

    def _run(self, node: GraphNode, lead: str, indent: str, depth: int) -> Iterator[list[str]]:
        """A node, and what comes after it."""
        while True:
            yield self._row(node, lead)
            *beside, follower = self._next.get(node.id) or [None]
            inside = self._inside.get(node.id, []) if node.kind == "group" else []
            if inside and (len(inside) > self._most or depth >= _DEEPEST):
                yield from self._summary(node, indent)
                inside = []
            yield from self._branches([*inside, *self._handlers.get(node.id, []), *filter(None, beside)], indent, depth)
            if follower is None:
                return
            node, lead = follower, indent

    def _branches(self, nodes: list[GraphNode], indent: str, depth: int) -> Iterator[list[str]]:
        for node in nodes:
            last = node is nodes[-1]
            lead = indent + (self._last if last else self._fork)
            yield from self._run(node, lead, indent + ("   " if last else self._rail), depth + 1)

    def _row(self, node: GraphNode, lead: str) -> list[str]:
        name = printable(node.name)
        if node.kind == "group":
            name = f"group of {len(self._inside.get(node.id, []))}"
        elif node.kind == "handler":
            name = f"on error: {name}"
        shown = bold(name) if node.kind == "group" else name
        return [dim(lead) + shown, self._state(node), printable(node.id)]

    def _state(self, node: GraphNode) -> str:
        if node.kind == "group" and node.state not in ENDED:
            inside = [one.state for one in self._all_inside(node) if one.kind == "task"]
            ended = sum(state in ENDED for state in inside)
            if ended:
                return f"{ended} of {len(inside)}"
        return _coloured(node.state) + (f" ({_NOT_RUN})" if node.upstream and node.kind == "task" else "")

    def _summary(self, group: GraphNode, indent: str) -> Iterator[list[str]]:
        """The tasks of a group by name and state; where few have failed, these one by one."""
        counts: dict[tuple[str, str, bool], list[GraphNode]] = {}
        for node in self._all_inside(group):
            if node.kind != "group":
                counts.setdefault((node.name, node.state, node.upstream), []).append(node)
        rows: list[list[str]] = []
        for (name, _, upstream), nodes in sorted(counts.items(), key=lambda item: item[0][0]):
            one = nodes[0]
            if one.state == "FAILURE" and not upstream and len(nodes) <= _NAMED_FAILURES:
                rows += [[printable(name), self._state(node), printable(node.id)] for node in nodes]
            else:
                rows.append([f"{len(nodes)} {self._times} {printable(name)}", self._state(one), ""])
        for number, (name, state, id) in enumerate(rows, 1):
            yield [dim(indent + (self._last if number == len(rows) else self._fork)) + name, state, id]

    def _all_inside(self, group: GraphNode) -> Iterator[GraphNode]:
        pending = list(reversed(self._inside.get(group.id, [])))
        while pending:
            node = pending.pop()
            yield node
            pending += self._handlers.get(node.id, [])
            pending += self._next.get(node.id, [])
            if node.kind == "group":
                pending += self._inside.get(node.id, [])


def _coloured(state: str) -> str:
    colour = STATE_COLOURS.get(state)
    if state == "PENDING":
        return dim(state)
    return click.style(printable(state), fg=colour or "blue")


def _lines_in(encoding: str | None) -> tuple[str, str, str, str]:
    try:
        "".join(_LINES).encode(encoding or "ascii")
    except (UnicodeError, LookupError):
        return _PLAIN_LINES
    return _LINES
