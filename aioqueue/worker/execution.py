"""The life of one task, step by step: complete its input, begin, call, classify, tell the log, settle.

A step gives the outcome when it decides it; those after it pass it on to where it is told, and settled as it was
decided. What counts for nothing any more (from `VOID` on) has none.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aioqueue.around.surroundings import Surroundings
from aioqueue.brokers.protocol import Consumer, Verdict
from aioqueue.context import TaskContext, current
from aioqueue.exceptions import Replace
from aioqueue.logs import logger
from aioqueue.message import State
from aioqueue.worker.acks import Acknowledgements
from aioqueue.worker.beside import Beside
from aioqueue.worker.calls import Calls
from aioqueue.worker.ends import lost
from aioqueue.worker.grafting import put_replacement
from aioqueue.worker.inputs import complete, fetched
from aioqueue.worker.interruptible import interruptible
from aioqueue.worker.leaves import let_go, said
from aioqueue.worker.limits import Limits
from aioqueue.worker.outcome import SUCCESS, Outcome
from aioqueue.worker.rules import Rules
from aioqueue.worker.run import CALLED, OVER, RUNNING, VOID, Cut, Run
from aioqueue.worker.runtime import Hands, WorkerRuntime

if TYPE_CHECKING:
    from aioqueue.core import Core

_Decided = TypeVar("_Decided", bound="Outcome | None")


class Execution:
    """Leads runs through their lives.

    Args:
        end: called with a run and its outcome when it is over: that is told and settled, and the run's slot is free.
        leave: called with a run of which nothing goes on, and which did not come to its end by `end`.
    """

    def __init__(
        self,
        app: Core,
        rules: Rules,
        consumer: Consumer,
        hands: Hands,
        limits: Limits,
        beside: Beside,
        end: Callable[[Run, Outcome], None],
        leave: Callable[[Run], None],
        *,
        hostname: str,
        is_eager: bool,
        now: Callable[[], int],
        state: Any,
    ) -> None:
        self._app = app
        self._rules = rules
        self._consumer = consumer
        self._hands = hands
        self._acks: Acknowledgements = hands.acks
        self._limits = limits
        self._end = end
        self._leave = leave
        self._hostname = hostname
        self._is_eager = is_eager
        self._now = now
        self._state = state
        self._track = app.conf.task_track_started
        self._leader = asyncio.current_task()
        self.calls = Calls(app, hostname, limits.begin)
        self._beside = beside

    async def execute(self, run: Run) -> None:
        """The whole life."""
        try:
            run.started = self._now()
            outcome = await self._complete(run) if run.partial is not None else None
            if run.partial is None:
                outcome = self._begin(run) or await self._call(run)
            if outcome is None:
                return  # it counts for nothing
            if outcome.state is SUCCESS:
                self._end(run, outcome)
                return
            if run.context is not None:
                run.context.asked = None
            self._end(run, outcome)
            around: Surroundings | None = run.task.surroundings
            if outcome.value is not None and (around is None or not around.hears_ends):
                let_go(outcome.value)
        except BaseException as error:  # of our own: no run is left without an end, and no slot is lost
            logger.exception("The end of task %s[%s] failed", run.task.name, run.delivery.id)
            self._end(run, self._rules.last_resort(run, error, self._now()))
        finally:
            if run.phase is not OVER:
                self._leave(run)

    # The steps

    async def _complete(self, run: Run) -> Outcome | None:
        """Get what is to come before the arguments; `run.partial` is None then. Else it is over."""
        assert run.partial is not None
        try:
            run.value = value = await fetched(self._consumer, run)
            run.args, run.kwargs = complete(self._app, run.task, run.message, run.partial, value)
        except asyncio.CancelledError as error:
            return await self._classify(run, error)
        except Exception as error:
            return self._rules.buried(run.delivery, run.message, error, self._now())
        if run.phase is RUNNING:
            run.partial = None
        return None

    def _begin(self, run: Run) -> Outcome | None:
        """Make what the task sees of itself. What was acknowledged by a worker that is dead has its end."""
        run.context = context = run.task.context_kind(
            run.task,
            run.delivery.id,
            run.message,
            run.args,
            run.kwargs,
            WorkerRuntime(self._hands, run),
            self._hostname,
            run.delivery.deliveries,
            self._is_eager,
            self._state,
        )
        current.set(context)
        return self._decided(self._rules.failed, run, lost(run)) if run.delivery.acknowledged else None

    async def _call(self, run: Run) -> Outcome | None:
        """Acknowledge it if that is to be early, call its function under its limits, and classify what comes of it."""
        task, context = run.task, run.context
        assert context is not None
        try:
            if not run.acks_late and await self._acks.early(run) is not Verdict.APPLIED:
                run.phase = VOID
                return None
            around: Surroundings | None = task.surroundings
            if around is not None and (before := self._beside.before(context.id)) is not None:
                # What is told of its being received, or of the run before.
                await asyncio.wait({before}, timeout=self._app.conf.signal_timeout)
            if self._track if task.track_started is None else task.track_started:
                self._acks.mention(run, State.STARTED)
            has_limits = run.soft_time_limit is not None or run.time_limit is not None
            if has_limits and not self.calls.is_elsewhere(task):  # there they count from when a process takes it
                self._limits.watch(run)
            value = await (self.calls.start(run) if around is None else self._surrounded(run, context, around))
        except BaseException as error:
            # Everything a body raises is its outcome, SystemExit and its own CancelledError included.
            return await self._classify(run, error)
        if run.cut is None and run.phase is RUNNING:
            run.phase = CALLED
            try:  # as `_decided`, without the way there: it is how most end
                return self._rules.returned(run, value, self._now())
            except Exception as error:
                return self._rules.last_resort(run, error, self._now())
        return await self._classify(run, asyncio.CancelledError())

    def _surrounded(self, run: Run, context: TaskContext, around: Surroundings) -> Awaitable[Any]:
        """Call its function with all that is around it; the limits are for all of that."""
        whole = around.run(context, partial(self._body, run), elsewhere=self.calls.is_elsewhere(run.task))
        return whole if run.soft_time_limit is None else interruptible(whole, run)

    async def _body(self, run: Run, given: Mapping[str, Any]) -> Any:
        try:
            return await self.calls.start(run, given)
        finally:
            if run.job is not None:  # what ends the run from outside reaches what is around the function from now on
                run.job, run.soft_due = None, False

    async def _classify(self, run: Run, error: BaseException) -> Outcome | None:
        """What follows from what was raised; None when it counts for nothing."""
        if run.phase >= VOID:
            return None
        run.phase = CALLED
        if run.cut is None and isinstance(error, asyncio.CancelledError) and self._is_cancelled():
            run.cut = Cut.HANDED_BACK
        if run.cut is not None:
            return self.cut(run)
        error = said(error)
        if not isinstance(error, Replace):
            return self._decided(self._rules.raised, run, error)
        if run.context is not None:
            run.context.asked = None
        try:
            shape = await put_replacement(self._app, run, error.canvas)
        except BaseException as problem:
            if run.cut is not None:
                return await self._classify(run, problem)
            return self._decided(self._rules.raised, run, problem)
        return self._rules.replaced(run, error, shape.id)

    def _is_cancelled(self) -> bool:
        """Whether the worker is, from outside: at its end `asyncio.run` cancels all that is in the loop at once."""
        return self._leader is not None and self._leader.cancelling() > 0

    # Ends that do not come from the function

    def cut(self, run: Run) -> Outcome | None:
        """What it means that a run was ended from outside; None: nothing is said of it, for it is run again."""
        return self._decided(self._rules.cut, run, run.cut)

    def _decided(self, rule: Callable[[Run, Any, int], _Decided], run: Run, ended_with: Any) -> _Decided | Outcome:
        try:
            return rule(run, ended_with, self._now())
        except Exception as error:  # an end that cannot be made, as of Retry(countdown="10"), is a failure
            return self._rules.last_resort(run, error, self._now())


def tasks_of(loop: asyncio.AbstractEventLoop) -> Callable[..., asyncio.Task[None]]:
    """What makes the asyncio tasks that lives are: as the program wants it, if it says, else as is fastest."""
    if loop.get_task_factory() is not None:
        return cast("Callable[..., asyncio.Task[None]]", loop.create_task)
    if sys.version_info >= (3, 12):
        return partial(asyncio.Task, loop=loop, eager_start=True)
    return partial(asyncio.Task, loop=loop)
