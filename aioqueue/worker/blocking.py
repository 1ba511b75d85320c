"""Whether an event loop turns, as another thread sees it; and what is done while it does not."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection
from contextlib import suppress
from time import monotonic

from aioqueue.logs import logger
from aioqueue.worker.run import Run

LOOK_EVERY = 0.5
"""Seconds between two looks."""
_BLOCKED_AFTER = 1.0
_AGAIN_AFTER = 1.0
_MOST_FRAMES = 12


class LoopWatch:
    """Asks the loop at each look to answer, and says it when an answer has not come for a second.

    Made in the loop's thread; all else is called in the one that looks.

    Args:
        running: the tasks that run, to name that which blocks.
        withdraw: gives to others what has not started, and returns whether there was any; None where it cannot.
        limit: seconds after which the process is killed; only where something replaces it.
    """

    def __init__(
        self, running: Collection[Run], withdraw: Callable[[], bool] | None, limit: float | None = None
    ) -> None:
        self.limit = limit
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._running = running
        self._withdraw = withdraw
        self._has_answered = True
        self._asked_at = 0.0
        self._in_vain = 0
        self._is_told = False
        self._again_at = 0.0

    def look(self) -> None:
        """Called every half second or more often.

        Raises:
            RuntimeError: the loop is closed.
        """
        now = monotonic()
        if self._has_answered:
            if self._is_told:
                logger.info("The event loop turns again, after %.1f s", now - self._asked_at)
            self._has_answered, self._is_told, self._in_vain, self._asked_at = False, False, 0, now
            self._loop.call_soon_threadsafe(self._answer)
            return
        # A process that was stopped, or got no CPU, is not blocked: it is asked twice at least.
        self._in_vain += 1
        if self._in_vain < 2 or now - self._asked_at < _BLOCKED_AFTER:
            return
        if not self._is_told:
            self._is_told, self._again_at = True, now
            self._tell(now - self._asked_at)
        if self.limit is not None and now - self._asked_at >= self.limit:
            logger.error(
                "The event loop has not turned for %.1f s, and loop_stall_limit=%g: this process is killed, and what "
                "it ran is run again when its lease has ended. %s blocks the loop. It is at:\n%s",
                now - self._asked_at,
                self.limit,
                self._culprit().replace("the task", "The task", 1).replace("something", "Something", 1),
                self.stack(),
            )
            os.kill(os.getpid(), signal.SIGKILL)
        if self._withdraw is not None and now >= self._again_at:
            self._again_at = now + _AGAIN_AFTER
            try:
                if self._withdraw():  # a read that waited may have been given it again
                    self._again_at = now
            except Exception as error:
                logger.warning("What has not started cannot be handed back, tried again: %s", error)

    def _answer(self) -> None:
        self._has_answered = True

    def _tell(self, seconds: float) -> None:
        logger.warning(
            "The event loop has not turned for %.1f s: %s blocks it. Its tasks are kept alive, but none of them moves. "
            "Move the blocking call into a plain function, which runs in a thread. It is at:\n%s",
            seconds,
            self._culprit(),
            self.stack(),
        )

    def stack(self) -> str:
        """Where the loop's thread is now."""
        frame = sys._current_frames().get(self._thread)  # pyright: ignore[reportPrivateUsage]
        return "".join(traceback.format_stack(frame)[-_MOST_FRAMES:]) if frame is not None else ""

    def _culprit(self) -> str:
        with suppress(RuntimeError):
            current = asyncio.current_task(self._loop)
            name = "" if current is None else current.get_name()
            for run in tuple(self._running):
                # One that blocks where it begins is not known by its task yet.
                if run.coroutine is current if run.coroutine is not None else run.task.name == name:
                    return f"the task {run.task.name}[{run.delivery.id}]"
        return "something"
