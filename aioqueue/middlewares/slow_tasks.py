"""A task that runs for long is told of while it runs, with what it is doing.

A thread watches, and not the event loop: what blocks the loop is what one wants to hear of most.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from time import monotonic
from typing import Any, Final

from aioqueue import kinds
from aioqueue.around.middleware import Middleware, Next
from aioqueue.context import TaskContext
from aioqueue.kinds import Seconds
from aioqueue.logs import logger
from aioqueue.worker.stacks import Frames, of_coroutine, of_thread, where

_IDLE: Final = 5.0  # for how long the thread stays, in seconds, when there is nothing to be watched


class SlowTasks(Middleware):
    """Warns of each task that runs for longer than so many seconds, once a run, with the stack of what it is doing.

        app.add_middleware(SlowTasks(10))
        @app.task(middleware=[SlowTasks(timedelta(minutes=5))])

    Args:
        after: seconds, or a timedelta.
        level: of the record that is logged.

    Raises:
        ConfigurationError: it is no time, or no level.
    """

    def __init__(self, after: Seconds = 10.0, *, level: int = logging.WARNING) -> None:
        self._after: float = kinds.LIMIT.of("The option after of SlowTasks", after)
        self._level: int = kinds.COUNT.of("The option level of SlowTasks", level)

    async def around_task(self, ctx: TaskContext, next: Next) -> Any:
        """Watch the run."""
        run = _Watched(ctx, self._after, self._level)
        _watch.add(run)
        try:
            return await next(ctx)
        finally:
            _watch.remove(run)


class _Watched:
    """A run that is watched.

    Attributes:
        due: when it is to be told of, by the monotonic clock.
    """

    def __init__(self, context: TaskContext, after: float, level: int) -> None:
        self._context = context
        self._started = monotonic()
        self.due = self._started + after
        self._level = level
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._around = contextvars.copy_context()  # so that a log record tells which task it is about

    def tell(self) -> None:
        """Warn."""
        context = self._context
        self._around.run(
            logger.log,
            self._level,
            "Task %s[%s] from the queue %s has been running for %.1f s. %s",
            context.name,
            context.id,
            context.queue,
            monotonic() - self._started,
            where(self._frames(context)),
        )

    def _frames(self, context: TaskContext) -> Frames:
        """What it is doing."""
        thread = context._runtime.thread()  # pyright: ignore[reportPrivateUsage]
        if thread is None and self._task is not None and asyncio.current_task(self._loop) is self._task:
            thread = self._loop_thread  # it is a coroutine, and does not let go of the loop
        if thread is not None:
            return of_thread(thread)
        return of_coroutine(self._task.get_coro()) if self._task is not None else []


class _Watch:
    """Runs that are watched. Its thread is started when there is one, and ends by itself when there is none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._runs: set[_Watched] = set()
        self._looks_at = 0.0
        self._thread: threading.Thread | None = None

    def add(self, run: _Watched) -> None:
        """Watch a run."""
        with self._changed:
            self._runs.add(run)
            if self._thread is None or not self._thread.is_alive():  # a parent's thread is none in a forked child
                self._looks_at = run.due
                self._thread = threading.Thread(target=self._work, name="aioqueue-slow-tasks", daemon=True)
                self._thread.start()
            elif run.due < self._looks_at:
                self._changed.notify()

    def remove(self, run: _Watched) -> None:
        """It has ended."""
        with self._changed:
            self._runs.discard(run)

    def _work(self) -> None:
        while (due := self._next()) is not None:
            for run in due:
                try:
                    run.tell()
                except Exception:
                    logger.exception("A slow task could not be told of")
            del due

    def _next(self) -> list[_Watched] | None:
        """Those that are due next, which are watched no longer; None when there has been none for a while."""
        with self._changed:
            while True:
                now = monotonic()
                if due := [run for run in self._runs if run.due <= now]:
                    self._runs.difference_update(due)
                    return due
                # There are no more of them than run at once, and they are looked at only when one may be due.
                self._looks_at = min([run.due for run in self._runs], default=now + _IDLE)
                if not self._changed.wait(self._looks_at - now) and not self._runs:
                    self._thread = None
                    return None


_watch = _Watch()
