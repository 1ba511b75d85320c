"""Out of the queues, and back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from aioqueue.brokers.protocol.data import Delivery


class Portion(NamedTuple):
    """What a worker wants of one of its queues next.

    Attributes:
        queue: its name.
        most: how many messages at most, 1 or more.
    """

    queue: str
    most: int


class Fetching(Protocol):
    """What a worker takes out of its queues, and what it gives back."""

    async def fetch(
        self, limit: int, *, wait: float, portions: Sequence[Portion] = (), but: Collection[str] = ()
    ) -> list[Delivery]:
        """Up to `limit` messages; waits up to `wait` seconds for the first one.

        Args:
            portions: what is wanted of each queue, in this order, higher priorities first within each; a queue that is
                named twice has its second turn then, and one that is not named has none. By default higher priorities
                come first across all of the worker's queues, and queues take turns.
            but: where no portions are given, nothing is wanted of these queues; there has to be another one.

        Raises:
            LeaseLost: the lease is over; what was delivered before belongs to others.
        """
        ...

    async def hand_back(self, held: Sequence[Delivery]) -> int:
        """Hand back to the queues' front what is lent to this worker but not among `held`; returns how many."""
        ...

    async def give_back(self, deliveries: Sequence[Delivery]) -> int:
        """Hand back these to their queues' front; returns how many this worker still had."""
        ...

    def withdraw(self, held: Sequence[Delivery]) -> int:
        """The same from the thread that renews, while the event loop stands still. However late it reaches the broker,
        it hands back nothing that was lent after it was asked."""
        ...

    async def queued(self, ids: Sequence[str], queue: str | None = None) -> list[bool]:
        """Which of these tasks wait in the worker's queues, or in one of them, where no worker has them; an id that
        ends with a dot stands for all tasks of a workflow. In a long queue only the newest ones are looked at."""
        ...
