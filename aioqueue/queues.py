"""`app.queues`: what waits, and dropping it."""

from __future__ import annotations

import builtins
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from aioqueue import kinds
from aioqueue.awaiting import Spoken, awaited
from aioqueue.brokers.protocol import QueueStatus
from aioqueue.options import moment
from aioqueue.revoking import purge

if TYPE_CHECKING:
    from aioqueue.core import Core


class QueueInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as it is now.

    Attributes:
        name: its name.
        waiting: how many tasks no worker has taken yet.
        running: how many tasks workers have.
        delayed: how many tasks wait for their time.
        oldest: when the task came into the queue that has waited longest; None where none waits.
        consumers: how many living workers consume it.
        problem: what of it cannot be read, so that the numbers are those of the rest.
    """

    name: str
    waiting: int
    running: int
    delayed: int
    oldest: datetime | None = None
    consumers: int = 0
    problem: str = ""


class Queues:
    """`app.queues`."""

    def __init__(self, app: Core) -> None:
        self._app = app

    @awaited
    async def list(self) -> builtins.list[QueueInfo]:
        """The queues that have been used, and those of `task_queues`, by name."""
        broker = await self._app.broker()
        found = {status.name: status for status in await broker.queues()}
        for queue in self._app.conf.task_queues:
            found.setdefault(queue.name, QueueStatus(name=queue.name, waiting=0, running=0, delayed=0))
        consumers = Counter(name for worker in await broker.workers() for name in set(worker.queues))
        return [
            QueueInfo(
                name=name,
                waiting=status.waiting,
                running=status.running,
                delayed=status.delayed,
                oldest=moment(status.oldest),
                consumers=consumers[name],
                problem=status.problem,
            )
            for name, status in sorted(found.items())
        ]

    @awaited
    async def purge(self, name: str) -> int:
        """Drop what waits in a queue, and end its tasks as revoked; returns how many. What runs goes on, and so does
        what waits for its time.

        Raises:
            ConfigurationError: no queue can have that name.
        """
        name = kinds.NAME.of("The name of a queue", name)
        return await purge(await self._app.broker(), self._app.conf, name)

    def _spoken(self) -> Spoken:
        return Spoken(f"app {self._app.name!r}", "app.queues", "app.sync.queues")
