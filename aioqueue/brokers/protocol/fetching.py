"""Out of the queues, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aioqueue.brokers.protocol.data import Delivery


class Fetching(Protocol):
    """What a worker takes out of its queues, and what it gives back."""

    async def fetch(self, limit: int, *, wait: float) -> list[Delivery]:
        """Up to `limit` messages, higher priorities first; waits up to `wait` seconds for the first one.

        Raises:
            LeaseLost: the lease is over; what was delivered before belongs to others.
        """
        ...

    async def hand_back(self, held: Sequence[Delivery]) -> int:
        """Hand back to the queues' front what is lent to this worker but not among `held`; returns how many."""
        ...

    async def queued(self, ids: Sequence[str]) -> list[bool]:
        """Which of these tasks wait in the worker's queues, where no worker has them; an id that ends with a dot stands
        for all tasks of a workflow. In a long queue only the newest ones are looked at."""
        ...
