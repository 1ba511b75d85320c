"""What an end means: decided once, told once, and settled as it was decided."""

from __future__ import annotations

from typing import Any, Final, final

import msgspec

from aioqueue.brokers.protocol import Settlement
from aioqueue.message import Message, State

# By a name of its own, for each end asks for it: to look up a member of an enum takes longer.
SUCCESS: Final = State.SUCCESS
IGNORED, REQUEUED, REPLACED, BURIED = "IGNORED", "REQUEUED", "REPLACED", "BURIED"
EXPIRED, REVOKED_BY_ID, REVOKED_BY_STAMP = "expired", "revoked", "its stamp was revoked"


@final
class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What an end means, of a run and of what is not even run.

    Attributes:
        state: the task's, SUCCESS, FAILURE, RETRY or REVOKED; or IGNORED, REQUEUED, REPLACED; or BURIED: it failed
            without being run, or its end could not be applied.
        value: what it returned when it succeeded, else the exception, if there is one.
        settlement: what is recorded of it, and how it is acknowledged; a dead letter among it if one is kept.
        message: whose end it is; None if it cannot be read.
        why: the reason, where it is not the error alone: of a revocation, of a dead letter.
        limit: how often it is retried at most, of one that is; None is without end.
    """

    state: str
    value: Any
    settlement: Settlement
    message: Message | None
    why: str = ""
    limit: int | None = None
