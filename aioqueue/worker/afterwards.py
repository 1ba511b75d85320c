"""What is told of tasks beside their runs: that they were received, and what follows on an end once the broker has
applied it: the hooks of the task's class, then the signals.

An end that is fenced counts for nothing, and nobody is told of it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from aioqueue.around.calling import Handler, are_prompt, tell_now
from aioqueue.around.events import TaskEvent
from aioqueue.around.surroundings import Surroundings
from aioqueue.brokers.protocol import Verdict
from aioqueue.context import after_the_end, current
from aioqueue.exceptions import Reject
from aioqueue.hooks import ExceptionInfo
from aioqueue.logs import logger
from aioqueue.message import Message, State, headers_of
from aioqueue.payload.codec import decode_call
from aioqueue.payload.failure import Failure
from aioqueue.worker.beside import Beside, PlaceInLine
from aioqueue.worker.leaves import let_go
from aioqueue.worker.outcome import BURIED, IGNORED, REPLACED, REQUEUED, REVOKED_BY_ID, SUCCESS, Outcome
from aioqueue.worker.run import Run

if TYPE_CHECKING:
    from aioqueue.core import Core

_HOOKS: dict[str, str] = {State.SUCCESS: "on_success", State.FAILURE: "on_failure", State.RETRY: "on_retry"}
_MOMENTS: dict[str, str] = {
    State.SUCCESS: "task_success",
    State.FAILURE: "task_failure",
    State.RETRY: "task_retry",
    State.REVOKED: "task_revoked",
    BURIED: "task_failure",
    REQUEUED: "task_rejected",
}
# What the task's own state is then, where it is another word.
_STATES: dict[str, str | None] = {BURIED: State.FAILURE, REQUEUED: None, IGNORED: None, REPLACED: None}


class After(msgspec.Struct, eq=False):
    """An end of which somebody is to hear.

    Attributes:
        outcome: what it means.
        run: what has come to it, if anything has.
        runtime: for how long that ran, in seconds.
        context: the run's context variables.
        place: among the task's moments.
        is_prompt: all who hear of it take no time.
    """

    outcome: Outcome
    run: Run | None
    runtime: float | None
    context: contextvars.Context
    place: PlaceInLine
    is_prompt: bool = False


class Afterwards:
    """Tells of what is received, and of ends that are settled.

    Args:
        app: whose tasks they are.
        hostname: the name of the worker.
        beside: where it is told.
    """

    def __init__(self, app: Core, hostname: str, beside: Beside) -> None:
        self._app = app
        self._beside = beside
        self._hostname = hostname
        self._plain = contextvars.copy_context()

    def received(self, run: Run) -> None:
        """It is to be run; its run waits until those who listen were told."""
        message, delivery, signals = run.message, run.delivery, self._app.signals
        handlers = signals.of("task_received", message.task)
        if not handlers:
            return
        event = TaskEvent(
            name="task_received",
            task_id=delivery.id,
            task=message.task,
            args=run.args,
            kwargs=run.kwargs,
            headers=_headers(message),
            queue=delivery.queue,
            retries=message.retries,
            worker=self._hostname,
        )
        if are_prompt(handlers) and self._beside.before(delivery.id) is None:
            tell_now(handlers, event)
            return
        about = f"task_received of {message.task}[{delivery.id}]"
        within = self._app.conf.signal_timeout
        self._beside.add(
            self._beside.expect(delivery.id), lambda: signals.tell(event, message.task, within=within, about=about)
        )

    def of(self, outcome: Outcome, run: Run | None, now: int) -> After | None:
        """What is to be told when it is settled; None if nobody listens."""
        if run is None:
            if not self._app.signals.hears_ends:
                return None
            return After(outcome, None, None, contextvars.copy_context(), self._place(outcome))
        around: Surroundings | None = run.task.surroundings
        if around is None or not around.hears_ends:
            return None
        runtime = (now - run.started) / 1000 if run.started else None
        if around.is_prompt:
            return After(outcome, run, runtime, self._plain, self._place(outcome), is_prompt=True)
        context = contextvars.copy_context()
        if run.context is not None:
            context.run(current.set, after_the_end(run.context))
        return After(outcome, run, runtime, context, self._place(outcome))

    def _place(self, outcome: Outcome) -> PlaceInLine:
        # From now on: the broker may deliver a retry before it has answered that it is settled.
        return self._beside.expect(outcome.settlement.delivery.id)

    def settled(self, after: After, verdict: Verdict) -> asyncio.Future[None]:
        """This is what the broker made of it; gives what is done when all are told who are to be."""
        place = after.place
        if verdict is not Verdict.APPLIED and verdict is not Verdict.REVOKED:
            self._beside.drop(place)
        elif after.is_prompt and (place.before is None or place.before.done()):
            self._tell_now(after, verdict)
            self._beside.drop(place)
        else:
            self._beside.add(place, partial(self._tell, after, verdict), after.context)
        return place.over

    async def _tell(self, after: After, verdict: Verdict) -> None:
        """Call the hooks and handlers for what the broker made of an end; one after the other."""
        outcome, run, value = _applied(after.outcome, verdict), after.run, after.outcome.value
        try:
            traceback = Failure.of(value).report() if isinstance(value, BaseException) else ""
            if run is not None and run.task.surroundings is not None:
                await self._hooks(run, run.task.surroundings, outcome, traceback)
            for event, handlers in self._events(after, outcome, traceback):
                about = f"{event.name} of {event.task or '?'}[{event.task_id}]"
                for handler in handlers:
                    await handler.call(about, event, within=self._app.conf.signal_timeout)
        finally:
            if isinstance(value, BaseException) and outcome.state is not SUCCESS:
                let_go(value)

    def _tell_now(self, after: After, verdict: Verdict) -> None:
        """The same, where all who hear of it take no time."""
        outcome, value = _applied(after.outcome, verdict), after.outcome.value
        try:
            traceback = Failure.of(value).report() if isinstance(value, BaseException) else ""
            for event, handlers in self._events(after, outcome, traceback):
                tell_now(handlers, event)
        except Exception:  # of our own
            logger.exception("The end of task %s could not be told", after.place.id)
        finally:
            if isinstance(value, BaseException) and outcome.state is not SUCCESS:
                let_go(value)

    async def _hooks(self, run: Run, around: Surroundings, outcome: Outcome, traceback: str) -> None:
        state, value, id = outcome.state, outcome.value, run.delivery.id
        name = _HOOKS.get(state)
        if name is None:
            return
        about = f"{run.task.name}[{id}]"
        about_error = ExceptionInfo.of(value, traceback)
        how = (about_error,) if state != State.SUCCESS else ()
        if not (name == "on_failure" and isinstance(value, Reject)):  # it has no task_failure, either
            await around.call_hook(name, about, value, id, run.args, run.kwargs, *how)
        if state != State.RETRY:
            await around.call_hook("after_return", about, state, value, id, run.args, run.kwargs, about_error)

    def _events(self, after: After, outcome: Outcome, traceback: str) -> Iterator[tuple[TaskEvent, Sequence[Handler]]]:
        """What is told of an end, and who listens to it."""
        name = outcome.message.task if outcome.message is not None else ""
        for moment in _moments(outcome, after.run is not None):
            if handlers := self._app.signals.of(moment, name):
                yield self._event(moment, after, outcome, traceback), handlers

    def _event(self, moment: str, after: After, outcome: Outcome, traceback: str) -> TaskEvent:
        run, message, value, delivery = after.run, outcome.message, outcome.value, outcome.settlement.delivery
        if run is not None:
            args, kwargs = run.args, run.kwargs
        else:
            args, kwargs = _arguments(self._app, message)
        succeeded = outcome.state is SUCCESS
        return TaskEvent(
            name=moment,
            task_id=delivery.id,
            task=message.task if message is not None else "",
            args=args,
            kwargs=kwargs,
            headers=_headers(message),
            queue=delivery.queue,
            retries=message.retries if message is not None else 0,
            worker=self._hostname,
            state=_STATES.get(outcome.state, outcome.state),
            result=value if succeeded else None,
            exception=value if not succeeded and isinstance(value, BaseException) else None,
            traceback=traceback or None if not succeeded else None,
            runtime=after.runtime,
            reason=outcome.why or None,
        )


def _applied(outcome: Outcome, verdict: Verdict) -> Outcome:
    """The end as the broker has it."""
    if verdict is Verdict.REVOKED and outcome.state != State.REVOKED:
        return Outcome(State.REVOKED, None, outcome.settlement, outcome.message, REVOKED_BY_ID)
    return outcome


def _moments(outcome: Outcome, has_run: bool) -> list[str]:
    """The moments that an end is, in their order."""
    moments: list[str] = []
    if (moment := _MOMENTS.get(outcome.state)) is not None:
        moments.append("task_rejected" if isinstance(outcome.value, Reject) else moment)
    if outcome.settlement.dead is not None and outcome.state != State.REVOKED:
        moments.append("task_dead")
    if has_run:
        moments.append("task_postrun")
    return moments


def _arguments(app: Core, message: Message | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of what has not run, as far as they can be read."""
    if message is None:
        return (), {}
    try:
        return decode_call(message.body, message.content, app.conf.max_payload_size, app.accepts(message.content))
    except Exception:  # that may be why it has not run
        return (), {}


def _headers(message: Message | None) -> dict[str, Any]:
    try:
        return headers_of(message) if message is not None else {}
    except Exception:
        return {}
