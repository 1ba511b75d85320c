"""What a client and what a worker has of a broker, each the sum of its subjects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from aioqueue.brokers.protocol.asking import Answering, Asking
from aioqueue.brokers.protocol.capabilities import Capabilities
from aioqueue.brokers.protocol.delays import Delays
from aioqueue.brokers.protocol.events import Events
from aioqueue.brokers.protocol.fetching import Fetching
from aioqueue.brokers.protocol.leases import Leases
from aioqueue.brokers.protocol.letters import DeadLetters
from aioqueue.brokers.protocol.looking import Looking, Upkeep
from aioqueue.brokers.protocol.pausing import Paused, Pausing
from aioqueue.brokers.protocol.records import Records
from aioqueue.brokers.protocol.revocations import Revocations, Revoked
from aioqueue.brokers.protocol.schedules import Schedules
from aioqueue.brokers.protocol.sending import Sending
from aioqueue.brokers.protocol.settling import Settling
from aioqueue.brokers.protocol.statuses import WorkerStatus
from aioqueue.brokers.protocol.workflows import Inputs, Workflows


class Consumer(Fetching, Settling, Delays, Inputs, Revoked, Paused, Leases, Upkeep, Answering, Protocol):
    """What one worker has of the broker."""

    async def close(self) -> None:
        """Close the connections. What is still held goes to others when the lease ends."""
        ...


class Broker(
    Sending, Records, Workflows, Revocations, DeadLetters, Schedules, Pausing, Looking, Asking, Events, Protocol
):
    """What a client has of the broker."""

    @property
    def description(self) -> str:
        """What and where it is, for people; without passwords."""
        ...

    @property
    def version(self) -> str:
        """The program that keeps it, with its version, once it is open; "" where there is none."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can and cannot do."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What may go wrong with it, as was found when it was opened; sentences for people."""
        ...

    async def open(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """Disconnect. What was promised has been kept before."""
        ...

    def now(self) -> int:
        """The broker's clock, ms since the epoch."""
        ...

    def consumer(self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int) -> Consumer:
        """What a worker has of it; `worker.id` is that of its incarnation."""
        ...


@runtime_checkable
class TestableBroker(Broker, Protocol):
    """A broker in which tests have a hand: those of `aioqueue.testing` and of `tests/brokers/`."""

    def shift_clock(self, milliseconds: int) -> None:
        """Move the clock that decides what is due; only what goes through this object sees it."""
        ...

    async def postpone_leases(self, milliseconds: int) -> None:
        """Let the leases end later: when the clock is moved as much, the workers stay alive."""
        ...

    async def erase(self) -> None:
        """Drop everything that it holds."""
        ...
