"""SIGUSR1: what a worker's tasks are doing, each with its stack, to the log."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from aioqueue.logs import logger
from aioqueue.stop_signals import SAME_SIGNAL
from aioqueue.wording import counted, span
from aioqueue.worker.run import RUNNING, Run
from aioqueue.worker.stacks import of_coroutine, of_thread, where

if TYPE_CHECKING:
    from aioqueue.worker.worker import Worker

SHOW: signal.Signals | None = getattr(signal, "SIGUSR1", None)
"""Say what runs."""


def show_on_signal(worker: Worker) -> None:
    """Say it whenever the signal comes, for as long as this process lives; to be called in the event loop.

    A thread does it: what blocks the loop is what one wants to see most. Python tells of signals in the main thread
    only, when that comes to it; `faulthandler` writes at once, whatever that thread does, and so wakes the other one.
    A program that does something with the signal by itself goes on doing that. The lines are warnings, so that whoever
    asks for them gets them whatever the level of the log is.
    """
    register: Callable[..., None] | None = getattr(faulthandler, "register", None)
    if SHOW is None or register is None or signal.getsignal(SHOW) is not signal.SIG_DFL:
        return
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    register(SHOW, file=writes, all_threads=False)
    showing = _Showing(worker, asyncio.get_running_loop(), threading.get_ident())
    threading.Thread(target=showing.whenever, args=(reads,), name="aioqueue-show", daemon=True).start()


class _Showing:
    def __init__(self, worker: Worker, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        self._worker = worker
        self._loop = loop
        self._thread = thread

    def whenever(self, reads: int) -> None:
        """Say it each time that something can be read there."""
        last = float("-inf")
        while os.read(reads, 65536):
            if monotonic() - last >= SAME_SIGNAL:
                try:
                    self._show()
                except Exception:
                    logger.exception("What runs could not be shown")
                last = monotonic()

    def _show(self) -> None:
        worker = self._worker
        incarnation = worker.incarnation
        runner = incarnation.runner if incarnation is not None else None
        if incarnation is None or runner is None:
            worker.life.say(": SIGUSR1, it has not begun to work", level=logging.WARNING)
            return
        runs = sorted([*tuple(runner.running), *tuple(runner.stuck)], key=lambda run: run.started)
        counts = counted(len(runs), "task runs", "tasks run"), counted(runner.waiting, "is ready", "are ready")
        worker.life.say(": SIGUSR1, %s, %s", *counts, level=logging.WARNING)
        now = incarnation.now()
        for run in runs:
            self._tell(run, f"{run.task.name}[{run.delivery.id}]", (now - (run.started or now)) / 1000)

    def _tell(self, run: Run, name: str, seconds: float) -> None:
        job, coroutine = run.job, run.coroutine
        head = f"Task {name} has been running for {span(max(0.0, seconds))}"
        if run.phase > RUNNING:
            head += ", was told to end, and does not count any more"
        process: Any = getattr(job, "process", None)
        if process is not None:
            logger.warning("%s, in process %d, which is asked where it is", head, process.pid)
            self._loop.call_soon_threadsafe(process.show, head)
        elif job is not None and job.thread is not None:
            logger.warning("%s, in a thread. %s", head, where(of_thread(job.thread)))
        elif coroutine is None or asyncio.current_task(self._loop) is coroutine:
            logger.warning("%s, in the event loop's thread, now. %s", head, where(of_thread(self._thread)))
        else:
            logger.warning("%s, on the event loop. %s", head, where(of_coroutine(coroutine.get_coro())))
