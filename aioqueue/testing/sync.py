"""`Testing` for tests that are plain functions: `with app.testing() as t:`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from aioqueue.around.overrides import Override
from aioqueue.portal import Portal
from aioqueue.sync_results import in_sync
from aioqueue.task import Task
from aioqueue.testing.failures import Raised
from aioqueue.testing.sent import Sent

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.testing.clock import Clock
    from aioqueue.testing.testing import Testing

P = ParamSpec("P")
R = TypeVar("R")


class SyncClock:
    """The clock of a test, whose methods wait."""

    def __init__(self, clock: Clock, portal: Portal) -> None:
        self._clock = clock
        self._portal = portal

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return self._clock.now

    def advance(
        self,
        by: timedelta | None = None,
        /,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        milliseconds: float = 0,
    ) -> None:
        """Move the clock on, and run what is due at each moment; see `Clock.advance`."""
        more = timedelta(
            weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
        self._portal.run(self._clock.advance((by or timedelta()) + more), lends=True)


class SyncTesting:
    """A `Testing` whose methods wait: what it runs, it runs before it returns.

    Plain functions are called in the thread of the test, one after the other, so that they are in its transaction of a
    database.

    Attributes:
        app: the app.
        clock: the time that decides what is due; `t.clock.advance(hours=2)`.
    """

    __test__ = False  # not a class of tests, whatever pytest makes of its name

    def __init__(self, testing: Testing, portal: Portal) -> None:
        self._testing = testing
        self._portal = portal
        self.clock = SyncClock(testing.clock, portal)

    @property
    def app(self) -> AioQueue:
        """The app."""
        return self._testing.app

    def sent(self, task: Task[..., Any] | str | None = None) -> list[Sent]:
        """What was sent, in order: of one task, or of all; by the test and by tasks."""
        return self._testing.sent(task)

    def assert_sent(self, task: Task[..., Any] | str, /, *args: Any, **kwargs: Any) -> Sent:
        """Assert that a task was sent with these arguments; see `Testing.assert_sent`."""
        return self._testing.assert_sent(task, *args, **kwargs)

    def assert_not_sent(self, task: Task[..., Any] | str, /, *args: Any, **kwargs: Any) -> None:
        """Assert that a task was not sent with these arguments; without any, that it was not sent at all."""
        self._testing.assert_not_sent(task, *args, **kwargs)

    def clear(self) -> None:
        """Forget what was sent. What waits to be run goes on waiting."""
        self._testing.clear()

    def drain(self) -> None:
        """Run everything that is due, and what comes of it, until nothing is; see `Testing.drain`."""
        self._portal.run(self._testing.drain(), lends=True)

    def run(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Send one task, run it to its end, and return what it returned; see `Testing.run`."""
        return in_sync(self._portal, self._portal.run(self._testing.run(task, *args, **kwargs), lends=True))

    def fail_next(self, task: Task[..., Any] | str, error: Raised, times: int = 1) -> None:
        """Let the next run of a task, or the next few, raise `error`; see `Testing.fail_next`."""
        self._testing.fail_next(task, error, times)

    def override(self, dependency: Callable[..., Any], replacement: Callable[..., Any]) -> Override:
        """Let another function stand in the place of a dependency; see `Testing.override`."""
        return self._testing.override(dependency, replacement)

    def __repr__(self) -> str:
        return repr(self._testing)
