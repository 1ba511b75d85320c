"""One task in a worker's hands, from its delivery to its settlement."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any, NamedTuple

from aioqueue.brokers.protocol import Delivery, Verdict
from aioqueue.context import TaskContext
from aioqueue.message import Message
from aioqueue.task import Task
from aioqueue.workflow import Addition


class Ending(Enum):
    """Why a run is ended from outside."""

    REVOKED = "revoked"
    TIME_LIMIT = "time limit"
    HANDED_BACK = "handed back"
    LEASE_LOST = "lease lost"


class Partial(NamedTuple):
    """Arguments that are not complete."""

    args: list[Any]
    kwargs: dict[str, Any]
    content: str


class Run:
    """A delivery that was admitted.

    Attributes:
        delivery, message, task: what is run.
        args, kwargs: the arguments, converted.
        acks_late: acknowledge at the end.
        soft_time_limit, time_limit: seconds, or None.
        ignore_result: keep no result.
        context: what the task sees of itself, while it runs.
        started: ms since the epoch.
        started_at: the loop's clock.
        acknowledged: the message is out of the queue already.
        ending: why it is being ended.
        soft_due: `SoftTimeLimitExceeded` is to be raised at its next step.
        done: it is settled, or given up; nothing it does counts any more.
        coroutine: the asyncio task that runs it.
        job: the thread's job that runs it.
        partial: its arguments as they came, when a value is to come before them.
        additions: what it has added to its group.
        stamp_revoked: it is ended because its stamp was revoked.
    """

    __slots__ = (
        "ack",
        "acknowledged",
        "acks_late",
        "additions",
        "args",
        "context",
        "coroutine",
        "delivery",
        "done",
        "ending",
        "ignore_result",
        "job",
        "kwargs",
        "message",
        "partial",
        "soft_due",
        "soft_time_limit",
        "stamp_revoked",
        "started",
        "started_at",
        "task",
        "time_limit",
    )

    def __init__(
        self, delivery: Delivery, message: Message, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        conf = task.app.conf
        self.delivery = delivery
        self.message = message
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.acks_late = conf.task_acks_late if task.acks_late is None else task.acks_late
        self.soft_time_limit = message.soft_time_limit or task.soft_time_limit or conf.task_soft_time_limit
        self.time_limit = message.time_limit or task.time_limit or conf.task_time_limit
        ignore = message.ignore_result if message.ignore_result is not None else task.ignore_result
        self.ignore_result = conf.task_ignore_result if ignore is None else ignore
        self.context: TaskContext | None = None
        self.started = 0
        self.started_at = 0.0
        self.acknowledged = False
        self.ack: asyncio.Task[Verdict] | None = None
        self.ending: Ending | None = None
        self.soft_due = False
        self.done = False
        self.coroutine: asyncio.Task[None] | None = None
        self.job: Any = None
        self.partial: Partial | None = None
        self.additions: list[Addition] = []
        self.stamp_revoked = False
