"""Running what was admitted: at most so many at once, each under its limits.

The life of a task, on this page: `put` → `_start` → `_perform` → `_end` → committer.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aioqueue.brokers.protocol import Consumer, Delivery, Settlement, Verdict
from aioqueue.canvas import Canvas
from aioqueue.context import Done, Line, TaskContext, current
from aioqueue.exceptions import (
    LeaseLost,
    PayloadError,
    Replace,
    Retry,
    SoftTimeLimitExceeded,
    TaskRevoked,
    TimeLimitExceeded,
    WorkerLost,
)
from aioqueue.group_result import result_of
from aioqueue.logs import logger
from aioqueue.message import State
from aioqueue.payload.failure import Failure
from aioqueue.result import AsyncResult
from aioqueue.worker.admission import bury, drop, expire
from aioqueue.worker.committer import Committer
from aioqueue.worker.deadlines import Deadlines
from aioqueue.worker.grafting import drop_additions, store_addition, store_replacement
from aioqueue.worker.inputs import complete
from aioqueue.worker.interruptible import interruptible
from aioqueue.worker.outcome import Rules, not_raised
from aioqueue.worker.run import Ending, Run
from aioqueue.worker.stamps import RevokedStamps
from aioqueue.worker.threads import Threads

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

_T = TypeVar("_T")

# For how long a cancelled task may clean up before it is given up.
_GRACE = 0.5

_ERRORS: dict[Ending, type[BaseException]] = {
    Ending.REVOKED: TaskRevoked,
    Ending.TIME_LIMIT: TimeLimitExceeded,
    Ending.HANDED_BACK: LeaseLost,
    Ending.LEASE_LOST: LeaseLost,
}


class Runner:
    """The tasks in a worker's hands.

    Attributes:
        running: those that have started, and not ended.
        stuck: those that were given up, and still have not ended.
        ended: how many have ended.
        unsettled: deliveries in hand: ready, running, or ended and not settled yet.
        accepting: whether anything is to be started.
        may_start: whether what is held may be started now: not while the lease may have ended, for then others may
            have it (D3).
        changed: set when there is more room.
    """

    def __init__(
        self,
        app: AioQueue,
        rules: Rules,
        committer: Committer,
        consumer: Consumer,
        *,
        concurrency: int,
        hostname: str,
        is_eager: bool,
        now: Callable[[], int],
        state: Any,
    ) -> None:
        self._app = app
        self._rules = rules
        self._committer = committer
        self._consumer = consumer
        self._concurrency = concurrency
        self._hostname = hostname
        self._is_eager = is_eager
        self._now = now
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines()
        self._context = contextvars.copy_context()
        self._threads = Threads("aioqueue-task")
        self._ready: tuple[deque[Run], ...] = tuple(deque[Run]() for _ in range(10))
        self._highest = 0  # no task of a higher priority is ready
        self._track = app.conf.task_track_started
        self._dropping: set[asyncio.Task[None]] = set()
        self.stamps = RevokedStamps()
        self.waiting = 0
        self.running: set[Run] = set()
        self.stuck: set[Run] = set()
        self.ended = 0
        self.started = 0
        self.unsettled = 0
        self.changed = asyncio.Event()
        self.accepting = True
        self.may_start: Callable[[], bool] = lambda: True

    # In

    def put(self, run: Run) -> None:
        """Run it when its turn comes: higher priorities first, else in order."""
        self.unsettled += 1
        self.waiting += 1
        priority = run.message.priority if 0 <= run.message.priority <= 9 else 0
        self._ready[priority].append(run)
        if priority > self._highest:
            self._highest = priority

    def settle(self, settlement: Settlement) -> None:
        """Settle something that is not run at all."""
        self.unsettled += 1
        self._committer.add(settlement, self._settled)

    def start_ready(self) -> None:
        """Start as many as there are places for."""
        while self.waiting and len(self.running) < self._concurrency and self.accepting and self.may_start():
            run = self._next()
            self.waiting -= 1
            if run.delivery.revoked:
                run.done = True
                self._committer.add(Settlement(run.delivery, if_revoked=True), self._settled)
            elif self.stamps.cover(run.message):
                run.done = True
                self._committer.add(self._drop(run), self._settled)
            elif run.message.expires is not None and run.message.expires <= (now := self._now()):
                run.done = True
                self._committer.add(expire(self._app, run.delivery, run.message, now), self._settled)
            else:
                self._start(run)

    def _next(self) -> Run:
        """The first one of the highest priority that there is."""
        while not (ready := self._ready[self._highest]):
            self._highest -= 1
        return ready.popleft()

    def held(self) -> list[Delivery]:
        """The deliveries that have started, those that were given up, and those whose end is not settled yet."""
        return [*[run.delivery for run in (*self.running, *self.stuck)], *self._committer.deliveries()]

    def ready(self) -> list[Delivery]:
        """The deliveries that have not started."""
        return [run.delivery for queue in self._ready for run in queue]

    def drop_ready(self) -> int:
        """Forget what has not started; the caller hands it back."""
        dropped, self.waiting = self.waiting, 0
        self.unsettled -= dropped
        for queue in self._ready:
            queue.clear()
        return dropped

    # A run

    def _start(self, run: Run) -> None:
        self.running.add(run)
        self.started += 1
        # Not in the context of the run that has just made room.
        run.coroutine = self._loop.create_task(self._perform(run), context=self._context.copy())

    async def _perform(self, run: Run) -> None:
        try:
            await self._run(run)
        except BaseException as error:
            # An end that cannot be made, as of ctx.retry(countdown="10"), is the end: no run is left without one.
            if run.done:
                self._leave(run)
                return
            logger.exception("The end of task %s[%s] failed; it ends as failed", run.task.name, run.delivery.id)
            self._end(run, self._rules.failure(run, error, self._now()))

    async def _run(self, run: Run) -> None:
        task = run.task
        run.started = self._now()
        run.started_at = self._loop.time()
        if run.partial is not None and not await self._complete(run):
            return
        run.context = context = TaskContext(
            task,
            run.delivery.id,
            run.message,
            run.args,
            run.kwargs,
            line=_RunnerLine(self, run, self._loop),
            hostname=self._hostname,
            deliveries=run.delivery.deliveries,
            is_eager=self._is_eager,
            state=self._state,
        )
        current.set(context)
        try:
            if not run.acks_late:
                verdict = await self._acknowledge(run)
                if verdict is not Verdict.APPLIED:
                    self._leave(run)
                    return
            if self._track or task.track_started:
                self._tell(run, State.STARTED, None)
            if run.soft_time_limit is not None:
                self._deadlines.add(run.soft_time_limit, run, self._soften)
            if run.time_limit is not None:
                self._deadlines.add(run.time_limit, run, self._exceed)
            if "before_start" in task.hooks:
                hook = _hook(task.before_start, context.id, run.args, run.kwargs)
                await (hook if run.soft_time_limit is None else interruptible(hook, run))
            value = await self._call(run, context)
        except BaseException as error:
            # Everything a body raises is its outcome, SystemExit and its own CancelledError included.
            await self._failed(run, error)
        else:
            await self._returned(run, value)

    async def _complete(self, run: Run) -> bool:
        """Get what is to come before the arguments; False when it has ended instead."""
        message, workflow, failures = run.message, run.message.workflow or "", 0
        try:
            while True:
                try:
                    if message.handles:
                        subject = run.delivery.id[len(workflow) + 1 :].partition(".")[2]
                        value = await self._consumer.handled(workflow, subject)
                    else:
                        value = await self._consumer.value(workflow, message.takes or 0)
                    break
                except Exception as error:  # the broker is away; or for as long as it takes
                    failures += 1
                    if failures % 10 == 1:
                        logger.warning("Task %s[%s] waits for its input: %s", run.task.name, run.delivery.id, error)
                    await asyncio.sleep(min(2.0, 0.05 * 2 ** min(failures, 6)))
            if value is None:
                raise PayloadError(
                    f"What comes before the arguments of {run.task.name}[{run.delivery.id}] is gone: its workflow has "
                    "ended, and its time (result_expires) is over. It was moved to the dead letters."
                )
            assert run.partial is not None
            run.args, run.kwargs = complete(self._app, run.task, message, run.partial, value)
            run.partial = None
        except asyncio.CancelledError as error:
            await self._failed(run, error)
        except Exception as error:
            self._end(run, bury(self._app, run.delivery, message, error, self._now(), self._hostname))
        return not run.done

    def _call(self, run: Run, context: TaskContext) -> Awaitable[Any]:
        task = run.task
        args = (context, *run.args) if task.bind else run.args
        if not task.is_coroutine:
            return self._in_thread(run, args)
        coroutine: Coroutine[Any, Any, Any]
        if run.message.spread is None:
            coroutine = task.function(*args, **run.kwargs)
        else:
            coroutine = _each_awaited(task.function, args, run.kwargs)
        return coroutine if run.soft_time_limit is None else interruptible(coroutine, run)

    async def _in_thread(self, run: Run, args: tuple[Any, ...]) -> Any:
        function, kwargs = run.task.function, run.kwargs
        if run.message.spread is not None:
            function = partial(_each, function)
            kwargs = {"kwargs": kwargs}
            args = (args,)
        run.job = self._threads.start(lambda: function(*args, **kwargs), contextvars.copy_context())
        value = await run.job.future
        if inspect.isawaitable(value):  # a plain function that returns a coroutine, such as a partial of one
            return await value
        return value

    async def _returned(self, run: Run, value: Any) -> None:
        if run.ending is not None:
            await self._failed(run, asyncio.CancelledError())
            return
        if run.done:
            self._leave(run)
            return
        if isinstance(value, Replace | Retry):
            await self._failed(run, not_raised(run.task.name, value))
            return
        settlement = self._rules.success(run, value, self._now())
        if run.task.hooks:
            await self._hooks(run, "on_success", State.SUCCESS, value)
        self._end(run, settlement)
        if logger.isEnabledFor(20):
            self._log(run, "succeeded in %.3f s", self._loop.time() - run.started_at)

    async def _failed(self, run: Run, error: BaseException) -> None:
        ending = run.ending
        cut_off = ending in (Ending.HANDED_BACK, Ending.LEASE_LOST)
        if run.done or (cut_off and run.ack is None):
            self._leave(run)
            return
        if ending is Ending.REVOKED:
            self._log(run, "was revoked while it ran")
            self._end(run, self._revoked(run))
            return
        if isinstance(error, Replace) and ending is None:
            problem = await self._replace(run, error)
            if problem is None:
                return
            if run.ending is not None:
                await self._failed(run, asyncio.CancelledError())
                return
            error = problem
        if ending is Ending.TIME_LIMIT:
            error = self._too_long(run)
        elif isinstance(error, SoftTimeLimitExceeded) and not error.args:
            error.args = (f"soft_time_limit={run.soft_time_limit or 0:g} s",)
        if cut_off:
            error = _cut_off(run)
            state, settlement = State.FAILURE, self._rules.failure(run, error, self._now())
        else:
            state, error, settlement = self._rules.error(run, error, self._now())
        if run.task.hooks and state in (State.FAILURE, State.RETRY):
            await self._hooks(run, "on_retry" if state == State.RETRY else "on_failure", state, error)
        if state == State.FAILURE:
            logger.error("Task %s[%s] failed: %s", run.task.name, run.delivery.id, Failure.of(error).report().rstrip())
        else:
            self._log(run, "%s: %s", "is retried" if state == State.RETRY else state.lower(), Failure.of(error).summary)
        self._end(run, settlement)
        # The exception holds the frames, and they hold the arguments: let go of both.
        error.__traceback__ = None

    async def _replace(self, run: Run, asked: Replace) -> BaseException | None:
        """Let a canvas go on in the place of the task; returns why that could not be."""
        try:
            plan = await store_replacement(self._app, run, asked.canvas)
        except BaseException as error:
            return error
        self._log(run, "was replaced by %r", asked.canvas)
        self._end(run, self._rules.replaced(run, plan.id))
        return None

    async def add_to_group(self, run: Run, canvas: Canvas[Any]) -> AsyncResult[Any]:
        """`ctx.add_to_group()`."""
        plan, addition = await store_addition(self._app, run, canvas)
        run.additions.append(addition)
        return result_of(self._app, plan, plan.end)

    def _revoked(self, run: Run) -> Settlement:
        if run.stamp_revoked:
            return self._drop(run)
        guarded = not run.acknowledged
        return Settlement(run.delivery, acknowledge=guarded, guarded=guarded, if_revoked=guarded)

    def _drop(self, run: Run) -> Settlement:
        return drop(self._app, run.delivery, run.message, self._now(), "its stamp was revoked")

    async def _hooks(self, run: Run, name: str, state: str, outcome: Any) -> None:
        task, id = run.task, run.delivery.id
        traceback = Failure.of(outcome).report() if isinstance(outcome, BaseException) else ""
        extra = () if name == "on_success" else (traceback,)
        try:
            if name in task.hooks:
                await _hook(getattr(task, name), outcome, id, run.args, run.kwargs, *extra)
            if "after_return" in task.hooks:
                await _hook(task.after_return, state, outcome, id, run.args, run.kwargs, traceback)
        except BaseException:  # also when it is cut off: the function has ended before it
            logger.exception("A hook of task %s[%s] failed; the task's end stands", task.name, id)

    def _end(self, run: Run, settlement: Settlement) -> None:
        """The run is over, and this is what it means."""
        if run.done:
            self._leave(run)
            return
        run.done = True
        if run.additions and (settlement.step is None or not settlement.step.additions):
            dropping = self._loop.create_task(drop_additions(self._app, run.additions))
            self._dropping.add(dropping)
            dropping.add_done_callback(self._dropping.discard)
        if run.ack is None:
            self._committer.add(settlement, self._settled)
        else:
            self._commit(run, settlement)
        self._leave(run, unsettled=True)

    def _leave(self, run: Run, *, unsettled: bool = False) -> None:
        """The run's place is free."""
        run.done = True
        # The context knows the run: without this the two would wait for the garbage collector.
        run.context = run.coroutine = run.job = None
        if run in self.stuck:
            self.stuck.discard(run)
            return
        self.running.discard(run)
        self.ended += 1
        if not unsettled:
            self.unsettled -= 1
        if self.waiting:
            self.start_ready()
        self.changed.set()

    def _settled(self, settlement: Settlement, verdict: Verdict) -> None:
        if verdict is Verdict.FENCED and settlement.guarded:
            logger.warning(
                "Task %s ended after its lease was lost: another worker has it, and this end counts for nothing",
                settlement.delivery.id,
            )
        self.unsettled -= 1
        self.changed.set()

    # What a task says while it runs

    async def _acknowledge(self, run: Run) -> Verdict:
        # One for all who ask; and a limit that ends the asking does not take it back.
        if run.ack is None:
            run.ack = self._loop.create_task(self._committer.settle(self._rules.early(run)))
        verdict = await asyncio.shield(run.ack)
        run.acknowledged = verdict is Verdict.APPLIED
        return verdict

    def _commit(self, run: Run, settlement: Settlement) -> None:
        """Settle the end: after the early acknowledgement, and as that went."""
        if run.ack is not None:
            if not run.ack.done():
                run.ack.add_done_callback(lambda _: self._commit(run, settlement))
                return
            if run.ack.cancelled() or run.ack.result() is not Verdict.APPLIED:
                self.unsettled -= 1  # another has it, or it was revoked
                self.changed.set()
                return
            settlement.acknowledge = settlement.guarded = False
        self._committer.add(settlement, self._settled)

    async def acknowledge(self, run: Run) -> None:
        """`ctx.ack()`.

        Raises:
            LeaseLost: another worker has the task.
        """
        verdict = await self._acknowledge(run)
        if verdict is Verdict.REVOKED:
            run.done = True
            raise TaskRevoked(f"Task {run.delivery.id} was revoked; this run counts for nothing.")
        if verdict is Verdict.FENCED:
            run.done = True
            raise LeaseLost(f"Task {run.delivery.id} belongs to another worker by now; this run counts for nothing.")

    async def report(self, run: Run, state: str, meta: Any) -> None:
        """`ctx.update_state()`."""
        if not run.done:
            await self._committer.settle(self._rules.news(run, state, meta))

    def _tell(self, run: Run, state: str, meta: Any) -> None:
        self._committer.add(self._rules.news(run, state, meta), lambda settlement, verdict: None)

    # Ending from outside

    def revoke(self, ids: tuple[str, ...], terminate: bool) -> None:
        """These tasks were revoked: those that wait are not started, those that run are cancelled if asked for."""
        wanted = set(ids)
        for queue in self._ready:
            for run in queue:
                if run.delivery.id in wanted:
                    run.delivery.revoked = True
        if terminate:
            for run in [run for run in self.running if run.delivery.id in wanted]:
                self.cancel(run, Ending.REVOKED)

    def revoke_stamps(self, stamps: Sequence[tuple[bytes, int]], terminate: bool) -> None:
        """These stamps were revoked."""
        self.stamps.set(stamps)
        if terminate:
            for run in [run for run in self.running if self.stamps.cover(run.message)]:
                run.stamp_revoked = True
                self.cancel(run, Ending.REVOKED)

    def cancel(self, run: Run, ending: Ending) -> None:
        """End a run; it is given up if it has not ended after a moment."""
        if run.done or run.ending is not None:
            return
        run.ending = ending
        # A thread's function is waited for while it cleans up; if it does not come back it is given up, and counted.
        if not (run.job is not None and run.job.interrupt(_ERRORS[ending])) and run.coroutine is not None:
            run.coroutine.cancel()
        self._deadlines.add(_GRACE, run, self._give_up)

    def cancel_all(self, ending: Ending) -> None:
        """End all runs."""
        for run in list(self.running):
            self.cancel(run, ending)

    async def until_settled(self) -> None:
        """Wait until all that has ended is settled, the ends that wait for their acknowledgement included."""
        while self.unsettled:
            self.changed.clear()
            await self.changed.wait()

    def close(self) -> None:
        """Nothing is run any more."""
        self._deadlines.close()
        self._threads.close()

    def _soften(self, run: Run) -> None:
        self._log(run, "has run for its soft limit of %g s", run.soft_time_limit)
        if run.job is not None:
            run.job.interrupt(SoftTimeLimitExceeded)
        elif run.coroutine is not None:
            run.soft_due = True
            run.coroutine.cancel()

    def _exceed(self, run: Run) -> None:
        run.soft_due = False
        self.cancel(run, Ending.TIME_LIMIT)

    def _give_up(self, run: Run) -> None:
        """It ignores its cancellation: its end is recorded without it, and it is left to itself."""
        logger.warning(
            "Task %s[%s] did not end when it was told to (%s); it is given up, and may run on unheard",
            run.task.name,
            run.delivery.id,
            run.ending.value if run.ending is not None else "",
        )
        self.stuck.add(run)
        self.running.discard(run)
        self.ended += 1
        run.done = True
        if run.ending in (Ending.TIME_LIMIT, Ending.REVOKED):
            settlement = self._revoked(run)
            if run.ending is Ending.TIME_LIMIT:
                try:
                    _, _, settlement = self._rules.error(run, self._too_long(run), self._now())
                except Exception as error:
                    settlement = self._rules.failure(run, error, self._now())
            self._commit(run, settlement)
        elif run.ack is not None:
            self._commit(run, self._rules.failure(run, _cut_off(run), self._now()))
        else:
            self.unsettled -= 1
        self.start_ready()
        self.changed.set()

    def _too_long(self, run: Run) -> TimeLimitExceeded:
        return TimeLimitExceeded(f"Task {run.task.name}[{run.delivery.id}] ran for more than {run.time_limit:g} s.")

    def _log(self, run: Run, text: str, *arguments: Any) -> None:
        logger.info("Task %s[%s] " + text, run.task.name, run.delivery.id, *arguments)


def _cut_off(run: Run) -> WorkerLost:
    """Nobody will run it again, so whoever waits for it has to hear of its end (D8)."""
    return WorkerLost(
        f"Task {run.task.name}[{run.delivery.id}] was cut off when its worker stopped. It had been acknowledged before "
        "its end, so it is not run again."
    )


def _each(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Call a function for each list of arguments; the last of `args` has them, after the context if it takes one."""
    *context, calls = args
    return [function(*context, *call, **kwargs) for call in calls]


async def _each_awaited(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    *context, calls = args
    return [await function(*context, *call, **kwargs) for call in calls]


class _RunnerLine(Line):
    """From a task to its runner."""

    def __init__(self, runner: Runner, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        self._runner = runner
        self._run = run
        self._loop = loop

    async def report(self, state: str, meta: Any) -> None:
        await self._runner.report(self._run, state, meta)

    async def acknowledge(self) -> None:
        await self._runner.acknowledge(self._run)

    async def add_to_group(self, canvas: Canvas[_T]) -> AsyncResult[_T]:
        return await self._runner.add_to_group(self._run, canvas)

    def perform(self, action: Coroutine[Any, Any, _T]) -> Awaitable[_T]:
        # Where the caller is decides, not what the task's function is: a plain one may return a coroutine, a coroutine
        # may go into a thread, and a thread may have an event loop of its own.
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            return Done(asyncio.run_coroutine_threadsafe(action, self._loop).result())
        if here is self._loop:
            return action
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(action, self._loop))


async def _hook(function: Callable[..., Any], *arguments: Any) -> None:
    result = function(*arguments)
    if inspect.isawaitable(result):
        await result
