"""Ending a run from outside: its limits, a revocation, a worker that stops. What does not end is given up."""

from __future__ import annotations

from collections.abc import Callable
from logging import INFO, WARNING

from aioqueue.exceptions import LeaseLost, SoftTimeLimitExceeded, TaskRevoked, TimeLimitExceeded
from aioqueue.logs import log_with_fields
from aioqueue.worker.deadlines import Deadlines
from aioqueue.worker.fields import about
from aioqueue.worker.run import CALLED, GIVEN_UP, Cut, Run

# For how long a cancelled task may clean up before it is given up.
GRACE = 0.5

_ERRORS: dict[Cut, type[BaseException]] = {
    Cut.REVOKED: TaskRevoked,
    Cut.REVOKED_BY_STAMP: TaskRevoked,
    Cut.TIME_LIMIT: TimeLimitExceeded,
    Cut.HANDED_BACK: LeaseLost,
    Cut.LEASE_LOST: LeaseLost,
}


class Limits:
    """Watches over runs.

    Args:
        give_up: called with a run that ignores that it is to end.
    """

    def __init__(self, give_up: Callable[[Run], None]) -> None:
        self._deadlines = Deadlines()
        self._give_up = give_up

    def watch(self, run: Run) -> None:
        """It begins: its limits count from now on."""
        if run.soft_time_limit is not None:
            self._deadlines.add(run.soft_time_limit, run, self._soften)
        if run.time_limit is not None:
            self._deadlines.add(run.time_limit, run, self._exceed)

    def begin(self, run: Run) -> None:
        """The function of one that waited for a process begins."""
        if run.cut is None:
            self.watch(run)

    def cancel(self, run: Run, cut: Cut) -> None:
        """End a run; it is given up if it has not ended after a moment."""
        if run.phase >= GIVEN_UP or run.cut is not None:
            return
        run.cut = cut
        # A thread's function is waited for while it cleans up; if it does not come back it is given up, and counted.
        if not (run.job is not None and run.job.interrupt(_ERRORS[cut])) and run.coroutine is not None:
            run.coroutine.cancel()
        self._deadlines.add(GRACE, run, self._too_late)

    def close(self) -> None:
        """Nothing is watched any more."""
        self._deadlines.close()

    def _soften(self, run: Run) -> None:
        if run.phase is CALLED:  # a replacement that is stored, the settlement: none of it is the task's own
            return
        log_with_fields(
            INFO,
            "Task %s[%s] has run for its soft limit of %g s",
            run.task.name,
            run.delivery.id,
            run.soft_time_limit,
            fields=about(run),
        )
        if run.job is not None:
            run.soft_due = not run.job.soften(_too_long_softly(run))
        elif run.coroutine is not None:
            run.soft_due = True
            run.coroutine.cancel()

    def _exceed(self, run: Run) -> None:
        run.soft_due = False
        self.cancel(run, Cut.TIME_LIMIT)

    def _too_late(self, run: Run) -> None:
        log_with_fields(
            WARNING,
            "Task %s[%s] did not end when it was told to (%s); it is given up, and may run on unheard",
            run.task.name,
            run.delivery.id,
            run.cut.value if run.cut is not None else "",
            fields=about(run),
        )
        self._give_up(run)


def _too_long_softly(run: Run) -> SoftTimeLimitExceeded:
    return SoftTimeLimitExceeded(
        f"soft_time_limit={run.soft_time_limit or 0:g} s was over before a thread had begun with it; it did not run"
    )
