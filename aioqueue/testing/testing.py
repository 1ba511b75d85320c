"""`async with app.testing() as t:`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar, Unpack, overload
from weakref import WeakKeyDictionary

from aioqueue.around.overrides import Override
from aioqueue.around.scopes import WorkerScope
from aioqueue.awaiting import Spoken, awaited
from aioqueue.brokers.protocol import WorkerStatus
from aioqueue.connections import Connections, running_loop
from aioqueue.exceptions import AioQueueError, ConfigurationError, NotRegistered
from aioqueue.ids import short_id
from aioqueue.task import Task
from aioqueue.testing.beating import Beat
from aioqueue.testing.clock import Clock
from aioqueue.testing.failures import Failures, Raised
from aioqueue.testing.lifespan import SharedLifespan
from aioqueue.testing.matching import Wanted
from aioqueue.testing.running import Runs
from aioqueue.testing.sent import Outbox, Sent, listed
from aioqueue.testing.stage import Stage
from aioqueue.testing.waiting import Waiting
from aioqueue.threads import Threads
from aioqueue.worker.process import shared_scope

if TYPE_CHECKING:
    from aioqueue.app import AioQueue, Lifespan
    from aioqueue.options import SendOptions
    from aioqueue.testing.sync import SyncTesting

P = ParamSpec("P")
R = TypeVar("R")


class _Before(NamedTuple):
    """What a test changes in an app."""

    route: Connections
    lifespan: Lifespan | None
    always_eager: bool
    scope: WorkerScope | None


# The tests that each app is under, the innermost last.
_open: WeakKeyDictionary[AioQueue, list[Testing]] = WeakKeyDictionary()


class Testing:
    """An app under test: on a broker of its own, where nothing runs but when the test says so.

        async with app.testing() as t:
            result = await add.send(2, 3)
            t.assert_sent(add, 2, 3)
            await t.drain()
            assert await result.get() == 5

    In a test that is a plain function it is `with app.testing() as t:`, and `t` has the same methods, which wait; see
    `SyncTesting`.

    The code is that of a real worker. To wait for a result that nothing is going to give is an error, after a second.
    When the block ends, the app is as it was.

    Args:
        app: the app.
        broker: "memory"; "embedded", a private server; or the URL of any broker in which tests have a hand (a
            `TestableBroker`), such as redis://localhost. On a server the test has a namespace of its own, which is
            dropped at the end.

    Attributes:
        app: the app.
        clock: the time that decides what is due; `await t.clock.advance(hours=2)`.
    """

    __test__ = False  # not a class of tests, whatever pytest makes of its name

    clock: Clock

    def __init__(self, app: AioQueue, broker: str = "memory") -> None:
        self.app = app
        self._kind = broker
        self._outbox = Outbox(app)
        self._failures = Failures()
        self._stack: AsyncExitStack | None = None
        self._before: _Before | None = None

    async def __aenter__(self) -> Testing:
        running_loop()
        if self._stack is not None:
            raise AioQueueError("This app.testing() is in use; call app.testing() again for another one.")
        self._outbox = Outbox(self.app)
        async with AsyncExitStack() as stack:
            waiting = Waiting(self._describe)
            stage = Stage(self.app, self._kind, waiting)
            await stage.open(stack)
            threads = Threads("aioqueue-dependency")
            scope = shared_scope(threads)
            self._take(stack, Connections(stage.connect), scope)
            broker = await self.app.open()
            stack.push_async_callback(stage.clear)
            self._runs = Runs(self.app, broker, stage, waiting)
            consumer = broker.consumer(_idle(), visibility_timeout=30, dead_letters_max_length=1)
            stack.push_async_callback(consumer.close)
            beat = Beat(self.app, broker)
            await beat.declare()
            self.clock = Clock(broker, stage, self._runs, beat, consumer, self._require_innermost)
            if self.app.lifespan is not None:
                lifespan = SharedLifespan(self.app.lifespan)
                self.app.lifespan = lifespan.enter
                stack.push_async_callback(lifespan.close)
            stack.callback(threads.close)
            stack.push_async_callback(scope.close)
            stack.callback(self._failures.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    def __enter__(self) -> SyncTesting:
        from aioqueue.testing.sync import SyncTesting

        _refuse_beside_a_loop()
        self.app.portal.run(self.__aenter__())
        return SyncTesting(self, self.app.portal)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.app.portal.run(self.__aexit__(kind, error, traceback), lends=True)

    def _take(self, stack: AsyncExitStack, route: Connections, scope: WorkerScope) -> None:
        app = self.app
        self._before = _Before(app.connect_through(route), app.lifespan, app.conf.task_always_eager, app.scope)
        app.scope = scope
        app.conf.task_always_eager = False
        app.observers.append(self._observe)
        _open.setdefault(app, []).append(self)
        stack.push_async_callback(route.end)
        stack.callback(self._give_back)

    def _give_back(self) -> None:
        app, before = self.app, self._before
        assert before is not None
        app.observers.remove(self._observe)
        tests = _open[app]
        position = tests.index(self)
        tests.remove(self)
        if position < len(tests):
            tests[position]._before = before  # the one that began later, and goes on, puts it back
            return
        app.connect_through(before.route)
        app.lifespan = before.lifespan
        app.conf.task_always_eager = before.always_eager
        app.scope = before.scope

    def _observe(self, *about: Any) -> None:
        if _open[self.app][-1] is self:
            self._outbox.observe(*about)

    # What was sent

    def sent(self, task: Task[..., Any] | str | None = None) -> list[Sent]:
        """What was sent, in order: of one task, or of all; by the test and by tasks.

        Raises:
            NotRegistered: the app has no task of that name, and none was sent.
        """
        if task is not None:
            self._require_known(task.name if isinstance(task, Task) else task)
        return self._outbox.of(task)

    @overload
    def assert_sent(self, task: Task[..., Any] | str, /, **options: Unpack[SendOptions]) -> Sent: ...
    @overload
    def assert_sent(self, task: Task[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Sent: ...
    @overload
    def assert_sent(self, task: str, /, *args: Any, **kwargs: Any) -> Sent: ...
    def assert_sent(self, task: Any, /, *args: Any, **kwargs: Any) -> Sent:
        """Assert that a task was sent with these arguments; without any, that it was sent at all.

        Arguments are equal by position and by keyword. Options of the sending are compared, too:
        `t.assert_sent(add.options(queue="high", countdown=10), 2, 3)`; where no type checker looks, they may stand
        among the keyword arguments.

        Raises:
            TypeError: the task cannot be called like that.

        Returns:
            The first that fits.
        """
        wanted = Wanted(self.app, task, args, kwargs)
        for sent in self._outbox.of(wanted.name):
            if wanted.fits(sent):
                return sent
        raise AssertionError(f"{wanted} was not sent. What was sent, in order:\n{listed(self._outbox.of())}")

    @overload
    def assert_not_sent(self, task: Task[..., Any] | str, /, **options: Unpack[SendOptions]) -> None: ...
    @overload
    def assert_not_sent(self, task: Task[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    def assert_not_sent(self, task: str, /, *args: Any, **kwargs: Any) -> None: ...
    def assert_not_sent(self, task: Any, /, *args: Any, **kwargs: Any) -> None:
        """Assert that a task was not sent with these arguments; without any, that it was not sent at all.

        Raises:
            NotRegistered: the app has no task of that name, and none was sent: it would be so whatever is sent.
        """
        wanted = Wanted(self.app, task, args, kwargs)
        self._require_known(wanted.name)
        found = [sent for sent in self._outbox.of(wanted.name) if wanted.fits(sent)]
        if found:
            raise AssertionError(f"{wanted} was sent:\n{listed(found)}")

    def _require_known(self, name: str) -> None:
        """What is sent by its name alone may be another program's, and its code not here."""
        if name not in self.app.tasks and not self._outbox.of(name):
            raise NotRegistered(
                f"{self.app.not_registered(name)} Of a task whose code is not here, ask what has no name: "
                "[one.task for one in t.sent()]."
            )

    def clear(self) -> None:
        """Forget what was sent. What waits to be run goes on waiting."""
        self._outbox.clear()

    # Running

    @awaited
    async def drain(self) -> None:
        """Run everything that is due, and what comes of it, until nothing is.

        Retries are run at once, however long they would wait. What was sent with a countdown or an eta waits for the
        clock.
        """
        self._require_innermost()
        await self._runs.until_quiet(retry_now=True)

    @awaited
    async def run(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Send one task and run it to its end, with its retries at once.

        What it sends is not run, but waits for `drain`; unless the task waits for it.

        Returns:
            What the task returned.

        Raises:
            Exception: what it raised.
        """
        self._require_innermost()
        return await self._runs.run(task, args, kwargs, task.send_options)

    def fail_next(self, task: Task[..., Any] | str, error: Raised, times: int = 1) -> None:
        """Let the next run of a task, or the next few, raise `error` in place of running its function.

        The task's own rules follow: it is retried, or it fails.
        """
        self._require_innermost()
        if times < 1:
            raise ValueError(f"fail_next: times is 1 or more, not {times!r}.")
        self._failures.order(self.app.find(task.name if isinstance(task, Task) else task), error, times)

    def override(self, dependency: Callable[..., Any], replacement: Callable[..., Any]) -> Override:
        """Let another function stand in the place of a dependency, until the test ends; see `AioQueue.override`.

        In a `with` statement it ends with the block: `with t.override(session, fake_session): ...`.

        Args:
            dependency: the function that was given to `Depends`.
            replacement: what is called in its place.

        Raises:
            ConfigurationError: one of them cannot be a dependency, or what would be opened cannot be.
        """
        if self._stack is None:
            raise self._not_open()
        override = Override(self.app, dependency, replacement)
        override.begin()
        self._stack.callback(override.end)
        return override

    # For messages

    def _spoken(self) -> Spoken:
        return Spoken(f"the test of app {self.app.name!r}", "t")

    def _require_innermost(self) -> None:
        if self._stack is None:
            raise self._not_open()
        if _open[self.app][-1] is not self:
            raise ConfigurationError(
                f"Another app.testing() of the app {self.app.name!r} began after this one and is still open. One at a "
                "time can run tasks: nest them, or give tests that run at the same time an app each."
            )

    def _not_open(self) -> AioQueueError:
        return AioQueueError("This app.testing() is not open: use it inside of `async with app.testing() as t:`.")

    def _describe(self, id: str, idle: bool) -> str:
        sent = self._outbox.get(id)
        if sent is None:
            return f"Task {id} has not ended, and was not sent in this test."
        if idle:  # of an id that `send` made that is known without a test: who waits for one of their own may be early
            return (
                f"Task {sent.task} ({id}) has ended, and nothing is kept of it any more. The setting result_expires is "
                f"{self.app.conf.result_expires} s: get its result before the clock has moved that far."
            )
        text = f"Task {sent.task} ({id}) has not ended, and nothing runs it."
        if sent.eta is not None and sent.eta > self.clock.now:
            wait = (sent.eta - self.clock.now).total_seconds()
            text += f" It is due in {wait:g} s: `await t.clock.advance(seconds={wait:g})`."
        return text

    def __repr__(self) -> str:
        return f"<Testing {self.app.name!r} on {self._kind}, {len(self._outbox.of())} sent>"


def _refuse_beside_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise AioQueueError(
        "In a coroutine it is `async with app.testing() as t:`. `with` is for tests that are plain functions."
    )


def _idle() -> WorkerStatus:
    """A worker that never works: its consumer tells when something is due."""
    return WorkerStatus(id=short_id(), name="clock", host="", pid=0, queues=["default"], concurrency=1, started=0)


def testing_of(app: AioQueue) -> Testing | None:
    """The test that an app is under."""
    tests = _open.get(app)
    return tests[-1] if tests else None
