"""`app.sync.inspect` and `app.sync.control`: what workers are asked and told, without an event loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aioqueue.control import Control
from aioqueue.inspection import Inspect
from aioqueue.kinds import Seconds
from aioqueue.portal import Portal
from aioqueue.questions import (
    ActiveQueue,
    Destination,
    HeldTask,
    Replies,
    Revoked,
    WorkerInfo,
    WorkerStats,
)
from aioqueue.task_status import TaskStatus
from aioqueue.waiting_tasks import WaitingTask


class SyncInspect:
    """`app.inspect`, whose methods wait."""

    def __init__(self, inspect: Inspect, portal: Portal) -> None:
        self._inspect = inspect
        self._portal = portal

    def workers(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> list[WorkerInfo]:
        """The workers that are alive, by name; see `Inspect.workers`."""
        return self._portal.run(self._inspect.workers(destination=destination, timeout=timeout))

    def ping(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[str]:
        """Whether workers answer: "pong"."""
        return self._portal.run(self._inspect.ping(destination=destination, timeout=timeout))

    def active(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[list[HeldTask]]:
        """The tasks that run."""
        return self._portal.run(self._inspect.active(destination=destination, timeout=timeout))

    def reserved(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[list[HeldTask]]:
        """The tasks that workers have fetched, and that wait there for a slot."""
        return self._portal.run(self._inspect.reserved(destination=destination, timeout=timeout))

    def scheduled(
        self, *, destination: Destination | None = None, timeout: Seconds = 1.0
    ) -> Replies[list[WaitingTask]]:
        """The tasks that wait for their time in the queues that each worker consumes."""
        return self._portal.run(self._inspect.scheduled(destination=destination, timeout=timeout))

    def registered(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[list[str]]:
        """The names of the tasks that each worker knows."""
        return self._portal.run(self._inspect.registered(destination=destination, timeout=timeout))

    def stats(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[WorkerStats]:
        """How each worker is."""
        return self._portal.run(self._inspect.stats(destination=destination, timeout=timeout))

    def conf(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[dict[str, Any]]:
        """The settings of each worker that differ from the defaults."""
        return self._portal.run(self._inspect.conf(destination=destination, timeout=timeout))

    def active_queues(
        self, *, destination: Destination | None = None, timeout: Seconds = 1.0
    ) -> Replies[list[ActiveQueue]]:
        """The queues that each worker consumes."""
        return self._portal.run(self._inspect.active_queues(destination=destination, timeout=timeout))

    def revoked(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[Revoked]:
        """What each worker will not run, for it was revoked."""
        return self._portal.run(self._inspect.revoked(destination=destination, timeout=timeout))

    def query_task(
        self, ids: str | Iterable[str], *, destination: Destination | None = None, timeout: Seconds = 1.0
    ) -> Replies[dict[str, HeldTask]]:
        """Which of these tasks workers have in their hands, by id."""
        return self._portal.run(self._inspect.query_task(ids, destination=destination, timeout=timeout))

    def task(self, id: str, *, stack: bool = False, timeout: Seconds = 1.0) -> TaskStatus:
        """Why a task does not run yet; see `Inspect.task`."""
        return self._portal.run(self._inspect.task(id, stack=stack, timeout=timeout))


class SyncControl:
    """`app.control`, whose methods wait."""

    def __init__(self, control: Control, portal: Portal) -> None:
        self._control = control
        self._portal = portal

    def ping(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[str]:
        """Whether workers answer: "pong"."""
        return self._portal.run(self._control.ping(destination=destination, timeout=timeout))

    def shutdown(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[str]:
        """Stop in good order; see `Control.shutdown`."""
        return self._portal.run(self._control.shutdown(destination=destination, timeout=timeout))

    def time_limit(
        self,
        task: str,
        *,
        soft: Seconds | None = None,
        hard: Seconds | None = None,
        destination: Destination | None = None,
        timeout: Seconds = 1.0,
    ) -> Replies[str]:
        """Give a task other limits; see `Control.time_limit`."""
        told = self._control.time_limit(task, soft=soft, hard=hard, destination=destination, timeout=timeout)
        return self._portal.run(told)

    def enable_events(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[str]:
        """Let it be told what happens; see `Control.enable_events`."""
        return self._portal.run(self._control.enable_events(destination=destination, timeout=timeout))

    def disable_events(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[str]:
        """Let it be told no more; see `Control.disable_events`."""
        return self._portal.run(self._control.disable_events(destination=destination, timeout=timeout))
