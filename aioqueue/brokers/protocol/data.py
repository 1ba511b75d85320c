"""What passes between the worker and a broker: messages, what is lent, and what its end changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias

import msgspec

from aioqueue.brokers.protocol.asking import Question
from aioqueue.workflow import Step

Lengths: TypeAlias = int | Mapping[str, int]
"""How many messages a queue may hold when more are sent, those that run included: a number for each, or by the queues'
names, and then those that are not named have no bound."""


def most_of(lengths: Lengths | None, queue: str) -> int | None:
    """How many messages a queue may hold; None is any number."""
    return lengths if lengths is None or isinstance(lengths, int) else lengths.get(queue)


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A message on its way into a queue.

    Attributes:
        id: the task's id.
        queue: its queue.
        priority: from 0 to 9; higher is delivered first.
        data: the message, which the broker does not look into.
        due: not to be delivered before; ms since the epoch by the broker's clock.
        delay: the same as ms from now; at most one of the two is set.
        once: its sender chose the id: as long as a task of that id waits or runs, this one is that task if it is the
            same call, and refused if it is another. One that waits for its time is replaced by the same call (but not
            one that waits for its retry), all others are left as they are, and this one is dropped.
        call: what is called, as text; "" is the same as any other call.
    """

    id: str
    queue: str
    priority: int
    data: bytes
    due: int | None = None
    delay: int | None = None
    once: bool = False
    call: str = ""


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
        acknowledged: it was acknowledged before its end: whoever has it ends it, and nobody runs it again. When it
            arrives so, that was a worker which is gone.
    """

    handle: Any
    id: str
    data: bytes
    queue: str
    deliveries: int = 1
    revoked: bool = False
    value: bytes | None = None
    acknowledged: bool = False


UNKEPT = -1


class Settlement(msgspec.Struct, gc=False):
    """Everything that one delivery changes in the broker, in one atomic step.

    Attributes:
        delivery: what it is about.
        acknowledge: take the message out of the queue. False is for news of a task that goes on.
        record: stored as the task's record, and shown to those who watch it.
        final: the record is the task's end.
        expires: ms after which the record is dropped; 0 is never, and `UNKEPT` is at once: only those who wait for the
            task now hear of it.
        sends: messages that go out in the same step: a retry, the next steps of a workflow.
        dead: a dead letter to keep, encoded.
        step: what it means for the task's workflow.
        early: its function is not to be called again, though it goes on: the message stays lent, and who takes it over
            finds it `acknowledged`. The end of such a task says it too.
        if_revoked: acknowledge only if the task is revoked, as this worker had heard; else put it back, for its
            workflow was resumed meanwhile.
        own_id: the sender chose the id of the task: it is free with its end.
        problem: why it was not applied, as the broker says with its verdict.
        blocked: since when it has had to wait; the broker's own.
    """

    delivery: Delivery
    acknowledge: bool = True
    record: bytes | None = None
    final: bool = False
    expires: int = 0
    sends: Sequence[Outgoing] = ()
    dead: bytes | None = None
    step: Step | None = None
    if_revoked: bool = False
    own_id: bool = False
    early: bool = False
    problem: str = ""
    blocked: float | None = None


class Verdict(Enum):
    """What the broker made of a settlement."""

    APPLIED = "1"
    FENCED = "0"
    """The delivery belongs to another by now (or its message is gone); nothing was applied."""
    REVOKED = "r"
    """The task had been revoked before; its message was removed and nothing else applied."""
    REFUSED = "x"
    """It can never be applied as it is, for something that is its own is broken; nothing was applied, and the delivery
    is still this worker's. Its `problem` says why."""
    BLOCKED = "b"
    """It cannot be applied for now, for a key that others need too is not what it should be; nothing was applied. It is
    to be settled again. Its `problem` says why."""


class TasksRevoked(msgspec.Struct, frozen=True, tag="revoked"):
    """Tasks were revoked.

    Attributes:
        ids: which.
        terminate: those that run are to be cancelled, too.
    """

    ids: tuple[str, ...]
    terminate: bool = False


class StampRevoked(msgspec.Struct, frozen=True, tag="stamp"):
    """A stamp was revoked; ask for `stamps`.

    Attributes:
        terminate: tasks with it that run are to be cancelled, too.
    """

    terminate: bool = False


class QueuesPaused(msgspec.Struct, frozen=True, tag="paused"):
    """A queue was paused or resumed; ask for `paused`."""


class Due(msgspec.Struct, frozen=True, tag="due"):
    """A message is due earlier than any before; call `promote`."""


class Connected(msgspec.Struct, frozen=True, tag="connected"):
    """The connection was just made, or made again; anything may have been missed."""


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """Somebody asks something, of this worker or of others; see `Answering`."""

    question: Question


Notice = TasksRevoked | StampRevoked | QueuesPaused | Due | Connected | Asked
"""Something that a worker is told at once."""


def tag_of(struct: type[msgspec.Struct]) -> str:
    """The word that tells one kind of a tagged union from the others."""
    return str(struct.__struct_config__.tag)
