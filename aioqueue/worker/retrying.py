"""When a task is run again, and how often."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from aioqueue.exceptions import Retry
from aioqueue.kinds import seconds
from aioqueue.options import milliseconds
from aioqueue.payload.failure import Failure
from aioqueue.wording import counted
from aioqueue.worker.run import Run

if TYPE_CHECKING:
    from aioqueue.task import Task


def backoff(task: Task[..., Any], retries: int) -> float:
    """Seconds before the next retry of a task that has been retried `retries` times.

    Exponential with full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    if not task.retry_backoff:
        return task.in_force("default_retry_delay")
    longest = min(float(task.retry_backoff_max), float(task.retry_backoff) * 2.0 ** min(retries, 63))
    return random.uniform(0, longest) if task.retry_jitter else longest


def of_itself(run: Run, error: BaseException) -> Retry | None:
    """The retry that a task wants without asking for it; None: by its other rules alone."""
    if not run.task.retry_kwargs:
        return None
    said = dict(run.task.retry_kwargs)
    if run.task.retry_backoff:
        said.pop("countdown", None)
    if run.message.max_retries is not None:
        said.pop("max_retries", None)  # the call has said it, or the retry before
    return Retry(exc=error, **said)


def delay_of(run: Run, asked: Retry | None) -> tuple[int | None, int | None]:
    """ms to wait before the next retry, or when it is."""
    if asked is not None and asked.eta is not None:
        return None, milliseconds(asked.eta)
    if asked is not None and asked.countdown is not None:
        return round(max(0.0, seconds(asked.countdown)) * 1000), None
    return round(backoff(run.task, run.message.retries) * 1000), None


def limit_of(run: Run) -> int | None:
    """How often it is retried at most."""
    return run.context.max_retries if run.context is not None else run.task.retry_limit


def used_up(retries: int, error: BaseException) -> str:
    """Why it is not retried any more."""
    return f"failed after {counted(retries, 'retry', 'retries')}: {brief(error)}"


def brief(error: BaseException) -> str:
    """An error in a line."""
    failure = Failure.of(error)
    return failure.summary.splitlines()[0][:200] if failure.summary else failure.name
