"""What can be seen of what a broker holds."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from aioqueue.workflow import Node


class Health(StrEnum):
    """How something is."""

    OK = "ok"
    UNKNOWN = "unknown"
    """It could not be looked at."""
    WARNING = "warning"
    """It works, and may not for long, or not as was meant."""
    PROBLEM = "problem"
    """Tasks are not run, or can be lost."""


class Finding(msgspec.Struct, frozen=True):
    """What was found when something was looked at.

    Attributes:
        check: what was looked at, in a word or two.
        health: how it is.
        says: what was found, in a sentence.
        advice: what to do; "" where nothing is to be done.
    """

    check: str
    health: Health
    says: str
    advice: str = ""


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What can be seen of a queue.

    Attributes:
        name: the queue.
        waiting: messages that no worker has.
        running: messages that workers have.
        delayed: messages that wait for their time.
        oldest: when the message that has waited longest came into the queue, ms since the epoch.
        paused: nothing of it is given out.
        problem: what of it cannot be read, so that the numbers are those of the rest.
    """

    name: str
    waiting: int
    running: int
    delayed: int
    oldest: int | None = None
    paused: bool = False
    problem: str = ""


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message is.

    Attributes:
        queue: its queue.
        data: the message.
        at: when it came into the queue, or is to; ms since the epoch.
        ahead: how many of the queue are to be taken before it.
        worker: the id of the incarnation that has it; "" where none has.
        delayed: it waits for its time.
    """

    queue: str
    data: bytes
    at: int
    ahead: int = 0
    worker: str = ""
    delayed: bool = False


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker that finds its queues empty has not done in them.

    Attributes:
        retries: tasks that wait for their retry.
        due: seconds until the first of them is due.
        delayed: other tasks that wait for their time.
        holders: the other workers that hold tasks, with the end of each one's lease, ms since the epoch; 0 without one.
        held: how many tasks those hold.
    """

    retries: int = 0
    due: float = 0.0
    delayed: int = 0
    holders: dict[str, int] = {}
    held: int = 0


class WorkerStatus(msgspec.Struct, kw_only=True):
    """What a worker says of itself.

    Attributes:
        id: that of its incarnation, new for each start.
        name: its name, such as `worker1@host`.
        host, pid: where it runs.
        queues: what it consumes.
        concurrency: how many tasks it runs at once.
        started: ms since the epoch.
        lease: for how many ms it may be silent from now.
        problem: why nothing more is known of it than its id: what is stored as that cannot be read.
    """

    id: str
    name: str
    host: str
    pid: int
    queues: list[str]
    concurrency: int
    started: int
    lease: int = 0
    problem: str = ""


class WorkflowStatus(msgspec.Struct, kw_only=True):
    """A workflow as the broker has it.

    Attributes:
        id: its id.
        end: the node whose end is its end.
        nodes: nodes by number, without their messages.
        members: the members of each join, in order.
        to: the nodes after each node.
        states: by node, see `aioqueue.workflow`; a node that is missing waits.
        grafts: workflows that went on in place of nodes.
        calls: states of error handlers' calls, by "<handler>.<failed node>".
    """

    id: str
    end: int
    nodes: dict[int, Node]
    members: dict[int, list[int]]
    to: dict[int, list[int]]
    states: dict[int, str]
    grafts: dict[int, str] = {}
    calls: dict[str, str] = {}


class StoredLetter(msgspec.Struct, frozen=True):
    """A dead letter as the broker keeps it."""

    id: str
    data: bytes


class StoredMessage(msgspec.Struct, frozen=True):
    """A message that no worker has.

    Attributes:
        id: its task's.
        data: the message, see `aioqueue.message`.
        at: ms since the epoch: when it came into the queue, or of one that waits for its time, when that is.
    """

    id: str
    data: bytes
    at: int
