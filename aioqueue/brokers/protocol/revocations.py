"""Ends that come from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aioqueue.workflow import UNTOLD, Told


class Revocations(Protocol):
    """Ending tasks before they have ended by themselves."""

    async def revoke(
        self, ids: Sequence[str], record: bytes, *, expires: int, terminate: bool, told: Told = UNTOLD
    ) -> list[bool]:
        """End tasks with `record`, unless they have ended. True: ended by this. What waits is removed at once or
        when a worker meets it; with `terminate` workers are asked to cancel what runs. What comes after them in their
        workflows ends as they are `told`; the node at the end of a workflow stands for the whole of it."""
        ...

    async def revoke_stamp(self, stamp: bytes, *, expires: int, terminate: bool) -> None:
        """Tell the workers to revoke what was sent until now with that stamp, when they meet it in the next so many
        ms; with `terminate` also what runs."""
        ...

    async def purge(self, queue: str, record: bytes = b"", *, expires: int = 0, told: Told = UNTOLD) -> int:
        """Drop what waits in a queue and is not running; returns how many. Its tasks end with `record`, and what comes
        after them in their workflows as they are `told`; without a record nothing is said of them."""
        ...


class Revoked(Protocol):
    """What a worker asks before it runs a task."""

    async def revoked(self, ids: Sequence[str]) -> list[bool]:
        """Which of these have been revoked."""
        ...

    async def stamps(self) -> list[tuple[bytes, int]]:
        """The stamps that were revoked, and when, ms since the epoch."""
        ...
