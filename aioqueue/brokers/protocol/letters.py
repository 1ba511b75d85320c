"""What could not be run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aioqueue.brokers.protocol.data import Outgoing
from aioqueue.brokers.protocol.statuses import StoredLetter


class DeadLetters(Protocol):
    """The dead letters: settlements write them."""

    async def dead_letters(self, *, limit: int, id: str | None = None) -> list[StoredLetter]:
        """The dead letters, newest first; or the one of that id."""
        ...

    async def requeue_dead(self, message: Outgoing) -> bool:
        """Put the dead letter of that id back into a queue, and drop its record. False: there is none.

        Raises:
            DuplicateTask: its sender chose its id, and by now it is that of another task. It stays.
        """
        ...

    async def remove_dead(self, ids: Sequence[str]) -> int:
        """Drop dead letters; returns how many there were."""
        ...
