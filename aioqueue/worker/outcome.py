"""The last step of a task's life: what its end means, as one settlement.

Rules only: nothing here waits, and nothing is sent but as a part of the settlement (D2).
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from aioqueue.brokers.protocol import UNKEPT, Outgoing, Settlement
from aioqueue.exceptions import (
    AioQueueError,
    ConfigurationError,
    Ignore,
    MaxRetriesExceeded,
    PayloadError,
    PayloadTooLarge,
    Reject,
    Replace,
    Retry,
)
from aioqueue.message import Record, State, encode_message, encode_record
from aioqueue.options import check_seconds, milliseconds
from aioqueue.payload.codec import encode
from aioqueue.payload.failure import Failure
from aioqueue.payload.plain import type_name
from aioqueue.worker.admission import dead_letter, keep_for, step_of
from aioqueue.worker.arguments import arguments_text
from aioqueue.worker.run import Run
from aioqueue.workflow import WAITING, FailedCall, Step, failed_step, pack_value

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.task import Task


class Rules:
    """How runs end in one worker.

    Args:
        app: whose tasks they are.
        hostname: the name of the worker.
        retry_now: retries don't wait; for tests.
    """

    def __init__(self, app: AioQueue, hostname: str, *, retry_now: bool = False) -> None:
        self._app = app
        self._hostname = hostname
        self._retry_now = retry_now
        self._keep = keep_for(app)
        self._hidden = frozenset(word.lower() for word in app.conf.hidden_arguments)

    def success(self, run: Run, value: Any, now: int) -> Settlement:
        """The function returned `value`."""
        settlement = self._settlement(run)
        settlement.final = True
        step = settlement.step
        if run.ignore_result and (step is None or not run.message.wanted):
            return self._unkept(run, Record(state=State.SUCCESS))
        record = self._record(run, State.SUCCESS)
        record.ended = now
        if value is not None:
            conf, task = self._app.conf, run.task
            try:
                record.result, record.content = encode(
                    value,
                    serializer=task.serializer or conf.task_serializer,
                    compression=task.compression or conf.task_compression,
                    max_size=conf.max_payload_size,
                )
            except AioQueueError as error:
                return self.failure(run, _unsendable(run.task, value, error), now)
        if step is not None and run.message.wanted:
            step.value = pack_value(record.result, record.content)
        if run.ignore_result:
            return self._unkept(run, Record(state=State.SUCCESS), step)
        settlement.record = encode_record(record)
        return settlement

    def error(self, run: Run, error: BaseException, now: int) -> tuple[str, BaseException, Settlement]:
        """The function raised; returns the state that follows, what went wrong, and the settlement."""
        if isinstance(error, Ignore):
            settlement = self._unkept(run, Record(state=State.SUCCESS))
            if settlement.step is not None:
                settlement.step.value = pack_value(None, "")
            return "IGNORED", error, settlement
        if isinstance(error, Reject):
            if error.requeue:
                return "REQUEUED", error, self._again(run, run.message.retries, 0, None)
            return State.FAILURE, error, self.failure(run, error, now, dead=error.reason)
        asked = error if isinstance(error, Retry) else None
        if asked is None and not self._is_retried(run.task, error):
            return State.FAILURE, error, self.failure(run, error, now)
        cause = asked.exc if asked is not None else error
        limit = run.context.max_retries if run.context is not None else run.task.retry_limit
        if asked is not None and asked.max_retries is not None:
            limit = asked.max_retries
        if limit is not None and run.message.retries >= limit:
            return self._exhausted(run, cause, limit, now)
        delay, due = self._delay(run, asked)
        settlement = self._again(
            run, run.message.retries + 1, delay, due, max_retries=asked.max_retries if asked is not None else None
        )
        if not run.ignore_result:
            record = self._record(run, State.RETRY)
            record.failure = Failure.of(cause or error)
            settlement.record = encode_record(record)
        return State.RETRY, cause or error, settlement

    def failure(self, run: Run, error: BaseException, now: int, *, dead: str | None = None) -> Settlement:
        """The task has failed for good; `dead` is the reason to put it among the dead letters."""
        settlement = self._settlement(run)
        settlement.final = True
        task, conf = run.task, self._app.conf
        store = task.store_errors_even_if_ignored
        if not run.ignore_result or (conf.task_store_errors_even_if_ignored if store is None else store):
            record = self._record(run, State.FAILURE)
            record.ended = now
            record.failure = Failure.of(error)
            record.dead, record.reason = dead is not None, dead
            settlement.record = encode_record(record)
        else:
            settlement = self._unkept(run, Record(state=State.FAILURE, task=run.task.name, failure=Failure.of(error)))
        if settlement.step is not None:
            failed_step(settlement.step, self._failed_call(run, error), now=now)
            settlement.step.additions = ()
        if dead is not None:
            settlement.dead = dead_letter(run.delivery, run.message, dead, Failure.of(error), now, self._hostname)
        return settlement

    def news(self, run: Run, state: str, meta: Any) -> Settlement:
        """The task goes on, and says how it is.

        Raises:
            PayloadError: `meta` cannot be sent.
        """
        record = self._record(run, state)
        record.meta = meta
        try:
            data = encode_record(record)
        except Exception as error:
            raise PayloadError(
                f"The meta of {run.task.name} cannot be sent ({error}): use numbers, text, and lists or dicts of them."
            ) from None
        return Settlement(
            run.delivery, acknowledge=False, guarded=not run.acknowledged, record=data, expires=self._keep
        )

    def early(self, run: Run) -> Settlement:
        """The message is acknowledged before the end."""
        return Settlement(run.delivery)

    def _settlement(self, run: Run) -> Settlement:
        step = step_of(run.delivery, run.message) if run.message.workflow is not None else None
        if step is not None and run.additions:
            step.additions = run.additions
        return Settlement(
            run.delivery, acknowledge=not run.acknowledged, guarded=not run.acknowledged, expires=self._keep, step=step
        )

    def replaced(self, run: Run, graft: str) -> Settlement:
        """A stored workflow goes on in the place of the task."""
        settlement = self._settlement(run)
        step = settlement.step or Step("", "")
        step.state, step.graft = WAITING, graft
        settlement.step = step
        return settlement

    def _failed_call(self, run: Run, error: BaseException) -> FailedCall:
        """The failed task, as its error handlers are to see it."""
        call = FailedCall(
            id=run.delivery.id, task=run.task.name, failure=Failure.of(error), retries=run.message.retries
        )
        try:
            call.body, call.content = encode((run.args, run.kwargs), max_size=self._app.conf.max_payload_size)
        except AioQueueError:  # such as what a thread of the task's own has put into them
            pass
        return call

    def _unkept(self, run: Run, record: Record, step: Step | None = None) -> Settlement:
        """The settlement of an end of which no record is kept: those who wait for it by its id hear of it (D8)."""
        settlement = self._settlement(run)
        if step is not None:
            settlement.step = step
        settlement.record, settlement.final, settlement.expires = encode_record(record), True, UNKEPT
        return settlement

    def _record(self, run: Run, state: str) -> Record:
        message = run.message
        record = Record(
            state=state,
            task=message.task,
            retries=message.retries,
            worker=self._hostname,
            sent=message.sent,
            started=run.started,
        )
        record.spread = run.message.spread is not None
        if run.args or run.kwargs:
            names = run.task.parameters.positional_names
            record.arguments = arguments_text(run.args, run.kwargs, names, self._hidden)
        if run.context is not None and run.context.children:
            record.children = run.context.children
        if message.root_id is not None:
            record.parent_id, record.root_id = message.parent_id, message.root_id
        if message.group_id is not None:
            record.group_id = message.group_id
        return record

    def _again(
        self, run: Run, retries: int, delay: int | None, due: int | None, max_retries: int | None = None
    ) -> Settlement:
        """The settlement that puts the message back into its queue, now or for later."""
        message = run.message
        before = message.retries, message.eta, message.max_retries
        message.retries, message.eta = retries, due
        if max_retries is not None:
            message.max_retries = max_retries
        data = encode_message(message)
        message.retries, message.eta, message.max_retries = before
        settlement = self._settlement(run)
        settlement.step = None  # it goes on
        settlement.sends = (
            Outgoing(run.delivery.id, run.delivery.queue, min(9, max(0, message.priority)), data, due, delay or None),
        )
        return settlement

    def _is_retried(self, task: Task[..., Any], error: BaseException) -> bool:
        return (
            bool(task.autoretry_for)
            and isinstance(error, task.autoretry_for)
            and not isinstance(error, task.dont_autoretry_for)
        )

    def _exhausted(
        self, run: Run, cause: BaseException | None, limit: int, now: int
    ) -> tuple[str, BaseException, Settlement]:
        error = cause or MaxRetriesExceeded(f"{run.task.name}[{run.delivery.id}] was retried {limit} times, its limit.")
        retries = run.message.retries
        dead = f"failed after {retries} retries: {_brief(error)}" if retries else None
        return State.FAILURE, error, self.failure(run, error, now, dead=dead)

    def _delay(self, run: Run, asked: Retry | None) -> tuple[int | None, int | None]:
        """ms to wait, or when to run again."""
        if self._retry_now:
            return None, None
        if asked is not None and asked.eta is not None:
            return None, milliseconds(asked.eta)
        if asked is not None and asked.countdown is not None:
            return round(max(0.0, check_seconds("countdown", asked.countdown)) * 1000), None
        return round(backoff(run.task, run.message.retries) * 1000), None


def backoff(task: Task[..., Any], retries: int) -> float:
    """Seconds before the next retry of a task that has been retried `retries` times.

    Exponential with full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    if not task.retry_backoff:
        delay = task.default_retry_delay
        return task.app.conf.task_default_retry_delay if delay is None else delay
    longest = min(float(task.retry_backoff_max), float(task.retry_backoff) * 2.0 ** min(retries, 63))
    return random.uniform(0, longest) if task.retry_jitter else longest


def not_raised(name: str, value: Replace | Retry) -> ConfigurationError:
    """The error of a task that returned what it was to raise, as one does in Celery."""
    word = "replace" if isinstance(value, Replace) else "retry"
    return ConfigurationError(
        f"{name} returned what ctx.{word}(...) gave, which does nothing: raise ctx.{word}(...). It ran, and is not "
        "run again."
    )


def _unsendable(task: Task[..., Any], value: Any, error: AioQueueError) -> AioQueueError:
    kind = PayloadTooLarge if isinstance(error, PayloadTooLarge) else PayloadError
    return kind(
        f"The result of {task.name} is a {type_name(type(value))} and can't be sent: {str(error).rstrip('.')}. It ran, "
        "and is not run again. Return plain data, or set ignore_result=True."
    )


def _brief(error: BaseException) -> str:
    failure = Failure.of(error)
    return failure.summary.splitlines()[0][:200] if failure.summary else failure.name
