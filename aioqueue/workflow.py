"""Workflows as data: what a canvas becomes on its way to a broker.

A workflow is a list of nodes. A node is a task, a join (a group, which ends when its members have ended, and has their
results as its own) or an error handler. Each node names the one node that it comes after, and those that come after
it; so the record of a workflow is linear in its nodes, and no message carries more than its own task. Node 0 is the
source: its successors are queued when the workflow starts.

Values travel apart from the nodes: the result of a task under its own number, for those that take it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from struct import pack
from typing import Any

import msgspec

from aioqueue.exceptions import ChordError, PayloadError, TaskRevoked, UpstreamFailed
from aioqueue.message import Message, Record, State, encode_record
from aioqueue.payload.codec import decode
from aioqueue.payload.failure import Failure
from aioqueue.shortcuts import nothing_beside

SOURCE = 0

TASK, JOIN, LENIENT, HANDLER = "t", "j", "a", "h"
"""Kinds of nodes. A lenient join ends well although members of it have failed, and passes their failures on."""

WAITING, QUEUED, DONE, FAILED, UPSTREAM, REVOKED = "", "q", "d", "f", "u", "r"
"""States of nodes; UPSTREAM is followed by the number of the node whose failure it was."""

WRECKED = "x"
"""Not of a node, but of a step: its workflow is broken, so that all that has not ended ends now."""

PAGE = 500
"""How many successors or members one field holds: a script handles so many at once."""

INLINE_VALUE = 16384
"""A value up to so many bytes goes along with the messages of those that take it; a greater one is asked for."""

KEEP_BROKEN = 24 * 3600 * 1000
"""For how many ms the record of a task is kept that ended since something of it, or of its workflow, cannot be read."""


class Node(msgspec.Struct, array_like=True, kw_only=True):
    """One node, in the order in which the scripts read it.

    Attributes:
        kind: see above.
        id: the task's id; of a join or a handler a name of its own.
        task: the task's name, for people.
        queue, priority: where the task goes.
        due: not to run before; ms since the epoch, 0 is at once.
        delay: ms to wait from when it is its turn.
        before: the node before it.
        on_error: its error handlers.
        wanted: somebody takes its value.
        to: the nodes after it; when they are more than a page, they are stored apart,
        pages: in so many pages.
        members: how many members a join has; they are stored apart.
        group: the join that it belongs to, 0 for none.
        linked: it belongs to a link, whose failures are told to nobody outside of it.
        joins: of a join, those that its members belong to as well.
        takes: its message takes the value of the node before it.
        data: the message.
    """

    kind: str
    id: str
    task: str = ""
    queue: str = ""
    priority: int = 0
    due: int = 0
    delay: int = 0
    before: int = SOURCE
    on_error: Sequence[int] = ()
    wanted: bool = False
    to: Sequence[int] = ()
    pages: int = 0
    members: int = 0
    group: int = 0
    linked: bool = False
    joins: Sequence[int] = ()
    takes: bool = False
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
        claims: those of the names that are to be free.
        call: what the whole of it is, as text; "" where that is not known.
    """

    end: int
    total: int
    open: int
    keep: int
    names: dict[str, int] = {}
    queues: dict[str, int] = {}
    held: bool = False
    claims: Sequence[str] = ()
    call: str = ""


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


class Told(msgspec.Struct, frozen=True):
    """What those hear that come after a task which ended badly.

    Attributes:
        failure: for its error handlers, see `FailedCall`.
        upstream: the record of the tasks after it, which will not run.
        chord: the record of a task that would have taken the results of the group that it belongs to.
    """

    failure: bytes = b""
    upstream: bytes = b""
    chord: bytes = b""


UNTOLD = Told()
"""Of a task that nothing comes after."""


class Step(msgspec.Struct):
    """What the end of a task means for its workflow.

    Attributes:
        workflow, node: its place; the node of a handler's call is its number, a dot, and that of the failed one.
        state: DONE, FAILED or REVOKED; WAITING when it goes on as another workflow; WRECKED when it cannot go on.
        value: its result, when it is done (`pack_value`).
        told: what those after it hear, when its end is a bad one.
        graft: a stored workflow that goes on in its place.
        additions: what it added to its group.
    """

    workflow: str
    node: str
    state: str = DONE
    value: bytes | None = None
    told: Told = UNTOLD
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
        message: its message, without the arguments.
        hostname: the worker that ran it.
    """

    id: str
    task: str
    failure: Failure
    body: bytes = b""
    content: str = "msgpack"
    retries: int = 0
    state: str = State.FAILURE
    message: Message | None = None
    hostname: str = ""


encode_failed = msgspec.msgpack.Encoder().encode
decode_failed = msgspec.msgpack.Decoder(FailedCall).decode


def failed_step(step: Step, failed: FailedCall, *, now: int) -> Step:
    """Complete a step for a task that ended badly: what it tells its handlers, and what the tasks after it are told."""
    step.state = REVOKED if failed.state == State.REVOKED else FAILED
    step.told = told(failed, now=now)
    return step


def told(failed: FailedCall, *, now: int) -> Told:
    """What those hear that come after a failed or revoked task."""
    return Told(
        encode_failed(failed),
        upstream=encode_record(downstream(failed, UpstreamFailed, now)),
        chord=encode_record(downstream(failed, ChordError, now)),
    )


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


def unpack_value(data: bytes, *, max_size: int, accepts: Callable[[str], Collection[str]]) -> tuple[Any, str]:
    """The reverse: a decoded result, and how it was encoded.

    Args:
        accepts: gives the serializers of which that one has to be, if it is to be read.

    Raises:
        PayloadError: it is no such thing.
    """
    if not data:
        return None, "msgpack"
    content, newline, result = data.partition(b"\n")
    if not newline:
        raise PayloadError("The result of the task before this one cannot be read: it has no content type.")
    tag = content.decode(errors="replace")
    return decode(result, tag, max_size=max_size, accept=accepts(tag)), tag


class Value(msgspec.Struct, frozen=True):
    """What a node gives to the next one.

    Attributes:
        data: a task's result (`pack_value`).
        members: or what the members of a join gave, in order; of a lenient one also failures.
    """

    data: bytes | None = None
    members: tuple[Value | NoValue, ...] | None = None


class NoValue(msgspec.Struct, frozen=True):
    """A failure, where a value would be: for an error handler, or as a lenient join passes it on.

    Attributes:
        failure: the `FailedCall`, encoded.
        kind: "upstream" when it was that of a task before it, "chord" when that of a member of its header.
        id, task: of the task that did not run then, for its error handlers.
    """

    failure: bytes
    kind: str = ""
    id: str = ""
    task: str = ""


def node_of(id: str) -> tuple[str, str] | None:
    """The workflow and the node in an id that a workflow has given; None when it does not look like one."""
    workflow, dot, node = id.partition(".")
    return (workflow, node) if dot and len(workflow) == 36 and node.replace(".", "").isdigit() else None


_PLACE = re.compile(r"-?\d+(\.\d+)*", re.ASCII)


def is_place(node: str) -> bool:
    """Whether a step's node is one: a number, or a handler's call."""
    return _PLACE.fullmatch(node) is not None


def handler_call(id: str, workflow: str | None, node: int | None) -> str | None:
    """The call of an error handler by the id of its message: the handler's number, a dot, and that of the failed task.
    None when it is the message of a task."""
    if workflow is None or node is None or not id.startswith(f"{workflow}.{node}."):
        return None
    return id[len(workflow) + 1 :]


_encode = msgspec.msgpack.Encoder().encode
_decode_node = msgspec.msgpack.Decoder(Node).decode


# A task of which all is seen at a glance, unless it ends badly: the second row is of use then only, or of joins.
_is_simple = nothing_beside(
    Node,
    *("id", "queue", "priority", "before", "wanted", "to", "takes", "data"),
    *("task", "on_error", "group", "linked", "members", "joins"),
    kind=TASK,
)


GLANCE = {
    "kind": "c1",
    "simple": "B",
    "wanted": "B",
    "takes": "B",
    "priority": "B",
    "id": "I2c0",
    "queue": "I2c0",
    "successor": "Bc0",
    "size": "I4",
}
"""What is seen of a node at a glance, in this order, and how it is packed, as Lua's `struct` says it: `I2c0` is a text
after its length in two bytes. Of what no field is named so: whether it is simple, the number of the one node after it
(or ""), and how many bytes its head has."""

# Of each form: how Python's `struct` says it, in how many bytes it or its length is, and whether it is a text.
_FORMS = {
    "c1": ("c", 1, False),
    "B": ("B", 1, False),
    "I4": ("I", 4, False),
    "I2c0": ("H%ds", 2, True),
    "Bc0": ("B%ds", 1, True),
}
_GLANCE = ">" + "".join(_FORMS[form][0] for form in GLANCE.values())


def _texts() -> Iterator[tuple[str, int, int]]:
    """The texts of a glance, how many bytes are before each, and in how many its length stands."""
    before = 0
    for field, form in GLANCE.items():
        _, size, is_text = _FORMS[form]
        if is_text:
            yield field, before, size
        before = 0 if is_text else before + size


_TEXTS = list(_texts())
_SIZE = _FORMS[GLANCE["size"]][1]  # which is the last


def encode_node(node: Node) -> bytes:
    """A node as scripts can read it: what most of them look at, in a fixed form (`GLANCE`); the rest of its head in
    msgpack; and then the message as it is, for Lua's msgpack knows no bytes."""
    to = node.to
    simple = len(to) <= 1 and _is_simple(node)
    id, queue = node.id.encode(), node.queue.encode()
    successor = str(to[0]).encode() if simple and to else b""
    kind, _, task, _, *rest = msgspec.structs.astuple(node)[:-1]
    head = _encode((kind, "", task, "", *rest))
    glance = pack(
        _GLANCE % (len(id), len(queue), len(successor)),
        *(kind.encode(), simple, node.wanted, node.takes, node.priority),
        *(len(id), id, len(queue), queue, len(successor), successor, len(head)),
    )
    return b"".join((glance, head, node.data))


def decode_node(data: bytes) -> Node:
    """The reverse."""
    texts: dict[str, bytes] = {}
    at = 0
    for field, before, size in _TEXTS:
        start = at + before + size
        at = start + int.from_bytes(data[start - size : start], "big")
        texts[field] = data[start:at]
    start = at + _SIZE
    end = start + int.from_bytes(data[at:start], "big")
    node = _decode_node(data[start:end])
    node.id, node.queue, node.data = texts["id"].decode(), texts["queue"].decode(), data[end:]
    return node
