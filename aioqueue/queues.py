"""`app.queues`: what waits, dropping it, and pausing."""

from __future__ import annotations

import builtins
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from aioqueue import kinds
from aioqueue.awaiting import Spoken, awaited
from aioqueue.brokers.protocol import QueueStatus
from aioqueue.inquiry import ask_these, meant
from aioqueue.kinds import Seconds
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
        paused: workers take nothing from it, until it is resumed.
        problem: what of it cannot be read, so that the numbers are those of the rest.
    """

    name: str
    waiting: int
    running: int
    delayed: int
    oldest: datetime | None = None
    consumers: int = 0
    paused: bool = False
    problem: str = ""


class Queues:
    """`app.queues`."""

    def __init__(self, app: Core) -> None:
        self._app = app

    @awaited
    async def list(self) -> builtins.list[QueueInfo]:
        """The queues that have been used or paused, and those of `task_queues`, by name."""
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
                paused=status.paused,
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

    @awaited
    async def pause(self, name: str, *, timeout: Seconds = 1.0) -> tuple[str, ...]:
        """Let no worker take anything from a queue until it is resumed: neither those that are alive, nor those that
        start later. What runs goes on, what a worker has fetched and not started goes back, and what is sent or comes
        due waits there. Pausing a queue that is paused changes nothing.

        Args:
            name: the queue, which need not have been used yet.
            timeout: for so many seconds it waits until all its workers know of it. Then nothing of it starts any more.

        Returns:
            The names of workers of it that have not said so in time. They do as they are told as soon as they hear it.

        Raises:
            ConfigurationError: no queue can have that name, or the timeout is none.
            BrokerUnavailable: the broker is away; it may be paused or not.
        """
        return await self._pause(name, True, timeout)

    @awaited
    async def resume(self, name: str, *, timeout: Seconds = 1.0) -> tuple[str, ...]:
        """Let workers take from a queue again that was paused; the same as `pause` in all else."""
        return await self._pause(name, False, timeout)

    async def _pause(self, name: str, paused: bool, timeout: Seconds) -> tuple[str, ...]:
        name = kinds.NAME.of("The name of a queue", name)
        those = await meant(self._app, None, timeout)
        await those.broker.pause_queue(name, paused)
        concerned = [worker for worker in await those.broker.workers() if name in worker.queues]
        if not concerned or not those.broker.capabilities.asked:
            return ()
        # They hear of both in this order, so who answers knows of it.
        to = tuple({worker.name for worker in concerned})
        return (await ask_these(those._replace(alive=concerned, to=to), "ping", str)).silent

    def _spoken(self) -> Spoken:
        return Spoken(f"app {self._app.name!r}", "app.queues", "app.sync.queues")
