"""Raising an exception inside a coroutine, at the await where it is.

asyncio can only cancel a task. So the coroutine is driven by a generator, which is what the cancellation reaches
first, and which throws something else into the coroutine where the run asks for it. What the coroutine awaits is
cancelled as in any cancellation.

Some code ends what it waits for when it is cancelled, and for nothing else that is thrown into it: the task groups
of asyncio and of anyio, and `asyncio.wait_for` before Python 3.12. There it gets both in one.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
from asyncio import taskgroups
from collections.abc import Coroutine, Generator
from types import CodeType
from types import coroutine as awaitable
from typing import Any, TypeVar

from aioqueue.exceptions import SoftTimeLimitExceeded
from aioqueue.worker.run import Run

T = TypeVar("T")


class _Both(SoftTimeLimitExceeded, asyncio.CancelledError):
    """The soft limit, where only a cancellation is understood."""


_Both.__name__, _Both.__qualname__ = SoftTimeLimitExceeded.__name__, SoftTimeLimitExceeded.__qualname__
_Both.__module__ = SoftTimeLimitExceeded.__module__


@awaitable
def interruptible(coroutine: Coroutine[Any, Any, T], run: Run) -> Generator[Any, Any, T]:
    """Run a coroutine; a cancellation while `run.soft_due` arrives in it as `SoftTimeLimitExceeded`."""
    error: BaseException | None = None
    while True:
        try:
            waits_for = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as end:
            return end.value
        except _Both as both:
            raise SoftTimeLimitExceeded(*both.args).with_traceback(both.__traceback__) from both.__cause__
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
                kind = _Both if _knows_cancellation_only(_innermost(coroutine)) else SoftTimeLimitExceeded
                error = kind(f"soft_time_limit={run.soft_time_limit:g} s")
        except BaseException as thrown:
            error = thrown


def _knows_cancellation_only(code: CodeType | None) -> bool:
    if code is None:
        return False
    of_anyio = getattr(sys.modules.get("anyio._backends._asyncio"), "__file__", None)
    return code is asyncio.wait_for.__code__ or code.co_filename in (taskgroups.__file__, of_anyio)


def _innermost(waiting: Any) -> CodeType | None:
    """The code that waits, where a coroutine waits for others, which wait for others."""
    code: CodeType | None = None
    while waiting is not None:
        if inspect.iscoroutine(waiting):
            code, waiting = waiting.cr_code, waiting.cr_await
        elif inspect.isasyncgen(waiting):
            code, waiting = waiting.ag_code, waiting.ag_await
        elif inspect.isgenerator(waiting) and waiting.gi_code is _CODE and waiting.gi_frame is not None:
            code, waiting = _CODE, waiting.gi_frame.f_locals["coroutine"]  # one inside another
        elif inspect.isgenerator(waiting):
            code, waiting = waiting.gi_code, waiting.gi_yieldfrom
        else:  # what stands between a coroutine and one that it awaits: only the collector knows what it holds
            held = gc.get_referents(waiting) if type(waiting).__name__ in _BETWEEN else []
            waiting = next((one for one in held if type(one).__name__ in _WAITING), None)
    return code


_CODE = interruptible.__code__
_BETWEEN = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable")
_WAITING = (*_BETWEEN, "coroutine", "async_generator")
