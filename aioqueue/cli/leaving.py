"""The end of a process that has nothing more to do, whatever its tasks have left running in it.

A coroutine that swallows its cancellation, a thread that is no daemon, a hook of `atexit`: each of them could hold up
the end of the process for ever. When a worker has stopped it has handed back or settled what it held: nothing is lost.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from aioqueue.exiting import leave
from aioqueue.stop_signals import Wish, Wishes, stop_signals

_logger = logging.getLogger("aioqueue.worker")

MOMENT = 2.0
"""Seconds that a process has to end after its worker has stopped, or been told to stop now."""
HANDING_BACK = 10.0
"""Seconds that a worker may take beyond its shutdown timeout, to cancel, settle and hand back."""


class Exit:
    """Sees to it that this process ends.

    Args:
        loop: where the worker runs, to say what is left in it.
        end: what ends it, with an exit code.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, end: Callable[[int], NoReturn] = leave) -> None:
        self._loop = loop
        self._end = end
        self._lock = threading.Lock()
        self._code = 1
        self._at = float("inf")
        self._watches = False

    def within(self, seconds: float, code: int) -> None:
        """Leave with this code in so many seconds, if the process has not ended by itself. The earliest one counts."""
        with self._lock:
            self._code = code
            self._at = min(self._at, time.monotonic() + seconds)
            if not self._watches:
                self._watches = True
                threading.Thread(target=self._watch, name="aioqueue-exit", daemon=True).start()

    def now(self, code: int) -> None:
        """End this process with its hooks, and without what the interpreter does with what still runs.

        To close a coroutine that swallows everything could go on for ever, where no thread runs any more.
        """
        self.within(MOMENT, code)
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
        self._end(code)

    def on_signals(self, shutdown_timeout: float) -> None:
        """Be told of the signals that stop the worker even while something blocks the event loop.

        The loop hears of them over its own descriptor, whatever function Python calls.
        """

        wishes = Wishes()

        def told(number: int, frame: FrameType | None) -> None:
            wish = wishes.of(signal.Signals(number))
            if wish is not None:
                self.within(HANDING_BACK + (shutdown_timeout if wish is Wish.WARM else 0), 1)

        for number in stop_signals():
            signal.signal(number, told)

    def _watch(self) -> None:
        while (left := self._at - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        _logger.warning("The process ends now, with code %d; it leaves behind %s", self._code, self._left())
        self._end(self._code)

    def _left(self) -> str:
        """What has not ended, for the log."""
        threads = [
            thread.name
            for thread in threading.enumerate()
            if not thread.daemon and thread is not threading.main_thread()
        ]
        try:
            tasks = [task.get_name() for task in asyncio.all_tasks(self._loop)]
        except RuntimeError:  # it changes all the time
            tasks = []
        found = [
            *([f"{len(threads)} threads ({_few(threads)})"] if threads else []),
            *([f"{len(tasks)} coroutines ({_few(tasks)})"] if tasks else []),
        ]
        return " and ".join(found) or "something that blocks it"


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
