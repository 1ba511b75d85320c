"""`app.inspect`: what workers do, as they say it themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aioqueue import kinds
from aioqueue.awaiting import Spoken, awaited
from aioqueue.brokers.protocol import WorkerStatus
from aioqueue.inquiry import ask, ask_these, meant
from aioqueue.kinds import Seconds
from aioqueue.options import moment
from aioqueue.questions import (
    ActiveQueue,
    Destination,
    Found,
    HeldTask,
    Replies,
    Revoked,
    WorkerInfo,
    WorkerStats,
)
from aioqueue.task_status import TaskStatus
from aioqueue.waiting_tasks import WaitingTask, delayed_in
from aioqueue.whereabouts import status_of

if TYPE_CHECKING:
    from aioqueue.core import Core

_MOST = 1000


class Inspect:
    """`app.inspect`. Each method asks the workers and waits until all of them have answered, for `timeout` seconds at
    most. They answer beside their tasks, also when all of their slots are taken.

    `destination` is the name of a worker, several of them, or globs over whole names, such as `["worker1@*"]`; by
    default all are asked. Who has not answered in time is named in the `silent` of what is returned.
    """

    def __init__(self, app: Core) -> None:
        self._app = app

    @awaited
    async def workers(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> list[WorkerInfo]:
        """The workers that are alive, by name: those whose lease stands, with what each says of itself."""
        those = await meant(self._app, destination, timeout)
        found: dict[str, WorkerStats] = {}
        if those.broker.capabilities.asked:
            said = await ask_these(those, "stats", WorkerStats)
            found = {stats.id: stats for stats in said.values()}
        return [_info(one, found.get(one.id)) for one in sorted(those.alive, key=lambda one: (one.name, one.id))]

    @awaited
    async def ping(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[str]:
        """Whether workers answer: "pong"."""
        return await ask(self._app, "ping", str, destination=destination, timeout=timeout)

    @awaited
    async def active(
        self, *, destination: Destination | None = None, timeout: Seconds = 1.0
    ) -> Replies[list[HeldTask]]:
        """The tasks that run, those first that began first; a thousand of each worker at most."""
        return await ask(self._app, "active", list[HeldTask], destination=destination, timeout=timeout)

    @awaited
    async def reserved(
        self, *, destination: Destination | None = None, timeout: Seconds = 1.0
    ) -> Replies[list[HeldTask]]:
        """The tasks that workers have fetched, and that wait there for a slot; a thousand of each at most."""
        return await ask(self._app, "reserved", list[HeldTask], destination=destination, timeout=timeout)

    @awaited
    async def scheduled(
        self, *, destination: Destination | None = None, timeout: Seconds = 1.0
    ) -> Replies[list[WaitingTask]]:
        """The tasks that wait for their time (countdowns, etas, retries) in the queues that each worker consumes.

        They wait in the broker, so no worker is asked; a thousand of each queue at most.
        """
        those = await meant(self._app, destination, timeout)
        replies: Replies[list[WaitingTask]] = Replies()
        known: dict[str, list[WaitingTask]] = {}
        for worker in those.alive:
            for queue in worker.queues:
                if queue not in known:
                    known[queue] = await delayed_in(self._app, those.broker, queue, _MOST)
            replies[worker.name] = [task for queue in worker.queues for task in known[queue]]
        return replies

    @awaited
    async def registered(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[list[str]]:
        """The names of the tasks that each worker knows."""
        return await ask(self._app, "registered", list[str], destination=destination, timeout=timeout)

    @awaited
    async def stats(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[WorkerStats]:
        """How each worker is: what it runs, has run, and takes."""
        return await ask(self._app, "stats", WorkerStats, destination=destination, timeout=timeout)

    @awaited
    async def conf(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[dict[str, Any]]:
        """The settings of each worker that differ from the defaults, as plain data, without passwords."""
        return await ask(self._app, "conf", dict[str, Any], destination=destination, timeout=timeout)

    @awaited
    async def active_queues(
        self, *, destination: Destination | None = None, timeout: Seconds = 1.0
    ) -> Replies[list[ActiveQueue]]:
        """The queues that each worker consumes, in its order."""
        return await ask(self._app, "active_queues", list[ActiveQueue], destination=destination, timeout=timeout)

    @awaited
    async def revoked(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[Revoked]:
        """What each worker will not run, for it was revoked: tasks that it holds, and stamps."""
        return await ask(self._app, "revoked", Revoked, destination=destination, timeout=timeout)

    @awaited
    async def query_task(
        self, ids: str | Iterable[str], *, destination: Destination | None = None, timeout: Seconds = 1.0
    ) -> Replies[dict[str, HeldTask]]:
        """Which of these tasks workers have in their hands, by id; one that has not started waits there for a slot."""
        wanted = Found(ids=[ids] if isinstance(ids, str) else list(ids))
        kind = dict[str, HeldTask]
        return await ask(self._app, "query_task", kind, wanted, destination=destination, timeout=timeout)

    @awaited
    async def task(self, id: str, *, stack: bool = False, timeout: Seconds = 1.0) -> TaskStatus:
        """Why a task does not run yet: it waits in its queue, and how many are before it; the queue is paused, or no
        worker consumes it; it waits for its time, for its retry, or for the rest of its workflow; a worker has fetched
        it. Or that it runs, and since when, or has ended. All queues are looked through for it.

        Args:
            id: the task's.
            stack: if it runs, its worker is asked where it is.
            timeout: for so many seconds that worker is waited for.

        Raises:
            ConfigurationError: the id is no text, or the timeout is none.
        """
        patience = kinds.seconds(kinds.LIMIT.of("A timeout", timeout, " Nobody was asked."))
        return await status_of(self._app, kinds.TEXT.of("A task's id", id), stack=stack, patience=patience)

    def _spoken(self) -> Spoken:
        return Spoken(f"app {self._app.name!r}", "app.inspect", "app.sync.inspect")


def _info(worker: WorkerStatus, said: WorkerStats | None) -> WorkerInfo:
    return WorkerInfo(
        name=worker.name,
        id=worker.id,
        host=worker.host,
        pid=worker.pid,
        queues=worker.queues,
        concurrency=worker.concurrency if said is None else said.concurrency,
        running=None if said is None else said.running,
        reserved=None if said is None else said.reserved,
        processed=None if said is None else said.processed,
        started_at=moment(worker.started or None),
        lease_left=worker.lease / 1000,
        version="" if said is None else said.version,
        silent=said is None,
    )
