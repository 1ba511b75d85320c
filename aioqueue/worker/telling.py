"""What the log says of an end, when it is decided; `afterwards.py` tells those who listen, when it is settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aioqueue.brokers.protocol import Settlement, Verdict
from aioqueue.logs import logger
from aioqueue.message import State
from aioqueue.payload.failure import Failure
from aioqueue.worker.outcome import BURIED, EXPIRED, REPLACED, SUCCESS, Outcome
from aioqueue.worker.run import Run


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
                self._say(20, outcome, "succeeded in %.3f s", (self._now() - run.started) / 1000)
        elif state == State.FAILURE:
            self._say(40, outcome, "failed: %s", Failure.of(value).report().rstrip())
        elif state == BURIED:
            self._say(40, outcome, "goes to the dead letters: %s", outcome.why)
        elif state == State.REVOKED:
            how = "expired" if outcome.why == EXPIRED else "was revoked"
            self._say(20, outcome, "%s %s", how, "while it ran" if run and run.started else "before it started")
        elif state == REPLACED:
            self._say(20, outcome, "was replaced by %r", value.canvas)
        else:
            how = "is retried" if state == State.RETRY else state.lower()
            self._say(20, outcome, "%s: %s", how, Failure.of(value).summary)

    def _say(self, level: int, outcome: Outcome, text: str, *arguments: Any) -> None:
        name = outcome.message.task if outcome.message is not None else "?"
        logger.log(level, "Task %s[%s] " + text, name, outcome.settlement.delivery.id, *arguments)

    def void(self, settlement: Settlement, verdict: Verdict) -> None:
        """Tell of an end that counts for nothing, as the broker has it."""
        id = settlement.delivery.id
        if verdict is Verdict.FENCED:
            logger.warning(
                "Task %s ended after its lease was lost: another worker has it, and this end counts for nothing", id
            )
        elif verdict is Verdict.REFUSED:
            logger.error(
                "The broker refuses the end of task %s: %s. Its message stays in the queue %r, and is delivered again "
                "when this worker stops.",
                id,
                settlement.problem,
                settlement.delivery.queue,
            )
