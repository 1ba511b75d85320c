"""What the end of a run means, as one outcome.

Rules only: nothing here waits, and nothing is sent but as a part of the settlement (D2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aioqueue.exceptions import (
    AioQueueError,
    ConfigurationError,
    Ignore,
    PayloadError,
    PayloadTooLarge,
    Reject,
    Replace,
    Retry,
    SoftTimeLimitExceeded,
)
from aioqueue.logs import logger
from aioqueue.message import Record, State, encode_record
from aioqueue.options import check_pickle, checked_retry, retry_refused
from aioqueue.payload.codec import encode
from aioqueue.payload.failure import Failure
from aioqueue.payload.plain import type_name
from aioqueue.payload.serializers import PICKLE
from aioqueue.worker.ends import Ends, cut_off, too_long
from aioqueue.worker.leaves import holds, is_retried
from aioqueue.worker.outcome import IGNORED, REPLACED, REQUEUED, SUCCESS, Outcome
from aioqueue.worker.retrying import brief, delay_of, limit_of, of_itself, used_up
from aioqueue.worker.run import Cut, Run
from aioqueue.worker.undone import COLLECTIONS, undone, undone_within
from aioqueue.workflow import WAITING, Step, failed_step, pack_value

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.task import Task

# Types of which nothing need be asked.
_PLAIN = frozenset((int, str, float, bool, bytes, dict, tuple))
# What is said of a success that nobody keeps.
_SUCCEEDED = encode_record(Record(state=State.SUCCESS))


class Rules(Ends):
    """How runs end in one worker.

    Args:
        app: whose tasks they are.
        hostname: the name of the worker.
        retry_now: retries don't wait; for tests.
        keeps_all: what is to be ignored is kept as well, where it can be.
    """

    def __init__(self, app: Core, hostname: str, *, retry_now: bool = False, keeps_all: bool = False) -> None:
        super().__init__(app, hostname)
        self._retry_now = retry_now
        self._keeps_all = keeps_all

    def returned(self, run: Run, value: Any, now: int) -> Outcome:
        """The function returned `value`."""
        context = run.context
        if context is not None and context.asked is not None:
            return self._unsaid(run, not_raised(run.task.name, context.asked), now)
        if value is not None and type(value) not in _PLAIN:
            if isinstance(value, Replace | Retry | Reject | Ignore):
                return self._unsaid(run, not_raised(run.task.name, value, returned=True), now)
            if (error := undone(run, value)) is not None:
                return self.failed(run, error, now)
        ignored = run.ignore_result and not self._keeps_all
        if ignored and not run.message.wanted:
            if type(value) in COLLECTIONS and (error := undone_within(run, value)) is not None:
                return self.failed(run, error, now)
            return Outcome(SUCCESS, value, self.unkept(run, _SUCCEEDED), run.message)
        result, content = None, "msgpack"
        if value is not None:
            settings, task = run.settings, run.task
            try:
                if task.parameters.result_doubt is not None:
                    for one in value if run.message.spread is not None else (value,):
                        task.parameters.check_result(one)
                serializer = task.serializer or settings.task_serializer
                if serializer == PICKLE:
                    check_pickle(serializer, settings.accept_content, "")
                result, content = encode(
                    value,
                    serializer=serializer,
                    compression=settings.result_compression or task.compression or settings.task_compression,
                    max_size=settings.max_payload_size,
                )
            except AioQueueError as error:
                if (never_run := undone_within(run, value)) is not None:
                    return self.failed(run, never_run, now)
                if run.ignore_result and not run.message.wanted:
                    return Outcome(SUCCESS, value, self.unkept(run, _SUCCEEDED), run.message)
                return self.failed(run, unsendable(run.task, value, error), now)
        step = self.step(run) if run.message.workflow is not None else None
        if step is not None and run.message.wanted:
            step.value = pack_value(result, content)
        if ignored:
            return Outcome(SUCCESS, value, self.unkept(run, _SUCCEEDED, step), run.message)
        record = encode_record(self.record(run, SUCCESS, now, result, content))
        return Outcome(SUCCESS, value, self.settlement(run, record, step), run.message)

    def raised(self, run: Run, error: BaseException, now: int) -> Outcome:
        """The function raised `error`, or a limit ended it."""
        if run.context is not None and (refused := run.context.refused) is not None and holds(error, refused):
            return self._spent(run, refused, now)
        if isinstance(error, Ignore):
            settlement = self.unkept(run, _SUCCEEDED)
            if settlement.step is not None:
                settlement.step.value = pack_value(None, "")
            return Outcome(IGNORED, error, settlement, run.message)
        if isinstance(error, Reject):
            if error.requeue:
                return Outcome(REQUEUED, error, self.again(run, run.message.retries, 0, None), run.message)
            return self.failed(run, error, now, dead=error.reason)
        asked = checked_retry(error) if isinstance(error, Retry) else None
        if asked is None:
            self._tell_unsaid(run, error)
            if isinstance(error, SoftTimeLimitExceeded) and not error.args:
                error.args = (f"soft_time_limit={run.soft_time_limit or 0:g} s",)
            if not is_retried(run.task, error):
                return self.failed(run, error, now)
            asked = of_itself(run, error)
        cause = asked.exc if asked is not None else error
        limit = asked.max_retries if asked is not None and asked.max_retries is not None else limit_of(run)
        retries = run.message.retries
        refused = retry_refused(run.task.name, run.delivery.id, retries=retries, limit=limit, cause=cause)
        if refused is not None:
            return self._spent(run, refused, now)
        delay, due = (None, None) if self._retry_now else delay_of(run, asked)
        settlement = self.again(run, retries + 1, delay, due, asked)
        if not run.ignore_result:
            record = self.record(run, State.RETRY)
            record.failure = Failure.of(cause or error)
            settlement.record = encode_record(record)
        return Outcome(State.RETRY, cause or error, settlement, run.message, limit=limit)

    def failed(self, run: Run, error: BaseException, now: int, *, dead: str | None = None) -> Outcome:
        """The task has failed for good; `dead` is the reason to put it among the dead letters, if there is another
        one than that its tries are used up, or that all its failures are to be kept."""
        settlement = self.settlement(run, None, self.step(run))
        dead = self._kept(run, error) if dead is None else dead
        if not run.ignore_result or run.task.keeps_errors or self._keeps_all:
            record = self.record(run, State.FAILURE, now)
            record.failure = Failure.of(error)
            record.dead, record.reason = dead is not None, dead
            settlement.record = encode_record(record)
        else:
            failed = Record(state=State.FAILURE, task=run.task.name, failure=Failure.of(error))
            settlement = self.unkept(run, encode_record(failed))
        if settlement.step is not None:
            failed_step(settlement.step, self.failed_call(run, error), now=now)
            settlement.step.additions = ()
        if dead is not None:
            settlement.dead = self.letter(run.delivery, run.message, dead, Failure.of(error), now)
        return Outcome(State.FAILURE, error, settlement, run.message, dead or "")

    def replaced(self, run: Run, error: Replace, graft: str) -> Outcome:
        """A stored workflow goes on in the place of the task."""
        step = self.step(run) or Step("", "")
        step.state, step.graft = WAITING, graft
        settlement = self.settlement(run, None, step, final=False)
        return Outcome(REPLACED, error, settlement, run.message)

    def cut(self, run: Run, how: Cut | None, now: int) -> Outcome | None:
        """It was ended from outside. None: nothing is said of it, for it is run again."""
        if how is Cut.REVOKED:
            return self.revoked(run.delivery, run.message)
        if how is Cut.REVOKED_BY_STAMP:
            return self.revoked_by_stamp(run.delivery, run.message, now)
        if how is Cut.TIME_LIMIT:
            return self.raised(run, too_long(run), now)
        return self.failed(run, cut_off(run), now) if run.ack is not None else None

    def last_resort(self, run: Run, error: BaseException, now: int) -> Outcome:
        """Something of ours has failed at its end."""
        try:
            return self.failed(run, error, now)
        except Exception:
            broken = AioQueueError(f"The end of this task could not be made: {type(error).__name__}.")
            buried = self.buried(run.delivery, run.message, broken, now)
            return msgspec.structs.replace(buried, state=State.FAILURE, value=error)

    def _spent(self, run: Run, error: BaseException, now: int) -> Outcome:
        """Its retries are used up."""
        retries = run.message.retries
        return self.failed(run, error, now, dead=used_up(retries, error) if retries else None)

    def _kept(self, run: Run, error: BaseException) -> str | None:
        """Why a failure is kept among the dead letters; None if it is not."""
        retries, limit = run.message.retries, limit_of(run)
        if retries and limit is not None and retries >= limit:
            return used_up(retries, error)
        if run.task.in_force("dead_letters_on_failure"):
            return f"failed: {brief(error)}"
        return None

    def _unsaid(self, run: Run, error: AioQueueError, now: int) -> Outcome:
        """What was made to be raised, and was not: nobody knows what was meant, so the call is kept."""
        return self.failed(run, error, now, dead=brief(error))

    def _tell_unsaid(self, run: Run, error: BaseException) -> None:
        """The same, but the function raised something else, which counts."""
        if run.context is not None and (asked := run.context.asked) is not None:
            word = _word(asked)
            note = f"Before that, ctx.{word}(...) was called and never raised: write raise ctx.{word}(...)."
            logger.warning("Task %s[%s] failed. %s", run.task.name, run.delivery.id, note)
            error.add_note(note)


def not_raised(name: str, value: BaseException, *, returned: bool = False) -> ConfigurationError:
    """The error of a task that made, or returned, what it was to raise: in Celery the call raises by itself."""
    word = _word(value)
    call = f"ctx.{word}(...)" if isinstance(value, Retry | Replace) else f"{word}(...)"
    how = f"returned what {call} gave" if returned else f"called {call} and did not raise what it gave"
    return ConfigurationError(
        f"{name} {how}, which does nothing: raise {call}. It ran, and is not run again; its message was moved to the "
        "dead letters."
    )


def _word(value: BaseException) -> str:
    return "replace" if isinstance(value, Replace) else "retry" if isinstance(value, Retry) else type(value).__name__


def unsendable(task: Task[..., Any], value: Any, error: AioQueueError) -> AioQueueError:
    """The error of a task whose result cannot be encoded."""
    kind = PayloadTooLarge if isinstance(error, PayloadTooLarge) else PayloadError
    return kind(
        f"The result of {task.name} is a {type_name(type(value))} and can't be sent: {str(error).rstrip('.')}. It ran, "
        "and is not run again. Return plain data, or set ignore_result=True."
    )
