"""A worker's life, as it is told and as middlewares are around it: once in each process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any

from aioqueue.around.events import WorkerEvent
from aioqueue.around.nesting import steps, through
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.logs import logger
from aioqueue.wording import counted, few, span
from aioqueue.worker.left_behind import names_of
from aioqueue.worker.run import Run

if TYPE_CHECKING:
    from aioqueue.worker.worker import Worker


class Life:
    """Tells of a worker's life.

    Attributes:
        silent: it is no worker that users know of: nothing is told, and nothing is around it.
    """

    def __init__(self, worker: Worker, *, silent: bool = False) -> None:
        self.silent = silent
        self._worker = worker
        self._app = worker.app
        self._told: set[str] = set()
        self._stops = False
        self._telling: set[asyncio.Task[None]] = set()

    def say(self, text: str, *arguments: object, level: int = logging.INFO) -> None:
        """Say something of the worker to the log; the text goes on after its name."""
        if not self.silent:
            logger.log(level, "Worker %s" + text, self._worker.hostname, *arguments)

    def status(self) -> str:
        """How the worker is, in a line."""
        worker = self._worker
        runner = worker.incarnation.runner if worker.incarnation is not None else None
        if runner is None:
            return f"{worker.hostname} has not begun to work"
        ended, runs = counted(runner.ended_count, "task has ended", "tasks have ended"), len(runner.running)
        return f"{worker.hostname}: {counted(runs, 'task runs', 'tasks run')}, {ended}"

    def tell_unheard(self) -> None:
        """Say which handlers hear of nothing here, for there is no task of the name that they are for."""
        tasks = self._app.tasks
        for name, moments in self._app.signals.of_tasks().items():
            if name not in tasks and (unheard := sorted(moments - {"task_sent"})):
                self.say(
                    " knows no task %r, and handlers of %s are for that one.%s They hear of nothing here.",
                    name,
                    ", ".join(unheard),
                    suggest(name, tasks),
                    level=logging.WARNING,
                )

    def stops(self, why: signal.Signals | None = None, *, may_be_hurried: bool = False) -> None:
        """Say once that it was told to stop, what it waits for, and for how long. In a program that has set up no
        logging this is heard as well: else nobody would know why that does not end.

        Args:
            why: the signal, if it was one; without, nothing is said if there is nothing to wait for.
            may_be_hurried: Ctrl-C ends the waiting.
        """
        worker = self._worker
        running = worker.incarnation.runner.running if worker.incarnation and worker.incarnation.runner else ()
        if self._stops or not (running or why):
            return
        self._stops = True
        text = f": {why.name}, it stops" if why is not None else " stops"
        if not running:
            self.say(text)
            return
        self.say(
            text + "; %s %s %s to end: %s%s",
            counted(len(running), "task"),
            "has" if len(running) == 1 else "have",
            span(worker.shutdown_timeout),
            few(names_of(running)),
            " (Ctrl-C: it leaves now, and hands back what runs)" if may_be_hurried else "",
            level=logging.WARNING if worker.is_embedded or not logger.isEnabledFor(logging.INFO) else logging.INFO,
        )

    def hands_back(self, running: Collection[Run]) -> None:
        """Say what is cancelled, to be run again by others; of the rest its end is told."""
        if names := names_of([run for run in running if run.ack is None]):
            self.say(
                " cancels and hands back what has not ended, %s: %s",
                counted(len(names), "task"),
                few(names),
                level=logging.WARNING,
            )

    async def lead(self, work: Callable[[], Awaitable[int]]) -> int:
        """Tell that it begins, work inside of the middlewares, and tell that it has ended.

        Returns:
            What the work gave.

        Raises:
            ConfigurationError: a middleware did not call `next`.
        """
        if self.silent:
            return await work()
        await self._tell("worker_init")
        await self._tell("worker_process_init")
        try:
            return await self._inside(work)
        finally:
            while self._telling:
                await asyncio.wait(self._telling)
            await self._tell("worker_shutdown")

    def tell(self, name: str) -> None:
        """Tell of a moment, once, while the worker goes on."""
        if self.silent or name in self._told or name not in self._app.signals.heard:
            return
        self._told.add(name)
        telling = asyncio.get_running_loop().create_task(self._tell(name))
        for group in (self._telling, self._app.signals.under_way):
            group.add(telling)
            telling.add_done_callback(group.discard)

    async def _tell(self, name: str) -> None:
        worker, app = self._worker, self._app
        if name not in app.signals.heard:
            return
        event = WorkerEvent(
            name=name,
            worker=worker.hostname,
            app=app.name,
            queues=tuple(worker.queues),
            concurrency=worker.concurrency,
            pid=os.getpid(),
        )
        await app.signals.tell(event, within=app.conf.signal_timeout, about=f"{name} of {worker.hostname}")

    async def _inside(self, work: Callable[[], Awaitable[int]]) -> int:
        layers = steps(self._app.middlewares, "around_worker")
        if not layers:
            return await work()
        begun, codes = False, list[int]()

        async def innermost(_: Any) -> Any:
            nonlocal begun
            begun = True
            codes.append(await work())
            return codes[-1]

        hostname = self._worker.hostname
        try:
            await through(layers, innermost)(self._worker)
        except Exception:
            if not codes:
                raise
            logger.exception("What is around worker %s failed when it had stopped", hostname)
        if not begun:
            raise ConfigurationError(
                f"A middleware around worker {hostname} returned from around_worker without calling next: the worker "
                "has not worked. Write `return await next(worker)`."
            )
        return codes[-1] if codes else 1
