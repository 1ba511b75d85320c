"""A workflow as a picture: nodes, edges, states; as text for Mermaid and Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aioqueue.exceptions import AioQueueError
from aioqueue.message import State, decode_record
from aioqueue.workflow import DONE, FAILED, HANDLER, QUEUED, REVOKED, START, TASK, UPSTREAM

if TYPE_CHECKING:
    from aioqueue.brokers.protocol import Broker, WorkflowStatus

_STATES = {DONE: State.SUCCESS, FAILED: State.FAILURE, UPSTREAM: State.FAILURE, REVOKED: State.REVOKED}
_COLOURS = {
    "SUCCESS": "#c8e6c9",
    "FAILURE": "#ffcdd2",
    "REVOKED": "#ffe0b2",
    "PENDING": "#eeeeee",
}
_RUNNING = "#bbdefb"


class GraphNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a workflow.

    Attributes:
        id: the task's id, or the group's.
        name: the task's name; "group" for a group.
        kind: "task", "group" or "handler".
        state: as of a task. PENDING is not its turn yet, SENT waits in its queue or runs.
        upstream: it failed because something before it did, and did not run.
    """

    id: str
    name: str
    kind: str = "task"
    state: str = State.PENDING
    upstream: bool = False


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as it was when it was asked for.

    Attributes:
        id: the workflow's id.
        nodes: in the order in which they were made.
        edges: pairs of ids, (before, after).
    """

    id: str
    nodes: list[GraphNode]
    edges: list[tuple[str, str]]

    def __getitem__(self, id: str) -> GraphNode:
        """The node of that id."""
        for node in self.nodes:
            if node.id == id:
                return node
        raise KeyError(id)

    @property
    def states(self) -> dict[str, str]:
        """The states by id."""
        return {node.id: node.state for node in self.nodes}

    @property
    def ended(self) -> bool:
        """Whether all of it has ended."""
        return all(node.state in ("SUCCESS", "FAILURE", "REVOKED") for node in self.nodes)

    def to_mermaid(self) -> str:
        """A Mermaid flowchart: https://mermaid.js.org/syntax/flowchart.html."""
        names = {node.id: f"n{number}" for number, node in enumerate(self.nodes)}
        lines = ["flowchart LR"]
        for node in self.nodes:
            text = f"{_mermaid(node.name)}<br/>{_mermaid(node.state)}"
            shape = f'{{{{"{text}"}}}}' if node.kind == "group" else f'["{text}"]'
            lines.append(f"    {names[node.id]}{shape}")
        lines += [f"    {names[before]} --> {names[after]}" for before, after in self.edges]
        for number, node in enumerate(self.nodes):
            lines.append(f"    style n{number} fill:{_COLOURS.get(node.state, _RUNNING)}")
        return "\n".join(lines) + "\n"

    def to_dot(self) -> str:
        """A Graphviz digraph: https://graphviz.org/doc/info/lang.html."""
        names = {node.id: f"n{number}" for number, node in enumerate(self.nodes)}
        lines = ["digraph workflow {", "    rankdir=LR", "    node [style=filled]"]
        for node in self.nodes:
            shape = "hexagon" if node.kind == "group" else "box"
            colour = _COLOURS.get(node.state, _RUNNING)
            label = f"{_dot(node.name)}\\n{_dot(node.state)}"
            lines.append(f'    {names[node.id]} [label="{label}", shape={shape}, fillcolor="{colour}"]')
        lines += [f"    {names[before]} -> {names[after]}" for before, after in self.edges]
        return "\n".join([*lines, "}"]) + "\n"

    def __str__(self) -> str:
        return self.to_mermaid()

    @classmethod
    def of_task(cls, id: str, info: Any) -> Graph:
        """A task that is in no workflow."""
        return cls(id=id, nodes=[GraphNode(id=id, name=info.name, state=info.state)], edges=[])

    @classmethod
    async def load(cls, broker: Broker, workflow: str) -> Graph:
        """A workflow, and those that have gone on in the places of its tasks.

        Raises:
            AioQueueError: nothing is known of it (any more).
        """
        nodes: list[GraphNode] = []
        edges: list[tuple[str, str]] = []
        pending = [(workflow, "")]
        while pending:
            id, stands_for = pending.pop()
            status = await broker.workflow(id)
            if status is None:
                if id == workflow:
                    raise AioQueueError(
                        f"Nothing is known of the workflow {workflow}: there is none, or its time (result_expires) is "
                        "over."
                    )
                continue
            pending += [
                (graft, status.nodes[number].id) for number, graft in status.grafts.items() if number in status.nodes
            ]
            nodes += await _nodes(broker, status)
            edges += _edges(status, stands_for)
        known: dict[str, GraphNode] = {}
        for node in nodes:  # the end of a graft has the id of the task whose place it takes
            known[node.id] = node
        unique = dict.fromkeys(edge for edge in edges if edge[0] in known and edge[1] in known and edge[0] != edge[1])
        return cls(id=workflow, nodes=list(known.values()), edges=list(unique))


async def _nodes(broker: Broker, status: WorkflowStatus) -> list[GraphNode]:
    queued = [node.id for number, node in status.nodes.items() if status.states.get(number) == QUEUED]
    records = await broker.records(queued) if queued else []
    now = {
        id: decode_record(record).state if record is not None else State.SENT
        for id, record in zip(queued, records, strict=True)
    }
    found: list[GraphNode] = []
    for number, node in sorted(status.nodes.items()):
        if number == START or node.kind == HANDLER:
            continue
        letter = status.states.get(number, "")
        state = now.get(node.id) or _STATES.get(letter[:1]) or State.PENDING
        found.append(
            GraphNode(
                id=node.id,
                name=node.task or "group",
                kind="task" if node.kind == TASK else "group",
                state=str(state),
                upstream=letter.startswith(UPSTREAM),
            )
        )
    for call, letter in status.calls.items():
        handler = status.nodes.get(int(call.partition(".")[0]))
        if handler is not None:
            state = State.SENT if letter == QUEUED else State.SUCCESS
            id = f"{handler.id}.{call.partition('.')[2]}"
            found.append(GraphNode(id=id, name=handler.task, kind="handler", state=str(state)))
    return found


def _edges(status: WorkflowStatus, stands_for: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for number, after in sorted(status.to.items()):
        before = status.nodes[number].id if number != START else stands_for
        found += [(before, status.nodes[one].id) for one in after if before and one in status.nodes]
    for call in status.calls:
        number, _, subject = call.partition(".")
        handler, failed = status.nodes.get(int(number)), subject.partition(".")[0]
        if handler is not None and failed.isdigit() and int(failed) in status.nodes:
            found.append((status.nodes[int(failed)].id, f"{handler.id}.{subject}"))
    return found


def _mermaid(text: str) -> str:
    # Markdown and HTML are read in labels: names are data.
    return "".join(char if char.isalnum() or char in " ._-" else f"#{ord(char)};" for char in text)


def _dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
