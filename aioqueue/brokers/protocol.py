"""What a broker promises.

A broker holds queues of messages, messages that wait for their time, the records of what became of tasks, and the
dead letters. It knows nothing of Python functions. Everything that happens at the end of a task reaches it as one
`Settlement`, which it applies whole, at most once, and only while the delivery belongs to the worker that settles it
(promise D2); the rules of what a settlement holds are the worker's.

`tests/brokers/` is the specification: each broker passes it whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Any, Protocol

import msgspec

from aioqueue.workflow import Node, Part, Start, Step, Value


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A message on its way into a queue.

    Attributes:
        id: the task's id.
        queue: its queue.
        priority: from 0 to 9; higher is delivered first.
        data: the message, which the broker does not look into.
        due: not to be delivered before; ms since the epoch by the broker's clock.
        delay: the same as ms from now; at most one of the two is set.
        once: its sender chose the id, and may repeat the sending: a message of that id that waits for its time is
            replaced, one that waits in a queue or runs is left as it is, and this one dropped.
    """

    id: str
    queue: str
    priority: int
    data: bytes
    due: int | None = None
    delay: int | None = None
    once: bool = False


class Delivery(msgspec.Struct, gc=False):
    """A message lent to one worker.

    Attributes:
        handle: the broker's own token for this delivery; never used for another one, so that it fences.
        id: the task's id.
        data: the message.
        queue: where it came from.
        deliveries: how often it has been delivered, this time included; what is handed back in good order
            does not count.
        revoked: the task has been revoked; it is to be settled without being run.
        value: what the node before it in its workflow gave, if that is small; else it is asked for.
    """

    handle: Any
    id: str
    data: bytes
    queue: str
    deliveries: int = 1
    revoked: bool = False
    value: bytes | None = None


UNKEPT = -1


class Settlement(msgspec.Struct, gc=False):
    """Everything that one delivery changes in the broker, in one atomic step.

    Attributes:
        delivery: what it is about.
        acknowledge: take the message out of the queue. False is for news of a task that goes on.
        guarded: apply only while the delivery is still this worker's. False after an early acknowledgement.
        record: stored as the task's record, and shown to those who watch it.
        final: the record is the task's end.
        expires: ms after which the record is dropped; 0 is never, and `UNKEPT` is at once: only those who wait for the
            task now hear of it.
        sends: messages that go out in the same step: a retry, the next steps of a workflow.
        dead: a dead letter to keep, encoded.
        step: what it means for the task's workflow.
        if_revoked: acknowledge only if the task is revoked, as this worker had heard; else put it back, for its
            workflow was resumed meanwhile.
    """

    delivery: Delivery
    acknowledge: bool = True
    guarded: bool = True
    record: bytes | None = None
    final: bool = False
    expires: int = 0
    sends: Sequence[Outgoing] = ()
    dead: bytes | None = None
    step: Step | None = None
    if_revoked: bool = False


class Verdict(Enum):
    """What the broker made of a settlement."""

    APPLIED = "1"
    FENCED = "0"
    """The delivery belongs to another by now (or its message is gone); nothing was applied."""
    REVOKED = "r"
    """The task had been revoked before; its message was removed and nothing else applied."""


class Notice(msgspec.Struct, frozen=True):
    """Something that a worker is told at once.

    Attributes:
        kind: "revoked": `ids` were revoked (`terminate` asks to cancel those that run). "due": a message is due
            earlier than any before, call `promote`. "connected": the line to the broker was just (re)made; anything
            may have been missed. "stamp": a stamp was revoked, ask for `stamps`.
    """

    kind: str
    ids: tuple[str, ...] = ()
    terminate: bool = False


class StoredLetter(msgspec.Struct, frozen=True):
    """A dead letter as the broker keeps it."""

    id: str
    data: bytes


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What can be seen of a queue.

    Attributes:
        name: the queue.
        waiting: messages that no worker has.
        running: messages that workers have.
        delayed: messages that wait for their time.
        oldest: when the message that has waited longest came into the queue, ms since the epoch.
    """

    name: str
    waiting: int
    running: int
    delayed: int
    oldest: int | None = None


class WorkerStatus(msgspec.Struct, kw_only=True):
    """What a worker says of itself.

    Attributes:
        id: its incarnation, new for each start.
        name: its name, such as `worker1@host`.
        host, pid: where it runs.
        queues: what it consumes.
        concurrency: how many tasks it runs at once.
        started: ms since the epoch.
        lease: for how many ms it may be silent from now.
    """

    id: str
    name: str
    host: str
    pid: int
    queues: list[str]
    concurrency: int
    started: int
    lease: int = 0


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


class Consumer(Protocol):
    """One worker's line to the broker."""

    @property
    def id(self) -> str:
        """The incarnation: new for each consumer, so that no two ever share deliveries."""
        ...

    async def join(self) -> None:
        """Take out the lease. Before this nothing can be fetched."""
        ...

    async def fetch(self, limit: int, *, wait: float) -> list[Delivery]:
        """Up to `limit` messages, higher priorities first; waits up to `wait` seconds for the first one.

        Raises:
            LeaseLost: the lease is over; what was delivered before belongs to others.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        """Apply each settlement whole or not at all. May be repeated by the broker itself, never applied twice."""
        ...

    async def hand_back(self, held: Sequence[Delivery]) -> int:
        """Hand back to the queues' front what is lent to this worker but not among `held`; returns how many."""
        ...

    async def leave(self) -> int:
        """Hand back everything that is still lent to this worker and end the lease; returns how many."""
        ...

    def renew(self) -> bool:
        """Extend the lease by the visibility timeout; called from a thread. False: the lease is lost."""
        ...

    async def promote(self) -> float | None:
        """Put into the queues what is due; returns the seconds until the next one is, None if none waits."""
        ...

    async def take_over(self) -> float:
        """Put back into the queues what silent workers held; returns the seconds until it is worth asking again."""
        ...

    def notices(self) -> AsyncIterator[Notice]:
        """What happens, as it happens; reconnects by itself, for ever."""
        ...

    async def revoked(self, ids: Sequence[str]) -> list[bool]:
        """Which of these have been revoked."""
        ...

    async def value(self, workflow: str, node: int) -> Value | None:
        """What a node of a workflow gave; None when nothing is known of it (any more)."""
        ...

    async def handled(self, workflow: str, subject: str) -> Value | None:
        """The failure of a node, for an error handler; "chord" when it is that of a header's task."""
        ...

    async def stamps(self) -> list[tuple[bytes, int]]:
        """The stamps that were revoked, and when, ms since the epoch."""
        ...

    async def close(self) -> None:
        """Close the connections. What is still held goes to others when the lease ends."""
        ...


class Watch(Protocol):
    """One task's records as they are written."""

    async def next(self) -> bytes:
        """The next record: at first the one that is there, if there is one."""
        ...


class Broker(Protocol):
    """A client's line to the broker."""

    @property
    def description(self) -> str:
        """What and where it is, for people; without passwords."""
        ...

    async def open(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """Disconnect. What was promised has been kept before."""
        ...

    def now(self) -> int:
        """The broker's clock, ms since the epoch."""
        ...

    def shift_clock(self, milliseconds: int) -> None:
        """Move the clock that decides what is due, for tests; only what goes through this object sees it."""
        ...

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: int | None = None) -> None:
        """Put all of the messages into their queues, or none (per 1,000).

        Raises:
            QueueFull: a queue would hold more than `max_length` messages.
            BrokerUnavailable: no answer within `timeout` seconds.
        """
        ...

    async def store(
        self, workflow: str, part: Part, start: Start | None, *, timeout: float, max_length: int | None = None
    ) -> None:
        """Store a part of a workflow; with `start`, the last one, it begins. Until then nothing of it exists for
        anybody else, and parts that are never started vanish after an hour.

        Raises:
            QueueFull: a queue would hold more than `max_length` messages; this part may be stored again.
            BrokerUnavailable: no answer within `timeout` seconds.
        """
        ...

    async def discard(self, workflow: str) -> None:
        """Drop the parts of a workflow that will not be started."""
        ...

    async def workflow(self, workflow: str) -> WorkflowStatus | None:
        """The nodes of a workflow and their states; None when there is no such workflow (any more)."""
        ...

    async def place(self, id: str) -> tuple[str, int] | None:
        """The workflow and the node of a task whose id the sender chose."""
        ...

    async def members(self, workflow: str, node: int) -> list[Node] | None:
        """A join's members, in order; None when the node is no join, or nothing is known of it (any more)."""
        ...

    async def resume(self, workflow: str, node: int | None = None) -> int:
        """Run again what failed or was revoked, and what was to come after it; or only that one node.

        Returns:
            How many nodes are to run again.
        """
        ...

    async def revoke_stamp(self, stamp: bytes, *, expires: int, terminate: bool) -> None:
        """Tell the workers to revoke what was sent until now with that stamp, when they meet it in the next so many
        ms; with `terminate` also what runs."""
        ...

    async def records(self, ids: Sequence[str]) -> list[bytes | None]:
        """The records of tasks, None where there is none."""
        ...

    def watch(self, id: str) -> AbstractAsyncContextManager[Watch]:
        """The records of a task from now on; none is missed, as long as it is small, and never the final one."""
        ...

    async def revoke(
        self, ids: Sequence[str], record: bytes, *, expires: int, terminate: bool, step: Step | None = None
    ) -> list[bool]:
        """End tasks with `record`, unless they have ended. True: ended by this. What waits is removed at once or
        when a worker meets it; with `terminate` workers are asked to cancel what runs. What comes after them in their
        workflows ends as `step` says; the node at the end of a workflow stands for the whole of it."""
        ...

    async def forget(self, ids: Sequence[str]) -> None:
        """Drop the records of tasks."""
        ...

    async def dead_letters(self, *, limit: int, id: str | None = None) -> list[StoredLetter]:
        """The dead letters, newest first; or the one of that id."""
        ...

    async def requeue_dead(self, message: Outgoing) -> bool:
        """Put the dead letter of that id back into a queue, and drop its record. False: there is none."""
        ...

    async def remove_dead(self, ids: Sequence[str]) -> int:
        """Drop dead letters; returns how many there were."""
        ...

    async def queues(self) -> list[QueueStatus]:
        """All queues that have been used."""
        ...

    async def purge(self, queue: str, record: bytes = b"", *, expires: int = 0, step: Step | None = None) -> int:
        """Drop what waits in a queue and is not running; returns how many. Its tasks end with `record`, and what comes
        after them in their workflows as `step` says; without a record nothing is said of them."""
        ...

    async def workers(self) -> list[WorkerStatus]:
        """All workers whose lease has not ended."""
        ...

    def consumer(self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int) -> Consumer:
        """A worker's line; `worker.id` is its incarnation."""
        ...
