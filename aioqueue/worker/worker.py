"""A worker: the loops that run tasks, and what starts and stops them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from time import monotonic, time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aioqueue.brokers.protocol import Broker, WorkerStatus
from aioqueue.exceptions import ConfigurationError
from aioqueue.ids import short_id
from aioqueue.logs import logger
from aioqueue.options import check_name
from aioqueue.routing import route
from aioqueue.worker.duty import Duty

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

# A container's runtime and the shell inside may both pass the same signal on.
_SAME_SIGNAL = 0.1


class Worker:
    """Runs an app's tasks in this event loop.

        async with app.worker(queues=["default"], concurrency=100):
            ...

    Args:
        app: whose tasks.
        queues: which queues; by default `task_default_queue` and those that the app's tasks name or are routed to.
        concurrency: how many tasks at once; by default `worker_concurrency`.
        hostname: its name; `%h` stands for the host's, `%p` for the process id.
        shutdown_timeout: seconds that running tasks have to end when it stops; by default `worker_shutdown_timeout`.
        burst: stop when there is nothing left to do.
        on_ready: called when it has begun to work.

    Attributes:
        id: new for each start; the name may come again.
        hostname, queues, concurrency: as in the arguments, with the defaults filled in.
    """

    def __init__(
        self,
        app: AioQueue,
        *,
        queues: Sequence[str] | None = None,
        concurrency: int | None = None,
        hostname: str | None = None,
        shutdown_timeout: float | None = None,
        burst: bool = False,
        on_ready: Callable[[], Any] | None = None,
        retry_now: bool = False,
        is_eager: bool = False,
    ) -> None:
        conf = app.conf
        if concurrency is not None and concurrency < 1:
            raise ConfigurationError(f"A worker's concurrency is at least 1, not {concurrency!r}.")
        if isinstance(queues, str) or (queues is not None and not queues):
            raise ConfigurationError(f"A worker's queues are a list of names, such as ['default'], not {queues!r}.")
        self.app = app
        self.id = short_id()
        self.hostname = name_of(hostname or "worker@%h")
        self._queues = None if queues is None else list(dict.fromkeys(queues))
        for queue in self._queues or ():
            check_name("name of a queue", queue)
        self.concurrency = concurrency or conf.worker_concurrency
        self.shutdown_timeout = conf.worker_shutdown_timeout if shutdown_timeout is None else shutdown_timeout
        self.burst = burst
        self.retry_now = retry_now
        self.is_eager = is_eager
        self._on_ready = on_ready
        self._stop = asyncio.Event()
        self._cold = asyncio.Event()
        self._signalled_at = float("-inf")
        self._background: asyncio.Task[int] | None = None
        self.duty: Duty | None = None

    @property
    def queues(self) -> list[str]:
        """What it consumes."""
        if self._queues is not None:
            return self._queues
        conf = self.app.conf
        named = {task.queue or route(conf.task_routes, task.name) or "" for task in self.app.tasks.values()} - {""}
        return list(dict.fromkeys([conf.task_default_queue, *sorted(named)]))

    async def run(self, *, install_signals: bool = True) -> int:
        """Work until stopped.

        Args:
            install_signals: SIGTERM and SIGINT stop it; the second one at once.

        Returns:
            0 after a clean stop, 1 when running tasks had to be handed back.
        """
        removed: list[signal.Signals] = []
        loop = asyncio.get_running_loop()
        if install_signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._signalled, number)
                removed.append(number)
        try:
            self.app.import_tasks()
            async with AsyncExitStack() as stack:
                broker = await self.app.open()
                stack.push_async_callback(self.app.close)
                state = await stack.enter_async_context(self.app.lifespan(self.app)) if self.app.lifespan else None
                return await self._work(broker, state)
        finally:
            for number in removed:
                loop.remove_signal_handler(number)

    async def _work(self, broker: Broker, state: Any) -> int:
        clean = True
        while True:
            duty = self.duty = Duty(self, broker, self._status(), state, self._stop, self._cold)
            clean = await duty.run(self._ready)
            if not duty.lease_lost:
                logger.info("Worker %s has stopped", self.hostname)
                return 0 if clean else 1
            # Another name: what was delivered under the old one belongs to others.
            logger.warning("Worker %s was taken for dead, and starts again under a new identity", self.hostname)
            self.id = short_id()

    def _ready(self) -> None:
        on_ready, self._on_ready = self._on_ready, None
        if on_ready is not None:
            on_ready()
        self._started.set() if self._started is not None else None

    def _status(self) -> WorkerStatus:
        return WorkerStatus(
            id=self.id,
            name=self.hostname,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=self.queues,
            concurrency=self.concurrency,
            started=int(time() * 1000),
        )

    def stop(self, *, now: bool = False) -> None:
        """Stop fetching and let the running tasks end; with `now`, hand them back instead of waiting."""
        self._stop.set()
        if now:
            self._cold.set()

    def _signalled(self, number: signal.Signals) -> None:
        now = monotonic()
        if now - self._signalled_at < _SAME_SIGNAL:
            return
        self._signalled_at = now
        if self._stop.is_set():
            logger.warning("Worker %s: %s again, it leaves now and hands its tasks back", self.hostname, number.name)
            self.stop(now=True)
        else:
            running = len(self.duty.runner.running) if self.duty is not None and self.duty.runner is not None else 0
            logger.info(
                "Worker %s: %s, it stops; %d running tasks have %g s to end",
                self.hostname,
                number.name,
                running,
                self.shutdown_timeout,
            )
            self.stop()

    # In a program of one's own

    _started: asyncio.Event | None = None

    async def __aenter__(self) -> Worker:
        self._started = asyncio.Event()
        self._background = asyncio.create_task(self.run(install_signals=False), name=f"aioqueue {self.hostname}")
        self._background.add_done_callback(_report)
        started = asyncio.create_task(self._started.wait())
        try:
            await asyncio.wait({self._background, started}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self._background.cancel()
            raise
        finally:
            started.cancel()
        if self._background.done():
            self._background.result()  # why it could not start
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._background is not None:
            self.stop()
            await self._background


def _report(background: asyncio.Task[int]) -> None:
    """The program may be far from the end of its `async with`, where it would hear of it."""
    if not background.cancelled() and (error := background.exception()) is not None:
        logger.error("The worker has failed: %s", error, exc_info=error)


def name_of(pattern: str) -> str:
    """A worker's name: `%h` is the host's name, `%n` its first part, `%d` the rest, `%p` the process id."""
    host = socket.gethostname()
    first, _, rest = host.partition(".")
    for mark, value in (("%h", host), ("%n", first), ("%d", rest), ("%p", str(os.getpid()))):
        pattern = pattern.replace(mark, value)
    return check_name("name of a worker", pattern)
