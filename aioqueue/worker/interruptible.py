"""Raising an exception inside a coroutine, at the await where it is.

asyncio can only cancel a task. So the coroutine is driven by a generator, which is what the cancellation reaches
first, and which throws something else into the coroutine where the run asks for it. What the coroutine awaits is
cancelled as in any cancellation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine as awaitable
from typing import Any, TypeVar

from aioqueue.exceptions import SoftTimeLimitExceeded
from aioqueue.worker.run import Run

T = TypeVar("T")


@awaitable
def interruptible(coroutine: Coroutine[Any, Any, T], run: Run) -> Generator[Any, Any, T]:
    """Run a coroutine; a cancellation while `run.soft_due` arrives in it as `SoftTimeLimitExceeded`."""
    error: BaseException | None = None
    while True:
        try:
            waits_for = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as end:
            return end.value
        error = None
        try:
            yield waits_for
        except asyncio.CancelledError as cancelled:
            error = cancelled
            if run.soft_due:
                run.soft_due = False
                task = asyncio.current_task()
                if task is not None:
                    task.uncancel()
                error = SoftTimeLimitExceeded(f"soft_time_limit={run.soft_time_limit:g} s")
        except BaseException as thrown:
            error = thrown
