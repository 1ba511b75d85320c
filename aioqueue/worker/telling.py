"""What the log says of an end, when it is decided; `afterwards.py` tells those who listen, when it is settled."""

from __future__ import annotations

from collections.abc import Callable
from logging import ERROR, INFO, WARNING
from typing import Any, Final

from aioqueue.brokers.protocol import Settlement, Verdict
from aioqueue.exceptions import Reject, Retry
from aioqueue.logs import log_with_fields
from aioqueue.message import State
from aioqueue.payload.failure import Failure
from aioqueue.wording import counted, span
from aioqueue.worker.fields import fields_of
from aioqueue.worker.outcome import BURIED, EXPIRED, IGNORED, REPLACED, REQUEUED, SUCCESS, Outcome
from aioqueue.worker.run import Run

# Of an exception's message, so much is in the first line; all of it is in the traceback.
_LONGEST: Final = 300
_KEPT: Final = "; kept in the dead letters"
# What a `Retry` says that was given nothing to say.
_ASKED: Final = "retry"


class Telling:
    """Tells of ends as they were decided.

    Args:
        now: the broker's clock, ms since the epoch.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now

    def tell(self, outcome: Outcome, run: Run | None) -> None:
        """Tell it to the log: once of each end, after it was decided and before it is settled. `run` is None if no run
        has come to it."""
        state, value = outcome.state, outcome.value
        if state is SUCCESS:
            if run is not None:
                self._succeeded(run)
            return
        seconds = max(0, self._now() - run.started) / 1000 if run is not None and run.started else None
        if state == State.FAILURE:
            self._failed(outcome, seconds)
        elif state == BURIED:
            self._say(ERROR, outcome, seconds, "failure", "goes to the dead letters: %s", outcome.why)
        elif state == State.RETRY:
            self._say(INFO, outcome, seconds, "retry", "is retried, %s, %s%s", *self._retry(outcome))
        elif state == State.REVOKED:
            word, how = ("expired", "expired") if outcome.why == EXPIRED else ("revoked", "was revoked")
            when = "before it started" if seconds is None else f"while it ran, after {_duration(seconds)}"
            self._say(INFO, outcome, seconds, word, "%s %s", how, when)
        elif state == REPLACED:
            self._say(INFO, outcome, seconds, "replaced", "was replaced by %r", value.canvas)
        elif state == REQUEUED:
            self._say(INFO, outcome, seconds, "requeued", "goes back to its queue, as it asked for: %s", value)
        elif state == IGNORED:
            self._say(INFO, outcome, seconds, "ignored", "is ignored, as it asked for: no result of it is kept")

    def _succeeded(self, run: Run) -> None:
        """As `_say`, without the way there: it is how most end."""
        seconds, id, name = max(0, self._now() - run.started) / 1000, run.delivery.id, run.message.task
        log_with_fields(
            INFO,
            "Task %s[%s] succeeded in %s",
            name,
            id,
            _duration(seconds),
            fields={
                "task_id": id,
                "task": name,
                "queue": run.delivery.queue,
                "attempt": run.message.retries + 1,
                "outcome": "success",
                "duration": seconds,
            },
        )

    def _failed(self, outcome: Outcome, seconds: float | None) -> None:
        value = outcome.value
        kept = _KEPT if outcome.settlement.dead is not None else ""
        if isinstance(value, Reject):
            self._say(ERROR, outcome, seconds, "failure", "was rejected: %s%s", _line(value.reason), kept)
            return
        failure = Failure.of(value)
        retries = outcome.message.retries if outcome.message is not None else 0
        how = f" after {counted(retries, 'retry', 'retries')}" if retries else ""
        if seconds is not None:
            how += f", {_duration(seconds)}" if how else f" in {_duration(seconds)}"
        self._say(
            ERROR,
            outcome,
            seconds,
            "failure",
            "failed%s: %s%s",
            how,
            _line(failure.summary),
            kept,
            error=value,
            traceback=failure.report(),
        )

    def _retry(self, outcome: Outcome) -> tuple[str, str, str]:
        """Which one it is, when it comes, and why."""
        value, (message,) = outcome.value, outcome.settlement.sends
        number = outcome.message.retries + 1 if outcome.message is not None else 1
        many = f"{number} so far" if outcome.limit is None else f"{number} of {outcome.limit}"
        delay = message.due - self._now() if message.due is not None else message.delay or 0
        why = _line(str(value) if isinstance(value, Retry) else Failure.of(value).summary)
        when = f"in {span(delay / 1000)}" if delay > 0 else "at once"
        return many, when, "" if why == _ASKED else f": {why}"

    def _say(
        self,
        level: int,
        outcome: Outcome,
        seconds: float | None,
        word: str,
        text: str,
        *arguments: Any,
        error: BaseException | None = None,
        traceback: str = "",
    ) -> None:
        delivery, message = outcome.settlement.delivery, outcome.message
        fields = fields_of(delivery, message)
        fields["outcome"] = word
        if seconds is not None:
            fields["duration"] = seconds
        name = message.task if message is not None else "?"
        log_with_fields(
            level, "Task %s[%s] " + text, name, delivery.id, *arguments, fields=fields, error=error, traceback=traceback
        )

    def void(self, settlement: Settlement, verdict: Verdict) -> None:
        """Tell of an end that counts for nothing, as the broker has it."""
        id, fields = settlement.delivery.id, fields_of(settlement.delivery, None)
        if verdict is Verdict.FENCED:
            log_with_fields(
                WARNING,
                "Task %s ended after its lease was lost: another worker has it, and this end counts for nothing",
                id,
                fields=fields,
            )
        elif verdict is Verdict.REFUSED:
            log_with_fields(
                ERROR,
                "The broker refuses the end of task %s: %s. Its message stays in the queue %r, and is delivered again "
                "when this worker stops.",
                id,
                settlement.problem,
                settlement.delivery.queue,
                fields=fields,
            )


def _duration(seconds: float | None) -> str:
    return span(seconds) if seconds else "<1 ms"  # whole ms are known


def _line(text: str) -> str:
    """The first line of a text, and not too much of it."""
    line = text.partition("\n")[0]
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
