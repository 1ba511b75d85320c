"""A worker: the loops that run tasks, and what starts and stops them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from aioqueue import kinds
from aioqueue.brokers.protocol import Broker, Left, WorkerStatus
from aioqueue.exceptions import ConfigurationError
from aioqueue.ids import short_id
from aioqueue.kinds import Seconds
from aioqueue.logs import logger
from aioqueue.settings import POOL
from aioqueue.shared import using
from aioqueue.startup import StoppedBefore, connected
from aioqueue.stop_signals import overheard
from aioqueue.worker.acceptance import check_serializers
from aioqueue.worker.beating import beating
from aioqueue.worker.consuming import Consuming, Queues
from aioqueue.worker.incarnation import Incarnation
from aioqueue.worker.left_behind import names_of
from aioqueue.worker.life import Life
from aioqueue.worker.naming import name_of, new_name
from aioqueue.worker.process import living
from aioqueue.worker.resources import check_memory
from aioqueue.worker.stopping import Stopping

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.deputy.appointing import Deputy


class Worker:
    """Runs an app's tasks in this event loop.

        async with app.worker(queues=["default"], concurrency=100):
            ...

    Args:
        app: whose tasks.
        queues: which queues. A list of names (or `Queue`s) is served in strict order; `{"high": 5, "default": 1}`, or
            text as after `-Q`, by weight. By default `task_queues`, `task_default_queue`, and those that the app's
            tasks name or are routed to.
        exclude: which of those not.
        concurrency: how many tasks at once; by default `worker_concurrency`.
        pool: where plain functions run; by default `worker_pool`. With "solo" the concurrency is 1.
        hostname: its name; `%h` stands for the host's, `%p` for the process id. By default `worker-%p@%h`, and
            `worker-%p-2@%h` for the second one of a process.
        shutdown_timeout: seconds that running tasks have to end when it stops; by default `worker_shutdown_timeout`.
        burst: stop when there is nothing left to do. True stays for what waits for its retry, and for what dead workers
            hold, until that can be taken over; "now" leaves both.
        on_ready: called when it has begun to work.
        beat: fire schedules, too: those of the app, and those in its broker.

    Attributes:
        id: new for each start; the name may come again.
        hostname, concurrency, pool: as in the arguments, with the defaults filled in.
        consuming, stopping: what it consumes; what it was told.
        on_connected: awaited when its broker is there, before it begins.
        deputy: renews its lease while something holds the interpreter.
    """

    def __init__(
        self,
        app: Core,
        *,
        queues: Queues | None = None,
        exclude: Queues | None = None,
        concurrency: int | None = None,
        pool: str | None = None,
        hostname: str | None = None,
        shutdown_timeout: Seconds | None = None,
        burst: bool | Literal["now"] = False,
        on_ready: Callable[[], Any] | None = None,
        beat: bool = False,
        retry_now: bool = False,
        is_eager: bool = False,
    ) -> None:
        conf = app.conf
        kinds.POSITIVE.or_none().of("A worker's concurrency", concurrency)
        kinds.FUNCTION.or_none().of("A worker's on_ready", on_ready)
        if not (isinstance(burst, bool) or burst == "now"):
            raise ConfigurationError(f"A worker's burst is True, False or 'now', not {burst!r}.")
        self.app = app
        self.id = short_id()
        self.hostname = new_name() if hostname is None else name_of(hostname)
        self.consuming = Consuming(app, queues, exclude)
        self.pool: str = conf.worker_pool if pool is None else POOL.of("A worker's pool", pool)
        self.concurrency = 1 if self.pool == "solo" else concurrency or conf.worker_concurrency
        within = conf.worker_shutdown_timeout if shutdown_timeout is None else shutdown_timeout
        self.shutdown_timeout = kinds.SECONDS.of("A worker's shutdown_timeout", within)
        self.burst = burst
        self.beat: bool = kinds.FLAG.of("A worker's beat", beat)
        self.retry_now = retry_now
        self.is_eager = is_eager
        self._on_ready = on_ready
        self._in_vain: StoppedBefore | None = None
        self._background: asyncio.Task[int] | None = None
        self.incarnation: Incarnation | None = None
        self.deputy: Deputy | None = None
        self.on_connected: Callable[[Broker], Awaitable[None]] | None = None
        self.life = Life(self, silent=is_eager)
        self.stopping = Stopping(self.life)

    @property
    def left_behind(self) -> list[str]:
        """The tasks that were told to end and have not, as `name[id]`: their code may run on, unheard."""
        return names_of(self.incarnation.runner.stuck) if self.incarnation and self.incarnation.runner else []

    @property
    def is_embedded(self) -> bool:
        """It works in a program that does something else beside."""
        return self._started is not None

    @property
    def prefetch(self) -> int | None:
        """How many tasks it holds beyond those that run; None follows the rate at which they end."""
        conf = self.app.conf
        if conf.worker_prefetch is None and conf.worker_prefetch_multiplier:
            return (conf.worker_prefetch_multiplier - 1) * self.concurrency
        return conf.worker_prefetch

    @property
    def queues(self) -> list[str]:
        """What it consumes."""
        return self.consuming.names

    async def run(self, *, install_signals: bool = True) -> int:
        """Work until stopped.

        Args:
            install_signals: SIGTERM, SIGINT and SIGHUP stop it, a second one of the first two, or SIGQUIT, at once. In
                a thread other than the main one there are none to be had, and `stop` does it.

        Returns:
            0 after a clean stop, 1 when running tasks had to be handed back or were left behind, 3 when a burst "now"
            has left retries, or what other workers hold.
        """
        with self.stopping.heard(by_signals=install_signals):
            self.app.import_tasks()
            check_memory(self.app.conf.worker_max_memory)
            check_serializers(self.app) if not self.is_eager else None
            self.consuming.tell(self.hostname)
            self.life.tell_unheard()
            try:
                who = f"Worker {self.hostname}"
                async with connected(self.app, who, self.stopping.warm, patient=not self.burst) as broker:
                    if self.on_connected is not None:
                        await self.on_connected(broker)
                    with using(self.app):
                        return await self.life.lead(partial(self._live, broker))
            except StoppedBefore as error:
                self._in_vain = error
                logger.info("%s", error)
                return 0

    async def _live(self, broker: Broker) -> int:
        stopping = self.stopping
        async with (
            living(self.app, stopping.cold, self.shutdown_timeout) as process,
            beating(self, broker, stopping.warm),
        ):
            while True:
                incarnation = self.incarnation = Incarnation(self, broker, self._status(broker), process, stopping)
                clean = await incarnation.run(self._ready)
                if not incarnation.lease_lost:
                    self.life.say(" has stopped")
                    code = 0 if self.life.silent or incarnation.burst is None else incarnation.burst.code(self.hostname)
                    return code if clean else 1
                # Another name: what was delivered under the old one belongs to others.
                logger.warning("Worker %s was taken for dead, and starts again under a new identity", self.hostname)
                self.id = short_id()

    @property
    def left(self) -> Left:
        """What a burst has left in its queues: tasks that wait for their retry or their time, and what others hold."""
        burst = self.incarnation and self.incarnation.burst
        return burst.left if burst is not None else Left()

    def _ready(self) -> None:
        on_ready, self._on_ready = self._on_ready, None
        if on_ready is not None:
            on_ready()
        self.life.say(" is ready")
        self.life.tell("worker_ready")
        self._started.set() if self._started is not None else None

    def _status(self, broker: Broker) -> WorkerStatus:
        return WorkerStatus(
            id=self.id,
            name=self.hostname,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=self.queues,
            concurrency=self.concurrency,
            started=broker.now(),
        )

    def stop(self, *, now: bool = False) -> None:
        """Stop fetching and let the running tasks end; with `now`, hand them back instead of waiting.

        Any thread may call it.
        """
        self.stopping.ask(now=now)

    # In a program of one's own

    _started: asyncio.Event | None = None

    async def __aenter__(self) -> Worker:
        self._started = asyncio.Event()
        self._background = asyncio.create_task(self.run(install_signals=False), name=f"aioqueue {self.hostname}")
        self._background.add_done_callback(partial(_report, self.hostname))
        started = asyncio.create_task(self._started.wait())
        try:
            # It may wait for its broker, and a web server heeds no signal before its lifespan has begun.
            with overheard((signal.SIGINT, signal.SIGTERM), lambda _: self.stop()):
                await asyncio.wait({self._background, started}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self._background.cancel()
            raise
        finally:
            started.cancel()
        if self._background.done():
            self._background.result()  # why it could not start
            if self._in_vain is not None:
                raise self._in_vain.with_traceback(None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._background is not None:
            with overheard((signal.SIGINT,), self.stopping.hurry, keep_loop=True) as hears:
                self.life.stops(may_be_hurried=hears)
                self.stop()
                await self._background


def _report(hostname: str, background: asyncio.Task[int]) -> None:
    """The program may be far from the end of its `async with`, where it would hear of it."""
    if not background.cancelled() and (error := background.exception()) is not None:
        logger.error("Worker %s has failed: %s", hostname, error, exc_info=error)
