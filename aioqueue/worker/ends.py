"""Ends in which a task's function has no say: it was revoked, has expired, cannot be run, or its end cannot be applied.

Rules only: nothing here waits, sends or tells.
"""

from __future__ import annotations

from aioqueue.brokers.protocol import Delivery, Settlement
from aioqueue.exceptions import PayloadError, TimeLimitExceeded, WorkerLost
from aioqueue.message import Message, Record, State, decode_message
from aioqueue.payload.failure import Failure
from aioqueue.worker.outcome import BURIED, EXPIRED, REVOKED_BY_ID, REVOKED_BY_STAMP, Outcome
from aioqueue.worker.run import Run
from aioqueue.worker.settlements import Settlements
from aioqueue.worker.stamps import RevokedStamps
from aioqueue.workflow import WRECKED, FailedCall, failed_step, revoked_call


class Ends(Settlements):
    """How tasks end in one worker without a word of their own.

    Args:
        app: whose tasks they are.
        hostname: the name of the worker.
    """

    def revoked(self, delivery: Delivery, message: Message | None) -> Outcome:
        """It was revoked, as this worker has heard; what that means, the broker knows."""
        settlement = Settlement(delivery, if_revoked=True, early=delivery.acknowledged)
        return Outcome(State.REVOKED, None, settlement, message, REVOKED_BY_ID)

    def revoked_by_stamp(self, delivery: Delivery, message: Message, now: int) -> Outcome:
        """A stamp that it carries was revoked."""
        return self._dropped(delivery, message, now, REVOKED_BY_STAMP)

    def expired(self, delivery: Delivery, message: Message, now: int) -> Outcome:
        """Its time was over before it began."""
        return self._dropped(delivery, message, now, EXPIRED)

    def over_already(self, run: Run, stamps: RevokedStamps, now: int) -> Outcome | None:
        """How one ends that is not to be run any more, for what has happened since it was admitted."""
        delivery, message = run.delivery, run.message
        if delivery.revoked:
            return self.revoked(delivery, message)
        if message.stamps and stamps.cover(message):
            return self.revoked_by_stamp(delivery, message, now)
        if message.expires is not None and not delivery.acknowledged and message.expires <= now:
            return self.expired(delivery, message, now)
        return None

    def _dropped(self, delivery: Delivery, message: Message, now: int, why: str) -> Outcome:
        record = Record(state=State.REVOKED, task=message.task, reason=why, sent=message.sent, ended=now)
        settlement = self.of(delivery, message, record)
        if settlement.step is not None:
            failed_step(settlement.step, revoked_call(delivery.id, message.task, why), now=now)
        return Outcome(State.REVOKED, None, settlement, message, why)

    def buried(self, delivery: Delivery, message: Message | None, error: BaseException, now: int) -> Outcome:
        """It cannot be run: it goes to the dead letters as it came, and has failed."""
        failure = Failure.of(error)
        record = Record(state=State.FAILURE, failure=failure, reason=str(error), worker=self._hostname, dead=True)
        record.ended = now
        if message is not None:
            record.task, record.sent, record.retries = message.task, message.sent, message.retries
        settlement = self.of(delivery, message, record)
        if settlement.step is not None:
            failed_step(settlement.step, FailedCall(id=delivery.id, task=record.task, failure=failure), now=now)
        settlement.dead = self.letter(delivery, message, str(error), failure, now)
        return Outcome(BURIED, error, settlement, message, str(error))

    def refused(self, settlement: Settlement, now: int) -> Outcome | None:
        """What is settled instead of an end that the broker cannot apply: its message goes to the dead letters, and its
        task ends as failed. Its workflow hears of the failure; where even that cannot be, as the workflow itself is
        broken, all of it that can be ended ends; and at last nothing is said of it. None: nothing else can be tried."""
        delivery, before = settlement.delivery, settlement.step
        if settlement.dead is not None and before is None:
            return None
        message = readable(delivery)
        error = PayloadError(
            f"The broker could not apply the end of this task: {settlement.problem.rstrip('.')}. Its message was moved "
            "to the dead letters."
        )
        outcome = self.buried(delivery, message, error, now)
        told = outcome.settlement
        told.early = settlement.early
        if before is None:
            told.step = None
        elif told.step is not None and settlement.dead is not None:
            if before.state == WRECKED:
                told.step = None
            else:
                told.step.state = WRECKED
        return outcome


def readable(delivery: Delivery) -> Message | None:
    """The message of a delivery, if it can be read."""
    try:
        return decode_message(delivery.data)
    except Exception:  # whatever the bytes provoke
        return None


def too_long(run: Run) -> TimeLimitExceeded:
    """The error of one that was ended at its time limit."""
    return TimeLimitExceeded(f"Task {run.task.name}[{run.delivery.id}] ran for more than {run.time_limit:g} s.")


def cut_off(run: Run) -> WorkerLost:
    """The error of one whose worker stops. Nobody will run it again, so whoever waits for it has to hear of it (D8)."""
    return WorkerLost(
        f"Task {run.task.name}[{run.delivery.id}] was cut off when its worker stopped. It had been acknowledged before "
        "its end, so it is not run again."
    )


def lost(run: Run) -> WorkerLost:
    """The error of one that was acknowledged by a worker that is gone."""
    return WorkerLost(
        f"Task {run.task.name}[{run.delivery.id}] had been acknowledged before its end, and its worker died or was cut "
        "off from the broker before it had ended. It is not run again."
    )
