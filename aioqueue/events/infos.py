"""What is heard of a moment: plain data, as it travels. Values are short text, and hidden arguments are left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec

from aioqueue.arguments import arguments_text, value_text
from aioqueue.around.events import BeatEvent, Event, ScheduleEvent, TaskEvent
from aioqueue.logs import logger
from aioqueue.payload.failure import Failure

HEARTBEAT: Final = "worker_heartbeat"
"""A worker is alive: said every few seconds, and of each living worker when somebody begins to listen."""

# Of a traceback the end is kept, and of a message the beginning.
_TRACEBACK = 8000
_MESSAGE = 1000
_WITH_ARGUMENTS: Final = ("task_sent", "task_received")


class TaskEventInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="task", tag_field="kind"):
    """Something has happened to a task. What does not apply to the moment is None, or empty.

    Attributes:
        name: the moment, such as "task_failure".
        at: when, by the broker's clock.
        cursor: its place in the stream; `app.events(since=...)` goes on after it.
        task_id: the task's id.
        task: its name; empty if its message cannot be read.
        args: its arguments as short text, the hidden ones left out; of `task_sent` and `task_received`.
        queue: where it waited, or is to wait.
        retries: how often it had been retried.
        worker: the name of the worker; empty where it is sent.
        state: the state that the moment leaves it in, such as "FAILURE"; None where it has none of its own.
        result: what it returned, as short text.
        exception: what it raised, or why it failed, in a line.
        traceback: the same with all its lines.
        runtime: seconds from the beginning of its run to its end.
        reason: why it was revoked, or is a dead letter.
    """

    name: str
    at: datetime
    cursor: str = ""
    task_id: str
    task: str
    args: str = ""
    queue: str = ""
    retries: int = 0
    worker: str = ""
    state: str | None = None
    result: str | None = None
    exception: str | None = None
    traceback: str | None = None
    runtime: float | None = None
    reason: str | None = None


class WorkerEventInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="worker", tag_field="kind"):
    """Something has happened to a worker, or it is alive (`worker_heartbeat`).

    Attributes:
        name: the moment, such as "worker_ready".
        at: when, by the broker's clock.
        cursor: its place in the stream.
        worker: the worker's name.
        app: the name of its app.
        queues: what it consumes.
        concurrency: how many tasks it runs at once.
        pid: its process.
        running, processed: how many tasks run, and how many have ended in it; of `worker_heartbeat`, unless the worker
            has not answered.
    """

    name: str
    at: datetime
    cursor: str = ""
    worker: str
    app: str
    queues: tuple[str, ...] = ()
    concurrency: int = 0
    pid: int = 0
    running: int | None = None
    processed: int | None = None


class BeatEventInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="beat", tag_field="kind"):
    """A scheduler begins.

    Attributes:
        name: the moment, "beat_init".
        at: when, by the broker's clock.
        cursor: its place in the stream.
        scheduler: its id.
        app: the name of its app.
    """

    name: str
    at: datetime
    cursor: str = ""
    scheduler: str
    app: str


class ScheduleEventInfo(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="schedule", tag_field="kind"
):
    """A schedule has sent its task.

    Attributes:
        name: the moment, "schedule_fired".
        at: when, by the broker's clock.
        cursor: its place in the stream.
        schedule: its name.
        due_at: when it was due.
        task: the name of the task; of a canvas, that of the first one that is sent.
        task_id: the task's id.
    """

    name: str
    at: datetime
    cursor: str = ""
    schedule: str
    due_at: datetime
    task: str
    task_id: str


EventInfo: TypeAlias = TaskEventInfo | WorkerEventInfo | BeatEventInfo | ScheduleEventInfo
"""What is heard."""

encode = msgspec.msgpack.Encoder().encode
"""An event as it travels."""
_decode = msgspec.msgpack.Decoder(EventInfo).decode


def at(milliseconds: int) -> datetime:
    """A moment of the broker's clock."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def info_of(event: Event, at: datetime, tasks: Mapping[str, Any], hidden: frozenset[str]) -> EventInfo:
    """What others hear of an event.

    Args:
        event: as the app's own handlers get it.
        at: when it was.
        tasks: the app's, by name: they know the names of arguments.
        hidden: words; an argument whose name contains one of them is not shown.
    """
    if isinstance(event, TaskEvent):
        return _of_task(event, at, tasks, hidden)
    if isinstance(event, ScheduleEvent):
        return ScheduleEventInfo(
            name=event.name,
            at=at,
            schedule=event.schedule,
            due_at=event.due_at,
            task=event.task,
            task_id=event.task_id,
        )
    if isinstance(event, BeatEvent):
        return BeatEventInfo(name=event.name, at=at, scheduler=event.scheduler, app=event.app)
    return WorkerEventInfo(
        name=event.name,
        at=at,
        worker=event.worker,
        app=event.app,
        queues=event.queues,
        concurrency=event.concurrency,
        pid=event.pid,
    )


def _of_task(event: TaskEvent, at: datetime, tasks: Mapping[str, Any], hidden: frozenset[str]) -> TaskEventInfo:
    args, error = "", event.exception
    if event.name in _WITH_ARGUMENTS and (event.args or event.kwargs):
        task = tasks.get(event.task)
        names: Collection[str] = task.parameters.positional_names if task is not None else ()
        args = arguments_text(event.args, event.kwargs, names, hidden)
    return TaskEventInfo(
        name=event.name,
        at=at,
        task_id=event.task_id,
        task=event.task,
        args=args,
        queue=event.queue,
        retries=event.retries,
        worker=event.worker,
        state=event.state,
        result=value_text(event.result) if event.name == "task_success" and event.result is not None else None,
        exception=Failure.of(error).summary.partition("\n")[0][:_MESSAGE] if error is not None else None,
        traceback=event.traceback[-_TRACEBACK:] if event.traceback and event.name != "task_postrun" else None,
        runtime=event.runtime,
        reason=event.reason,
    )


def read_event(data: bytes, cursor: str) -> EventInfo | None:
    """An event that has come; None if it cannot be understood: a later version may tell more."""
    try:
        return msgspec.structs.replace(_decode(data), cursor=cursor)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        logger.debug("An event could not be understood: %r", data[:200])
        return None
