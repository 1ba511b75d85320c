"""An app for threads and for programs without an event loop: `app.sync`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from aioqueue.control_sync import SyncControl, SyncInspect
from aioqueue.dead_letters import DeadLetters, DeadTask
from aioqueue.kinds import Seconds
from aioqueue.options import SendOptions
from aioqueue.portal import Portal
from aioqueue.sync_results import SyncResult

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.beat.sync import SyncSchedules
    from aioqueue.canvas.signatures import Signature
    from aioqueue.events import EventInfo
    from aioqueue.queues import QueueInfo, Queues

R = TypeVar("R")


class SyncApp:
    """What an app does, with methods that wait. The tasks' own are `task.sync.send(...)`."""

    def __init__(self, app: AioQueue) -> None:
        self._app = app

    @property
    def _portal(self) -> Portal:
        return self._app.portal

    def send_many(self, signatures: Iterable[Signature[R]]) -> list[SyncResult[R]]:
        """Send many tasks; see `AioQueue.send_many`."""
        portal = self._portal
        return [SyncResult.of(portal, result) for result in portal.run(self._app.send_many(signatures))]

    def send_task(
        self,
        name: str,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SendOptions],
    ) -> SyncResult[Any]:
        """Send a task by its name; its code need not be here."""
        portal = self._portal
        return SyncResult.of(portal, portal.run(self._app.send_task(name, args, kwargs, **options)))

    def result(self, id: str) -> SyncResult[Any]:
        """The result of a task, from its id."""
        return SyncResult.of(self._portal, self._app.result(id))

    AsyncResult = result
    """Celery's word for `result`."""

    def revoke_by_stamp(self, key: str, value: Any, terminate: bool = False) -> None:
        """Revoke all that was sent until now with that stamp; see `AioQueue.revoke_by_stamp`."""
        self._portal.run(self._app.revoke_by_stamp(key, value, terminate))

    def events(self, *names: str, since: str | None = None) -> Iterator[EventInfo]:
        """What happens to tasks and workers, while it does; see `AioQueue.events`."""
        return self._portal.each(self._app.events(*names, since=since))

    @cached_property
    def dead_letters(self) -> SyncDeadLetters:
        """Tasks that cannot be run."""
        return SyncDeadLetters(self._app.dead_letters, self._portal)

    @cached_property
    def queues(self) -> SyncQueues:
        """What waits, dropping it, and pausing."""
        return SyncQueues(self._app.queues, self._portal)

    @cached_property
    def control(self) -> SyncControl:
        """Changing how workers work."""
        return SyncControl(self._app.control, self._portal)

    @cached_property
    def inspect(self) -> SyncInspect:
        """What workers do."""
        return SyncInspect(self._app.inspect, self._portal)

    @cached_property
    def schedules(self) -> SyncSchedules:
        """What fires at its time."""
        from aioqueue.beat.sync import SyncSchedules

        return SyncSchedules(self._app, self._portal)


class SyncQueues:
    """`app.queues`, whose methods wait."""

    def __init__(self, queues: Queues, portal: Portal) -> None:
        self._queues = queues
        self._portal = portal

    def list(self) -> list[QueueInfo]:
        """The queues that have been used or paused, and those of `task_queues`, by name."""
        return self._portal.run(self._queues.list())

    def purge(self, name: str) -> int:
        """Drop what waits in a queue; see `Queues.purge`."""
        return self._portal.run(self._queues.purge(name))

    def pause(self, name: str, *, timeout: Seconds = 1.0) -> tuple[str, ...]:
        """Let no worker take anything from a queue until it is resumed; see `Queues.pause`."""
        return self._portal.run(self._queues.pause(name, timeout=timeout))

    def resume(self, name: str, *, timeout: Seconds = 1.0) -> tuple[str, ...]:
        """Let workers take from it again."""
        return self._portal.run(self._queues.resume(name, timeout=timeout))


class SyncDeadLetters:
    """`app.dead_letters`, whose methods wait."""

    def __init__(self, letters: DeadLetters, portal: Portal) -> None:
        self._letters = letters
        self._portal = portal

    def list(self, queue: str | None = None, limit: int = 100) -> list[DeadTask]:
        """The newest dead letters, of one queue or of all."""
        return self._portal.run(self._letters.list(queue, limit))

    def get(self, id: str) -> DeadTask | None:
        """The dead letter of a task, or None."""
        return self._portal.run(self._letters.get(id))

    def requeue(self, id: str) -> bool:
        """Send the task again, as if it had never run; see `DeadLetters.requeue`."""
        return self._portal.run(self._letters.requeue(id))

    def remove(self, id: str) -> bool:
        """Drop a dead letter. False: there is none."""
        return self._portal.run(self._letters.remove(id))

    def purge(self, queue: str | None = None) -> int:
        """Drop all dead letters, or those of one queue; returns how many."""
        return self._portal.run(self._letters.purge(queue))
