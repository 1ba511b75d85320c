"""Why a task does not run yet, as people and programs are told."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class WaitReason(StrEnum):
    """What a task waits for."""

    PAUSED_QUEUE = "paused_queue"
    """Its queue is paused."""
    NO_WORKER = "no_worker"
    """No living worker consumes its queue."""
    POSITION = "position"
    """It is in its queue, for a worker that has room."""
    ETA = "eta"
    """Its countdown or eta."""
    WORKFLOW = "workflow"
    """What comes before it in its workflow."""
    RATE_LIMIT = "rate_limit"
    CONCURRENCY_LIMIT = "concurrency_limit"
    CIRCUIT_BREAKER = "circuit_breaker"
    UNIQUE = "unique"
    BATCH = "batch"
    RESERVED = "reserved"
    """A worker has fetched it, and has no slot for it yet; or it does not say what it does with it."""
    RETRY = "retry"
    """The delay before its retry."""


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it is now, and why it does not run yet.

    Attributes:
        id: its id.
        state: its state: SENT while it waits in a queue or for its time; PENDING when nothing is known of it, or it is
            not its turn in its workflow.
        name: the task's name; "" where it is not known.
        args: its arguments as short text, the hidden ones left out, while a worker has it.
        queue: its queue, while it waits or runs.
        waits_for: what for; None when it runs, has ended, or nothing is known of it.
        detail: all of that in a sentence.
        ahead: how many tasks are to be taken from its queue before it; None where it is in none.
        until: when its time is, where it waits for that.
        worker: the name of the worker that has it, or had it at last.
        since: when it began to run, came into its queue, or ended.
        stack: where it is while it runs, if that was asked for.
    """

    id: str
    state: str
    name: str = ""
    args: str = ""
    queue: str = ""
    waits_for: WaitReason | None = None
    detail: str = ""
    ahead: int | None = None
    until: datetime | None = None
    worker: str = ""
    since: datetime | None = None
    stack: str = ""
