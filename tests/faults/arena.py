"""A server, workers, schedulers, a sender and the score: what a test of faults is played in, and what must hold at its
end."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

from support import waiting
from support.nursery import Nursery
from support.waiting import LONG

from aioqueue import AsyncResult
from aioqueue.brokers.redis import keys
from aioqueue.canvas import Signature
from aioqueue.exceptions import BrokerUnavailable
from aioqueue.message import Record, decode_record

from .proxy import Proxy
from .record import Reader, Run
from .server import DurableServer
from .tasks import make_app
from .workers import ChildProcess, SchedulerProcess, WorkerProcess

PATIENCE = LONG
until = partial(waiting.until, seconds=PATIENCE)
SLACK = 1.0
"""Seconds that a machine with much else to do may add to a time that a promise states."""

VISIBILITY_TIMEOUT = 1.0
PREFIX = keys.prefix("faults")

_KEYS_WITHOUT_END = {"epoch", "queues", "leases", "workers", "dead", "dead:data", "dead:count", "revoked"}
_KEYS_WITH_END = ("r:", "answer:", "waiters:", "sent:")


class Arena:
    """Where a test happens.

    Attributes:
        server: which all of it is about.
        folder: which all processes share.
        score: what the workers' bodies have written.
        app: sends and reads, over connections of its own to the server.
        workers, schedulers: all that were made.
    """

    def __init__(self, server: DurableServer, nursery: Nursery, folder: Path) -> None:
        self._nursery = nursery
        self.folder = folder
        self.server = server
        self.score = Reader(folder)
        self.app = make_app(server.url, send_timeout=PATIENCE)
        self.workers: list[WorkerProcess] = []
        self.schedulers: list[SchedulerProcess] = []

    @property
    def processes(self) -> list[ChildProcess]:
        return [*self.workers, *self.schedulers]

    # Acting

    async def worker(
        self,
        *,
        url: str = "",
        concurrency: int = 20,
        shutdown_timeout: float = 30.0,
        ready: bool = True,
        constants: dict[str, float] | None = None,
        beat: bool = False,
        **settings: Any,
    ) -> WorkerProcess:
        """A worker that has begun to work.

        Args:
            url: of the broker, if it is not the server's.
            beat: it fires schedules, too.
            ready: wait until it works.
            constants: other values for constants of aioqueue's modules, by full name.
            settings: of its app.
        """
        options = {"concurrency": concurrency, "shutdown_timeout": shutdown_timeout, "beat": beat}
        about = {"visibility_timeout": VISIBILITY_TIMEOUT, **settings}
        made = WorkerProcess.begin(self._nursery, self._order("worker", url, about, constants, options))
        self.workers.append(made)
        if ready:
            await until(
                lambda: self.score.select("ready", pid=made.pid) or made.exit_code is not None, what="a worker to begin"
            )
            assert self.score.select("ready", pid=made.pid), made.log
        return made

    async def scheduler(
        self,
        *,
        url: str = "",
        ready: bool = True,
        constants: dict[str, float] | None = None,
        **settings: Any,
    ) -> SchedulerProcess:
        """A scheduler that leads, or waits to do so.

        Args:
            url: of the broker, if it is not the server's.
            ready: wait until the broker knows it.
            constants: other values for constants of aioqueue's modules, by full name.
            settings: of its app.
        """
        made = SchedulerProcess.begin(self._nursery, self._order("scheduler", url, settings, constants, {}))
        self.schedulers.append(made)
        if ready:
            await until(lambda: self.beats(made) or made.exit_code is not None, what="a scheduler to begin")
            assert self.beats(made), made.log
        return made

    def _order(
        self, name: str, url: str, settings: dict[str, Any], constants: dict[str, float] | None, options: dict[str, Any]
    ) -> dict[str, object]:
        return {
            "folder": str(self.folder),
            "log": str(self.folder / f"{name}{len(self.processes) + 1}.log"),
            "url": url or self.server.url,
            "settings": settings,
            "constants": constants or {},
            "options": options,
        }

    @asynccontextmanager
    async def supervised(self, count: int, **options: Any) -> AsyncIterator[None]:
        """So many workers, each replaced when it ends."""

        async def supervise() -> None:
            while True:
                worker = await self.worker(**options)
                await worker.ended(1e9)

        supervisors = [asyncio.create_task(supervise()) for _ in range(count)]
        try:
            yield
            for supervisor in supervisors:
                assert not supervisor.done(), supervisor.exception()
        finally:
            for supervisor in supervisors:
                supervisor.cancel()
            await asyncio.gather(*supervisors, return_exceptions=True)

    async def send(self, name: str, *args: Any, count: int = 1, **options: Any) -> list[AsyncResult[Any]]:
        """Send one task several times over."""
        return await self.app.send_many([Signature(self.app, name, args, {}, options) for _ in range(count)])

    def close(self) -> None:
        """End all processes."""
        for process in self.processes:
            if process.exit_code is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        self.server.close()

    # Seeing

    async def started(self, results: Iterable[AsyncResult[Any]], *, worker: WorkerProcess | None = None) -> None:
        """Wait until all of these have started (on that worker)."""
        ids = {result.id for result in results}
        pid = worker.pid if worker is not None else None

        def missing() -> set[str]:
            return ids - {line.id for line in self.score.select("start", pid=pid)}

        await until(lambda: not missing(), what=f"{len(ids)} tasks to start")

    async def records(self, results: Iterable[AsyncResult[Any]]) -> dict[str, Record]:
        """The records of tasks that have one."""
        ids = [result.id for result in results]
        found = await (await self.app.broker()).records(ids)
        return {id: decode_record(data) for id, data in zip(ids, found, strict=True) if data is not None}

    async def ended(self, results: Iterable[AsyncResult[Any]], seconds: float = PATIENCE) -> dict[str, Record]:
        """Wait until all of these have an end; returns their records."""
        ends: dict[str, Record] = {}
        left = {result.id: result for result in results}
        deadline = monotonic() + seconds
        while left:
            with suppress(BrokerUnavailable):
                found = await self.records(left.values())
                ends |= {id: record for id, record in found.items() if record.final}
            for id in ends:
                left.pop(id, None)
            assert not left or monotonic() < deadline, (
                f"{len(left)} tasks have no end after {seconds:g} s, among them {list(left)[:3]}; {self.contents()}"
            )
            await asyncio.sleep(0.05)
        return ends

    def key(self, name: str) -> str:
        return PREFIX + name

    def leases(self) -> list[str]:
        """The incarnations of workers that have a lease."""
        return [name.decode() for name in self.server.client.zrange(self.key("leases"), 0, -1)]

    def beats(self, process: ChildProcess) -> bool:
        """Whether a process has a scheduler that lives, as far as the broker knows."""
        alive = self.server.client.zrangebyscore(self.key("schedulers"), f"({self.now()}", "+inf")
        return any(_pid_of(scheduler) == process.pid for scheduler in alive)

    def leader(self) -> ChildProcess | None:
        """Whose scheduler leads, as far as the broker knows."""
        scheduler = self.server.client.get(self.key("schedulers:leader"))
        found = [process for process in self.processes if scheduler and process.pid == _pid_of(scheduler)]
        return found[0] if found and self.beats(found[0]) else None

    def now(self) -> int:
        """By the broker's clock, ms since the epoch."""
        seconds, microseconds = self.server.client.time()
        return seconds * 1000 + microseconds // 1000

    def waiting(self) -> tuple[int, int]:
        """How many messages are in the queues, and how many of them workers hold."""
        length = held = 0
        client = self.server.client
        for key in client.scan_iter(self.key("q:*"), count=1000, _type="stream"):
            length += client.xlen(key)
            for group in client.xinfo_groups(key):
                held += group["pending"]
        return length, held

    def contents(self) -> dict[str, Any]:
        """What is in the broker that is not there for ever."""
        client = self.server.client
        length, held = self.waiting()
        return {
            "length": length,
            "held": held,
            "delayed": client.zcard(self.key("delayed")),
            "delayed data": client.hlen(self.key("delayed:data")),
            "fallen": client.scard(self.key("fallen")),
        }

    # Judging

    async def at_rest(self) -> None:
        """Nothing is left over: no message, no lease of the dead, no key that nobody will remove."""
        await until(lambda: not any(self.contents().values()), what=f"the queues to be empty: {self.contents()}")
        client = self.server.client
        for key in client.scan_iter("*", count=1000):
            name = key.decode()
            assert name.startswith(PREFIX), f"{name} is not of this namespace"
            name = name.removeprefix(PREFIX)
            if name.startswith(_KEYS_WITH_END):
                assert client.pttl(key) != -1, f"{name} would stay for ever"
            else:
                assert name in _KEYS_WITHOUT_END or name.startswith("q:"), f"{name} should not be there"
        about = {name.decode() for name in client.hkeys(self.key("workers"))}
        assert about == set(self.leases()), "what dead workers said of themselves is left over"

    def repeated(self) -> list[Run]:
        """Runs after which the same task ran again, without having asked for it."""
        return [run for runs in self.score.runs().values() for run in runs[:-1]]

    def check_repeats(self, *, often: bool = False, settling: float = SLACK) -> None:
        """D3: a body was run again only if its worker was killed, frozen or cut off while it ran.

        Args:
            often: workers may have been frozen several times, of which only the first is known.
            settling: for how many seconds an ended run may not have been settled yet.
        """
        broken = {worker.pid: worker.broken_at for worker in self.workers}
        for run in self.repeated():
            at = broken[run.start.pid]
            before = often or (at is not None and run.start.at <= at)
            explained = at is not None and before and (run.end is None or run.end.at >= at - settling)
            assert explained, f"{run.start} to {run.end} ran again, and its worker was broken at {at}"

    def check_recovery(self) -> None:
        """D4: what ran on a killed worker ran again within the visibility timeout and one second."""
        broken = {worker.pid: worker.broken_at for worker in self.workers}
        for runs in self.score.runs().values():
            for run, following in pairwise(runs):
                since = broken[run.start.pid]
                assert since is not None
                # From the third delivery on a task waits until it can run alone.
                if following.start.deliveries <= 2:
                    assert following.start.at - since <= VISIBILITY_TIMEOUT + 1 + SLACK

    def check_dead_letters(self, count: int) -> None:
        """D2: so many ends were applied that make a dead letter, as counted by the step itself."""
        assert int(self.server.client.get(self.key("dead:count")) or 0) == count
        assert self.server.client.zcard(self.key("dead")) == count


def _pid_of(scheduler: bytes) -> int:
    return int(scheduler.partition(b"-")[0])


def states(ends: dict[str, Record]) -> dict[str, int]:
    """How many tasks ended how."""
    return dict(Counter(record.state for record in ends.values()))


@asynccontextmanager
async def proxy_to(server: DurableServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy in front of a server, which speaks TLS if it is given a context."""
    proxy = Proxy(server.port)
    await proxy.start(tls)
    try:
        yield proxy
    finally:
        await proxy.close()
