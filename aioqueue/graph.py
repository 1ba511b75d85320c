"""A workflow as a picture: nodes, edges, states; as text for Mermaid and Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aioqueue.exceptions import AioQueueError
from aioqueue.message import State, read_record
from aioqueue.workflow import DONE, FAILED, HANDLER, QUEUED, REVOKED, SOURCE, TASK, UPSTREAM, Node

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
        after: the id of the node that it comes after; "" at the beginning. A handler comes after what failed.
        group: the id of the group that it is in; "" outside of groups.
    """

    id: str
    name: str
    kind: str = "task"
    state: str = State.PENDING
    upstream: bool = False
    after: str = ""
    group: str = ""


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as it was when it was asked for.

    Attributes:
        id: the workflow's id.
        nodes: in the order in which they were made.
        edges: pairs of ids, (before, after).
        end: the id of the node whose end is that of the workflow.
    """

    id: str
    end: str
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
    def state(self) -> str:
        """The state of what its result stands for: of its last task, or group."""
        return self[self.end].state

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
        return cls(id=id, end=id, nodes=[GraphNode(id=id, name=info.name, state=info.state)], edges=[])

    @classmethod
    async def load(cls, broker: Broker, workflow: str) -> Graph:
        """A workflow, and those that have gone on in the places of its tasks.

        Raises:
            AioQueueError: nothing is known of it (any more).
        """
        whole = await broker.workflow(workflow)
        if whole is None:
            raise AioQueueError(
                f"Nothing is known of the workflow {workflow}: there is none, or its time (result_expires) is over."
            )
        known: dict[str, GraphNode] = {}
        pairs: dict[tuple[str, str], None] = {}
        pending = [_Part(whole)]
        while pending:
            part = pending.pop()
            for number, graft in part.status.grafts.items():
                status = await broker.workflow(graft)
                if status is not None and number in part.status.nodes:
                    part.replaced.add(number)
                    pending.append(_Part(status, part.before(number), part.group(number)))
            for node in await _nodes(broker, part):  # the end of a graft has the id of the task whose place it takes
                known[node.id] = node
            pairs.update(dict.fromkeys(_edges(part)))
        edges = [pair for pair in pairs if pair[0] in known and pair[1] in known]
        return cls(id=workflow, end=whole.nodes[whole.end].id, nodes=list(known.values()), edges=edges)


class _Part:
    """A workflow as a part of the picture.

    Attributes:
        status: what the broker says of it.
        replaced: nodes in whose places other workflows went on.
    """

    def __init__(self, status: WorkflowStatus, after: str = "", group: str = "") -> None:
        self.status = status
        self.replaced: set[int] = set()
        self._after = after
        self._group = group

    def before(self, number: int) -> str:
        """The id of the node before one; for the first ones of a graft that before the task whose place it takes."""
        nodes, before = self.status.nodes, self.status.nodes[number].before
        return nodes[before].id if before != SOURCE and before in nodes else self._after

    def group(self, number: int) -> str:
        """The id of the group that a node is in."""
        nodes, group = self.status.nodes, self.status.nodes[number].group
        return nodes[group].id if group in nodes and group else self._group


async def _nodes(broker: Broker, part: _Part) -> list[GraphNode]:
    status = part.status
    queued = [node.id for number, node in status.nodes.items() if status.states.get(number) == QUEUED]
    records = await broker.records(queued) if queued else []
    now = {
        id: read_record(id, record).state if record is not None else State.SENT
        for id, record in zip(queued, records, strict=True)
    }
    found: list[GraphNode] = []
    for number, node in sorted(status.nodes.items()):
        if number == SOURCE or node.kind == HANDLER:
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
                after=part.before(number),
                group=part.group(number),
            )
        )
    for call, letter in status.calls.items():
        handler, failed = _call(status, call)
        if handler is not None:
            state = State.SENT if letter == QUEUED else State.SUCCESS
            id = f"{handler.id}.{call.partition('.')[2]}"
            after = failed.id if failed is not None else ""
            found.append(GraphNode(id=id, name=handler.task, kind="handler", state=str(state), after=after))
    return found


def _edges(part: _Part) -> list[tuple[str, str]]:
    status = part.status
    found: list[tuple[str, str]] = []
    for number, after in sorted(status.to.items()):
        for one in after:
            if one not in status.nodes or one in part.replaced:
                continue
            before = status.nodes[number].id if number != SOURCE else part.before(one)
            found.append((before, status.nodes[one].id))
    for call in status.calls:
        handler, failed = _call(status, call)
        if handler is not None and failed is not None:
            found.append((failed.id, f"{handler.id}.{call.partition('.')[2]}"))
    return found


def _call(status: WorkflowStatus, call: str) -> tuple[Node | None, Node | None]:
    """The error handler of a call, and the node that it is about."""
    number, _, subject = call.partition(".")
    failed = subject.partition(".")[0]
    return status.nodes.get(int(number)), status.nodes.get(int(failed)) if failed.isdigit() else None


def _mermaid(text: str) -> str:
    # Markdown and HTML are read in labels: names are data.
    return "".join(char if char.isalnum() or char in " ._-" else f"#{ord(char)};" for char in text)


def _dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
