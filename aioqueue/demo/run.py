"""The demo's course: start, send, watch, kill, verify, stop."""

from __future__ import annotations

import asyncio
import platform
import shutil
import tempfile
from collections import deque
from pathlib import Path
from time import monotonic, perf_counter, time_ns

import msgspec

from aioqueue._version import __version__
from aioqueue.brokers.protocol import Broker
from aioqueue.demo.books import Books
from aioqueue.demo.display import Display
from aioqueue.demo.figures import Now, Report, percentiles
from aioqueue.demo.files import Selection
from aioqueue.demo.ledger import Ledger
from aioqueue.demo.processes import WorkerProcess, end_all, environment
from aioqueue.demo.server import DemoServer
from aioqueue.demo.tasks import LEDGER, app, measure
from aioqueue.exceptions import AioQueueError

_ALONE = 100
_BATCH = 1000
_LOOK_AGAIN = 0.02
_SHOW_AGAIN = 0.1
_TRIES = 20
_MOMENT = 0.002
_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 6.0
# Nothing has ended for so long, with everything sent: what has no end then is lost.
_PATIENCE = 20.0


class Demo:
    """One run of the demo.

    Args:
        selection: the files.
        workers: how many processes.
        concurrency: how many tasks each of them runs at once.
        kill: whether the last worker is killed on the way; one must be left.
        display: what is told of it.
        began: when it was started, by `perf_counter`.

    Attributes:
        server: keeps its tasks.
        workers: the processes.
        left: what could not be stopped.
    """

    def __init__(
        self, selection: Selection, *, workers: int, concurrency: int, kill: bool, display: Display, began: float
    ) -> None:
        self._selection = selection
        self._count = workers
        self._concurrency = concurrency
        self._kill_wanted = self._kill = kill and workers > 1
        self._display = display
        self._began = began
        self._folder = Path(tempfile.mkdtemp(prefix="aioqueue-demo-"))
        ledger = self._folder / "ledger"
        ledger.touch(mode=0o600)
        self._books = Books(Ledger(ledger))
        self._alone: list[float] = []
        self._sent_in = 0.0
        self._recent: deque[tuple[float, int]] = deque(maxlen=10)
        self.server = DemoServer()
        self.workers: list[WorkerProcess] = []
        self.left: list[str] = []

    async def run(self) -> Report:
        """The whole of it. Whatever happens, no process and no file is left behind.

        Raises:
            AioQueueError: it could not be done; the message says why.
        """
        try:
            broker = await self.server.open()
            await self.server.clean(broker)
            self._display.begin(self.server, self._selection)
            await self._start_workers(broker)
            await self._send_alone()
            sending = asyncio.create_task(self._send())
            try:
                await self._watch(broker, sending)
            finally:
                sending.cancel()
            report = await self._report(broker)
        finally:
            await self._stop()
        return msgspec.structs.replace(
            report,
            workers=[worker.figures(self._books.ledger) for worker in self.workers],
            left_running=self.left,
            server=self.server.end,
            total=perf_counter() - self._began,
        )

    @property
    def progress(self) -> tuple[int, int]:
        """How many tasks have ended, of how many."""
        return len(self._books.ends), len(self._selection.paths)

    # Steps

    async def _start_workers(self, broker: Broker) -> None:
        own = environment(**{LEDGER: str(self._folder / "ledger")})
        for number in range(1, self._count + 1):
            worker = WorkerProcess(
                f"worker-{number}", concurrency=self._concurrency, folder=self._folder, environment=own
            )
            self.workers.append(worker)
        self._display.started(self._now())
        deadline = monotonic() + _START_TIMEOUT
        while len(await broker.workers()) < self._count:
            self._look_after_workers()
            if monotonic() > deadline:
                raise AioQueueError(f"The workers were not ready after {_START_TIMEOUT:g} s. Nothing was sent.")
            await asyncio.sleep(_LOOK_AGAIN)

    def _look_after_workers(self) -> None:
        """Only one is to die, and not by itself."""
        for worker in self.workers:
            if not worker.alive and worker.end != "killed":
                raise AioQueueError(
                    f"{worker.name} (process {worker.pid}) should be at work, and has ended with the exit code "
                    f"{worker.exit_code}.\n{worker.last_words()}".rstrip()
                )

    async def _send_alone(self) -> None:
        """The first of many files, one at a time, to see how long a task takes that meets no other."""
        paths = self._selection.paths[:_ALONE] if len(self._selection.paths) >= 10 * _ALONE else []
        for path in paths:
            began = perf_counter()
            result = await measure.send(path)
            self._books.sent([result], [path])
            try:
                await result
                self._alone.append(perf_counter() - began)
            except (OSError, UnicodeDecodeError):
                pass  # its end is in the books
        await self._books.look_up(await app.broker(), everything=True)

    async def _send(self) -> None:
        """The others, as fast as they can be sent."""
        paths = self._selection.paths[len(self._books.paths) :]
        self._books.start = time_ns()
        for first in range(0, len(paths), _BATCH):
            batch = paths[first : first + _BATCH]
            now = time_ns()
            self._books.sent(await app.send_many([measure.si(path) for path in batch]), batch, now)
        self._sent_in = self._books.seconds

    async def _watch(self, broker: Broker, sending: asyncio.Task[None]) -> None:
        """Follow the tasks until all have an end, or none has had one for too long."""
        books, shown, last_end = self._books, 0.0, monotonic()
        while not sending.done() or len(books.ends) < len(books.paths):
            if sending.done():
                sending.result()
            self._look_after_workers()
            if await books.look_up(broker, everything=sending.done()):
                last_end = monotonic()
            elif monotonic() - last_end > _PATIENCE:
                break
            if self._kill:
                await self._consider_kill()
            if monotonic() - shown > _SHOW_AGAIN:
                shown = monotonic()
                self._display.update(self._now())
            await asyncio.sleep(_MOMENT if self._kill else _LOOK_AGAIN)
        self._display.update(self._now())

    async def _consider_kill(self) -> None:
        """When a third is done: kill the last worker, in the middle of something."""
        ledger, victim = self._books.ledger, self.workers[-1]
        if len(ledger.ended) * 3 < len(self._selection.paths):
            return
        # The tasks are short: between two of them, let it go on for a moment.
        for _ in range(_TRIES):
            # Held still, so that the ledger says exactly what it is doing when it dies.
            victim.pause()
            ledger.read()
            if not victim.alive:
                return  # seen at the next look after the workers
            if ledger.running_in(victim.pid):
                break
            victim.go_on()
            await asyncio.sleep(_MOMENT)
        else:
            return
        victim.kill()
        self._kill = False
        self._display.killed(self._books.bury(victim.name, victim.pid), app.conf.visibility_timeout)

    async def _stop(self) -> None:
        """End what was started. A cancellation has to wait for that."""
        stopping = asyncio.create_task(self._stop_all())
        while not stopping.done():
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError:
                continue
        stopping.result()

    async def _stop_all(self) -> None:
        self.left = await end_all(self.workers, patience=_STOP_TIMEOUT)
        await self.server.close()
        if self.server.end == "stays" and not self.server.used_by_others:
            self.left.append("the embedded server")
        self._books.ledger.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # Figures

    def _now(self) -> Now:
        books, now = self._books, monotonic()
        self._recent.append((now, len(books.ends)))
        then, before = self._recent[0]
        return Now(
            seconds=books.seconds,
            total=len(self._selection.paths),
            sent=len(books.paths),
            ended=len(books.ends),
            failed=books.failed,
            recovered=len(books.ledger.recovered),
            rate=(len(books.ends) - before) / (now - then) if now > then else 0.0,
            wait=books.waits(),
            run=books.runs(),
            workers=[worker.figures(books.ledger) for worker in self.workers],
        )

    async def _report(self, broker: Broker) -> Report:
        books = self._books
        failures = await books.failures(broker, self._selection.folder)
        lost = books.lost(self._selection.folder)
        twice, unexplained = books.ledger.twice()
        rate, rate_after_kill = books.rates()
        return Report(
            ok=not lost and not unexplained,
            version=__version__,
            python=f"{platform.python_implementation()} {platform.python_version()}",
            broker=self.server.description,
            broker_started_in=self.server.started_in,
            folder=str(self._selection.folder),
            texts_found=self._selection.texts_found,
            files=len(self._selection.paths),
            not_text=self._selection.not_text,
            succeeded=len(books.ends) - len(failures),
            failed=len(failures),
            lost=len(lost),
            lost_files=lost,
            recovered=len(books.ledger.recovered),
            twice=twice,
            twice_unexplained=unexplained,
            retried=books.ledger.retried,
            seconds=books.seconds_to_last_end(),
            sent_in=self._sent_in,
            rate=rate,
            rate_after_kill=rate_after_kill,
            wait=books.waits(),
            run=books.runs(),
            alone=percentiles(self._alone),
            alone_count=len(self._alone),
            kill=books.kill_and_recovery(),
            kill_wanted=self._kill_wanted,
            workers=[],
            failures=failures,
            languages=books.languages(),
        )
