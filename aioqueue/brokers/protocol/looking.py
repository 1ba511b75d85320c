"""Looking in, from outside and from a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aioqueue.brokers.protocol.statuses import Finding, Left, QueueStatus, StoredMessage, Whereabouts, WorkerStatus

UNUSED_FOR = 24 * 3600 * 1000
"""A queue that was not used for so many ms, and is empty, vanishes."""


class Looking(Protocol):
    """What there is in the queues, and who works on them."""

    async def queues(self) -> list[QueueStatus]:
        """All queues that have been used."""
        ...

    async def waiting(self, queue: str, *, limit: int) -> list[StoredMessage]:
        """What waits in a queue for a worker, in the order in which it will be taken; at most `limit`."""
        ...

    async def delayed(self, queue: str, *, limit: int) -> list[StoredMessage]:
        """What waits for its time to go into a queue, the earliest first; at most `limit`. May look at all that is."""
        ...

    async def holds(self, ids: Sequence[str]) -> list[bool]:
        """Which of these are tasks that wait, run, or wait for their time. Looks at all that is queued."""
        ...

    async def find(self, id: str) -> Whereabouts | None:
        """Where a task's message is: in a queue, with a worker, or waiting for its time. May look at all that there
        is."""
        ...

    async def idle(self) -> bool:
        """Whether nothing waits, runs, or waits for its time, in any queue: then no task goes on any more."""
        ...

    async def going_on(self, ids: Sequence[str]) -> list[bool]:
        """Which of these ids, which senders chose (`Outgoing.once`), are those of tasks that wait or run."""
        ...

    async def workers(self) -> list[WorkerStatus]:
        """All workers whose lease has not ended."""
        ...

    async def examine(self) -> list[Finding]:
        """How the broker itself is, its `warnings` included: whether it can lose something, is slow, refuses what we
        need, or holds what nobody will ever take. Changes nothing; may look at all that there is."""
        ...


class Upkeep(Protocol):
    """What a worker sees and tidies of its queues."""

    async def left(self) -> Left:
        """What is left in this worker's queues that it cannot fetch now. Looks at all that is delayed."""
        ...

    async def tidy(self) -> int:
        """Drop what is left of some queues that are empty, that no living worker consumes, and that were not used for a
        day; returns how many."""
        ...
