"""Moments in the life of tasks, workers and schedules, and what is told of each."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal, get_args

import msgspec

from aioqueue.exceptions import ConfigurationError, suggest

TaskMoment = Literal[
    "task_sent",
    "task_received",
    "task_prerun",
    "task_success",
    "task_retry",
    "task_failure",
    "task_revoked",
    "task_rejected",
    "task_dead",
    "task_postrun",
]
WorkerMoment = Literal["worker_init", "worker_process_init", "worker_ready", "worker_shutting_down", "worker_shutdown"]
BeatMoment = Literal["beat_init"]
ScheduleMoment = Literal["schedule_fired"]

TASK_MOMENTS: Final[tuple[str, ...]] = get_args(TaskMoment)
MOMENTS: Final[tuple[str, ...]] = (
    *TASK_MOMENTS,
    *get_args(WorkerMoment),
    *get_args(BeatMoment),
    *get_args(ScheduleMoment),
)
END_MOMENTS: Final = frozenset(TASK_MOMENTS) - {"task_sent", "task_received", "task_prerun"}
"""Those that come after a task's end, or that of one of its runs, is settled."""

SPELLINGS: Final[dict[str, str]] = {
    "after_task_publish": "task_sent",
    "task_started": "task_prerun",
    "task_succeeded": "task_success",
    "task_retried": "task_retry",
    "task_failed": "task_failure",
    "celeryd_init": "worker_init",
    "celeryd_after_setup": "worker_init",
    "worker_online": "worker_ready",
    "worker_process_shutdown": "worker_shutdown",
    "worker_offline": "worker_shutdown",
    "beat_embedded_init": "beat_init",
}
"""What Celery calls them: its signals, and its events."""
_INSTEAD: Final[dict[str, str]] = {
    "before_task_publish": "To change or refuse what is sent, write a middleware with around_send.",
    "task_unknown": "A task that no worker knows becomes a dead letter: listen to task_dead.",
    "task_internal_error": "Errors of the worker itself are logged, and its tasks fail: listen to task_failure.",
    "setup_logging": "Configure logging where the app is made; a worker leaves what is configured alone.",
    "after_setup_logger": "Configure logging where the app is made; a worker leaves what is configured alone.",
}


class TaskEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something has happened to a task. What does not apply to the moment is None, or empty.

    Attributes:
        name: the moment, such as "task_failure".
        task_id: the task's id.
        task: its name; empty if its message cannot be read.
        args, kwargs: its arguments, converted as its function gets them where it was run or is to be run.
        headers: what its sender added.
        queue: where it waited, or is to wait.
        retries: how often it had been retried.
        worker: the name of the worker; empty where it is sent.
        state: the state that the moment leaves it in, such as "FAILURE"; None where it has none of its own.
        result: what it returned.
        exception: what it raised, or why it failed.
        traceback: the same as text.
        runtime: seconds from the beginning of its run to its end.
        reason: why it was revoked, or is a dead letter.
    """

    name: str
    task_id: str
    task: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    queue: str = ""
    retries: int = 0
    worker: str = ""
    state: str | None = None
    result: Any = None
    exception: BaseException | None = None
    traceback: str | None = None
    runtime: float | None = None
    reason: str | None = None


class WorkerEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something has happened to a worker.

    Attributes:
        name: the moment, such as "worker_ready".
        worker: the worker's name.
        app: the name of its app.
        queues: what it consumes.
        concurrency: how many tasks it runs at once.
        pid: its process.
    """

    name: str
    worker: str
    app: str
    queues: tuple[str, ...] = ()
    concurrency: int = 0
    pid: int = 0


class BeatEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduler begins.

    Attributes:
        name: the moment, "beat_init".
        scheduler: its id.
        app: the name of its app.
    """

    name: str
    scheduler: str
    app: str


class ScheduleEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule has sent its task.

    Attributes:
        name: the moment, "schedule_fired".
        schedule: its name.
        due_at: when it was due, aware.
        task: the name of the task; of a canvas, that of the first one that is sent.
        task_id: the task's id.
    """

    name: str
    schedule: str
    due_at: datetime
    task: str
    task_id: str


Event = TaskEvent | WorkerEvent | BeatEvent | ScheduleEvent


def moment(name: object) -> str:
    """The moment that is meant; Celery's names for it are understood, with underscores or dashes.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if isinstance(name, str):
        plain = name.replace("-", "_")
        plain = SPELLINGS.get(plain, plain)
        if plain in MOMENTS:
            return plain
        if plain in _INSTEAD:
            raise ConfigurationError(f"There is no moment {name!r}. {_INSTEAD[plain]} The handler hears of nothing.")
    known = [*MOMENTS, *SPELLINGS]
    hint = suggest(name, known) if isinstance(name, str) else ""
    raise ConfigurationError(
        f"There is no moment {name!r}.{hint} There are {', '.join(MOMENTS)}. The handler hears of nothing."
    )
