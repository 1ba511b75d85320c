"""Workflows as data: what a canvas becomes on its way to a broker.

A workflow is a list of nodes. A node is a task, a join (a group, which ends when its members have ended, and has their
results as its own) or an error handler. Each node names the one node that it comes after, and those that come after
it; so the record of a workflow is linear in its nodes, and no message carries more than its own task. Node 0 is the
start: those after it are queued when the workflow starts.

Values travel apart from the nodes: the result of a task under its own number, for those that take it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from aioqueue.exceptions import ChordError, PayloadError, TaskRevoked, UpstreamFailed
from aioqueue.message import Record, State, encode_record
from aioqueue.payload.codec import decode
from aioqueue.payload.failure import Failure

START = 0

TASK, JOIN, LENIENT, HANDLER = "t", "j", "a", "h"
"""Kinds of nodes. A lenient join ends well although members of it have failed, and passes their failures on."""

WAITING, QUEUED, DONE, FAILED, UPSTREAM, REVOKED = "", "q", "d", "f", "u", "r"
"""States of nodes; UPSTREAM is followed by the number of the node whose failure it was."""

PAGE = 500
"""How many successors or members one field holds: a script handles so many at once."""


class Node(msgspec.Struct, array_like=True, kw_only=True):
    """One node, in the order in which the scripts read it.

    Attributes:
        kind: see above.
        id: the task's id; of a join or a handler a name of its own.
        task: the task's name, for people.
        queue, priority: where the task goes.
        due: not to run before; ms since the epoch, 0 is at once.
        delay: ms to wait from when it is its turn.
        after: the node before it.
        on_error: its error handlers.
        wanted: somebody takes its value.
        to: the nodes after it; when they are more than a page, they are stored apart,
        pages: in so many pages.
        members: how many members a join has; they are stored apart.
        group: the join that it belongs to, 0 for none.
        linked: it belongs to a link, whose failures are told to nobody outside of it.
        joins: of a join, those that its members belong to as well.
        data: the message.
    """

    kind: str
    id: str
    task: str = ""
    queue: str = ""
    priority: int = 0
    due: int = 0
    delay: int = 0
    after: int = START
    on_error: Sequence[int] = ()
    wanted: bool = False
    to: Sequence[int] = ()
    pages: int = 0
    members: int = 0
    group: int = 0
    linked: bool = False
    joins: Sequence[int] = ()
    data: bytes = b""


class Part(msgspec.Struct):
    """A part of a workflow on its way to the broker.

    Attributes:
        nodes: nodes by number.
        to: pages of successors, (node, page, numbers).
        members: pages of a join's members, (node, page, numbers).
        counts: for how many ends each join waits.
    """

    nodes: list[tuple[int, Node]] = []
    to: list[tuple[int, int, list[int]]] = []
    members: list[tuple[int, int, list[int]]] = []
    counts: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        """How many entries it has."""
        return len(self.nodes) + len(self.to) + len(self.members)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a workflow when all its parts have arrived.

    Attributes:
        end: the node whose end is the workflow's.
        total: the highest number of a node.
        open: how many nodes are to end.
        keep: ms to keep it after its end; 0 is for ever.
        names: ids that the sender chose, by node.
        queues: how many tasks go into each queue at once.
        held: do not start it yet: a task that ends will (a replacement, or an addition to a group).
        parent: the workflow and the node whose place it takes.
    """

    end: int
    total: int
    open: int
    keep: int
    names: dict[str, int] = {}
    queues: dict[str, int] = {}
    held: bool = False
    parent: tuple[str, int] | None = None


class Addition(msgspec.Struct, frozen=True):
    """A workflow that becomes one more member of a group.

    Attributes:
        workflow: that was stored, held.
        group: the workflow and the join that it joins.
        node: stands for it there; the broker knows what comes after it, and its handlers.
    """

    workflow: str
    group: tuple[str, int]
    node: Node


class Step(msgspec.Struct):
    """What the end of a task means for its workflow.

    Attributes:
        workflow, node: its place; the node of a handler's call is its number, a dot, and that of the failed one.
        state: DONE, FAILED or REVOKED; WAITING when it goes on as another workflow.
        value: its result when it is done (`pack_value`), else its `TaskFailure`, encoded.
        upstream: the record of the tasks after it, which will not run.
        chord: the record of a task that would have taken the results of the group that it belongs to.
        graft: a stored workflow that goes on in its place.
        additions: what it added to its group.
    """

    workflow: str
    node: str
    state: str = DONE
    value: bytes | None = None
    upstream: bytes = b""
    chord: bytes = b""
    graft: str = ""
    additions: Sequence[Addition] = ()


class FailedCall(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A failed task, for its error handlers.

    Attributes:
        id, task: which.
        body, content: its arguments, encoded.
        failure: what it raised.
        retries: how often it had been retried.
        state: FAILURE or REVOKED.
    """

    id: str
    task: str
    failure: Failure
    body: bytes = b""
    content: str = "msgpack"
    retries: int = 0
    state: str = State.FAILURE


encode_failed = msgspec.msgpack.Encoder().encode
decode_failed = msgspec.msgpack.Decoder(FailedCall).decode


def failed_step(step: Step, failed: FailedCall, *, now: int) -> Step:
    """Complete a step for a task that ended badly: what it tells its handlers, and what the tasks after it are told."""
    step.state = REVOKED if failed.state == State.REVOKED else FAILED
    step.value = encode_failed(failed)
    step.upstream = encode_record(downstream(failed, UpstreamFailed, now))
    step.chord = encode_record(downstream(failed, ChordError, now))
    return step


def downstream(failed: FailedCall, kind: type[Exception], now: int) -> Record:
    """The record of a task that does not run because of a failed one. It knows the cause, but not where in its code
    that happened: one failure may end thousands of tasks."""
    failure = Failure.of(explanation(failed, kind))
    failure.cause = msgspec.structs.replace(failed.failure, traceback="", cause=None, group=[])
    return Record(state=State.FAILURE, failure=failure, reason=failure.message, ended=now)


def explanation(failed: FailedCall, kind: type[Exception]) -> Exception:
    """The error of a task that does not run because of a failed one."""
    verb = "was revoked" if failed.state == State.REVOKED else f"failed ({failed.failure.summary[:300]})"
    what = f"Task {f'{failed.task}[{failed.id}]' if failed.task else failed.id} {verb}"
    if issubclass(kind, ChordError):
        return kind(f"{what}; it belongs to the header of this chord, so the body was not run.")
    return kind(f"{what}; this task comes after it, so it was not run.")


def revoked_call(id: str, task: str, reason: str) -> FailedCall:
    """A revoked task, as those after it see it."""
    error = TaskRevoked(f"Task {id}{f' ({task})' if task else ''} was revoked: {reason}.")
    return FailedCall(id=id, task=task, failure=Failure.of(error), state=State.REVOKED)


def pack_value(result: bytes | None, content: str) -> bytes:
    """A result and how it is encoded, as one string; None is nothing at all."""
    return b"" if result is None else content.encode() + b"\n" + result


def unpack_value(data: bytes, *, max_size: int) -> tuple[Any, str]:
    """The reverse: a decoded result, and how it was encoded.

    Raises:
        PayloadError: it is no such thing.
    """
    if not data:
        return None, "msgpack"
    content, newline, result = data.partition(b"\n")
    if not newline:
        raise PayloadError("The result of the task before this one cannot be read: it has no content type.")
    tag = content.decode(errors="replace")
    return decode(result, tag, max_size=max_size), tag


class Value(msgspec.Struct, frozen=True):
    """What a node gives to the next one.

    Attributes:
        data: a task's result (`pack_value`).
        failed: or its failure, where a lenient join passes it on.
        kind: "upstream" when the failure was that of a task before it, "chord" when that of a member of its header.
        id, task: of the task that did not run then.
        members: or the values of a join's members, in order.
    """

    data: bytes | None = None
    failed: bytes | None = None
    kind: str = ""
    id: str = ""
    task: str = ""
    members: tuple[Value, ...] | None = None


def node_of(id: str) -> tuple[str, str] | None:
    """The workflow and the node in an id that a workflow has given; None when it does not look like one."""
    workflow, dot, node = id.partition(".")
    return (workflow, node) if dot and len(workflow) == 36 and node.replace(".", "").isdigit() else None


def handler_call(id: str, workflow: str | None, node: int | None) -> str | None:
    """The call of an error handler by the id of its message: the handler's number, a dot, and that of the failed task.
    None when it is the message of a task."""
    if workflow is None or node is None or not id.startswith(f"{workflow}.{node}."):
        return None
    return id[len(workflow) + 1 :]


_encode = msgspec.msgpack.Encoder().encode
_decode_node = msgspec.msgpack.Decoder(Node).decode


def encode_node(node: Node) -> bytes:
    """A node as scripts can read it: what most of them look at, in a fixed form; the rest of its head in msgpack; and
    then the message as it is, for Lua's msgpack knows no bytes. (`GLANCE` in `lua/lib/workflow.lua`.)"""
    to = node.to
    simple = node.kind == TASK and not (node.due or node.delay or node.pages) and len(to) <= 1
    id, queue, after = node.id.encode(), node.queue.encode(), str(to[0]).encode() if simple and to else b""
    kind, _, task, _, *rest = msgspec.structs.astuple(node)[:-1]
    head = _encode((kind, "", task, "", *rest))
    return b"".join(
        (
            node.kind.encode(),
            bytes((simple, node.wanted, node.after > START, node.priority)),
            *(len(id).to_bytes(2, "big"), id, len(queue).to_bytes(2, "big"), queue),
            *(bytes((len(after),)), after, len(head).to_bytes(4, "big"), head, node.data),
        )
    )


def decode_node(data: bytes) -> Node:
    """The reverse."""
    at = 5
    id, at = _text(data, at, 2)
    queue, at = _text(data, at, 2)
    _, at = _text(data, at, 1)
    end = at + 4 + int.from_bytes(data[at : at + 4], "big")
    node = _decode_node(data[at + 4 : end])
    node.id, node.queue, node.data = id, queue, data[end:]
    return node


def _text(data: bytes, at: int, size: int) -> tuple[str, int]:
    """A text after its length in so many bytes, and where it ends."""
    start = at + size
    end = start + int.from_bytes(data[at:start], "big")
    return data[start:end].decode(), end
