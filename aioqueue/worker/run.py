"""One task in a worker's hands, from its delivery to its settlement."""

from __future__ import annotations

import asyncio
from enum import Enum, IntEnum
from typing import Any, Final, NamedTuple

import msgspec

from aioqueue.brokers.protocol import Delivery, Verdict
from aioqueue.context import TaskContext
from aioqueue.dispatch import Posting
from aioqueue.message import Message
from aioqueue.task import Task
from aioqueue.worker.run_settings import RunSettings
from aioqueue.workflow import Addition


class Cut(Enum):
    """Why a run is cut off: ended from outside."""

    REVOKED = "revoked"
    REVOKED_BY_STAMP = "its stamp was revoked"
    TIME_LIMIT = "time limit"
    HANDED_BACK = "handed back"
    LEASE_LOST = "lease lost"


class Phase(IntEnum):
    """How far a run is, in this order."""

    READY = 0
    """It waits for a slot."""
    RUNNING = 1
    """It has one: its input is completed, its function called."""
    CALLED = 2
    """Its function has been called, and has ended. What that means is decided: nothing of it is the task's own."""
    VOID = 3
    """It still runs, but another worker has it, or it was revoked: whatever it does counts for nothing."""
    GIVEN_UP = 4
    """It did not end when it was told to. Its slot is free; it runs on unheard."""
    OVER = 5
    """Nothing of it goes on."""


# By names of their own: to look up a member of an enum takes longer.
READY: Final = Phase.READY
RUNNING: Final = Phase.RUNNING
CALLED: Final = Phase.CALLED
VOID: Final = Phase.VOID
GIVEN_UP: Final = Phase.GIVEN_UP
OVER: Final = Phase.OVER


class Partial(NamedTuple):
    """Arguments that are not complete."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    content: str


class Run(msgspec.Struct, eq=False, weakref=True):
    """A delivery that was admitted.

    Attributes:
        delivery, message, task: what is run.
        args, kwargs: the arguments, converted.
        settings: what the settings say of it.
        acks_late: acknowledge at the end.
        soft_time_limit, time_limit: seconds, or None.
        ignore_result: keep no result.
        context: what the task sees of itself, while it runs.
        started: ms since the epoch.
        ack: the early acknowledgement, once it is asked for.
        cut: why it is cut off, if it is.
        soft_due: `SoftTimeLimitExceeded` is to be raised at its next step.
        phase: how far it is.
        coroutine: the asyncio task that runs it.
        job: the thread's job that runs it.
        partial: its arguments as they came, when a value is to come before them.
        additions: what it has added to its group, if anything.
        value: what was fetched to come before its arguments.
        begins: of what it has put in its place or into its group, what is told when that begins.
    """

    delivery: Delivery
    message: Message
    task: Task[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    settings: RunSettings
    acks_late: bool
    soft_time_limit: float | None
    time_limit: float | None
    ignore_result: bool
    context: TaskContext | None = None
    started: int = 0
    ack: asyncio.Task[Verdict] | None = None
    cut: Cut | None = None
    soft_due: bool = False
    phase: Phase = READY
    coroutine: asyncio.Task[None] | None = None
    job: Any = None
    partial: Partial | None = None
    additions: list[Addition] | None = None
    begins: list[Posting] | None = None
    value: Any = None


def run_of(
    settings: RunSettings,
    delivery: Delivery,
    message: Message,
    task: Task[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Run:
    """What is to be run; what counts, of the call's word, the task's and the setting, is decided here."""
    ignore = message.ignore_result if message.ignore_result is not None else task.ignore_result
    return Run(
        delivery,
        message,
        task,
        args,
        kwargs,
        settings,
        settings.task_acks_late if task.acks_late is None else task.acks_late,
        message.soft_time_limit or task.soft_time_limit or settings.task_soft_time_limit,
        message.time_limit or task.time_limit or settings.task_time_limit,
        settings.task_ignore_result if ignore is None else ignore,
    )
