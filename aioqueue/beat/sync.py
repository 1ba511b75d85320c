"""`app.sync.schedules`."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import TYPE_CHECKING, Any, Unpack

from aioqueue.beat.schedules import ScheduleInfo, Schedules
from aioqueue.beat_schedule import TermsGiven, When
from aioqueue.canvas.base import Canvas
from aioqueue.portal import Portal
from aioqueue.sync_results import SyncResult

if TYPE_CHECKING:
    from aioqueue.core import Core


class SyncSchedules:
    """`app.schedules`, whose methods wait."""

    def __init__(self, app: Core, portal: Portal) -> None:
        self._schedules = Schedules(app)
        self._portal = portal

    def add(
        self, name: str, canvas: Canvas[Any], schedule: When, *, replace: bool = False, **terms: Unpack[TermsGiven]
    ) -> ScheduleInfo:
        """Add a schedule; see `Schedules.add`."""
        return self._portal.run(self._schedules.add(name, canvas, schedule, replace=replace, **terms))

    def get(self, name: str) -> ScheduleInfo | None:
        """One schedule; None if there is none of that name."""
        return self._portal.run(self._schedules.get(name))

    def list(self) -> list[ScheduleInfo]:
        """All schedules, by name; see `Schedules.list`."""
        return self._portal.run(self._schedules.list())

    def pause(self, name: str) -> None:
        """Let it fire no more, until it is resumed."""
        self._portal.run(self._schedules.pause(name))

    def resume(self, name: str) -> None:
        """Let it fire again, from its next due time on."""
        self._portal.run(self._schedules.resume(name))

    def remove(self, name: str) -> bool:
        """Drop a schedule; returns whether it was there."""
        return self._portal.run(self._schedules.remove(name))

    def trigger(self, name: str) -> SyncResult[Any]:
        """Send what it sends once, now."""
        return SyncResult.of(self._portal, self._portal.run(self._schedules.trigger(name)))

    def upcoming(self, name: str, n: int = 10) -> builtins.list[datetime]:
        """The next due times; see `Schedules.upcoming`."""
        return self._portal.run(self._schedules.upcoming(name, n))
