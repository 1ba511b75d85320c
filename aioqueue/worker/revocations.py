"""Revoked: tasks in a worker's hands do not start, and end if that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from aioqueue.worker.limits import Limits
from aioqueue.worker.run import Cut
from aioqueue.worker.slots import Slots
from aioqueue.worker.stamps import RevokedStamps


class Revocations:
    """What was revoked.

    Attributes:
        stamps: what carries one of these does not start.
    """

    def __init__(self, slots: Slots, limits: Limits) -> None:
        self.stamps = RevokedStamps()
        self._slots = slots
        self._limits = limits

    def revoke(self, ids: Sequence[str], terminate: bool) -> None:
        """These tasks were: those that wait are not started, those that run are cancelled if asked for."""
        wanted = set(ids)
        for run in self._slots.ready_runs():
            if run.delivery.id in wanted:
                run.delivery.revoked = True
        if terminate:
            for run in [run for run in self._slots.running if run.delivery.id in wanted]:
                self._limits.cancel(run, Cut.REVOKED)

    def revoke_stamps(self, stamps: Sequence[tuple[bytes, int]], terminate: bool) -> None:
        """These stamps were."""
        self.stamps.set(stamps)
        if terminate:
            for run in [run for run in self._slots.running if self.stamps.cover(run.message)]:
                self._limits.cancel(run, Cut.REVOKED_BY_STAMP)
