"""What a store has to do: know what is true of each message, and decide who runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aioqueue.brokers.pair.transport import Parcel
from aioqueue.brokers.protocol import Broker, Consumer, Delivery, WorkerStatus


class Claims(Consumer, Protocol):
    """What a worker has of the store: all of a consumer's, but that messages come by claims, and not by `fetch`.

    Whatever puts a message into a queue here (a settlement's sends, `hand_back`, `take_over`, `promote`) makes a ticket
    of it, which stands in the outbox until it is published.
    """

    async def claim(self, tickets: Sequence[int]) -> list[Delivery | None]:
        """What these stand for is this worker's from now on; the handle of each is its ticket. None: it has been
        claimed already, or is in no queue any more.

        Raises:
            LeaseLost: the lease is over.
        """
        ...


class Store(Broker, Protocol):
    """What a client has of the store: all of a broker's, and the outbox."""

    async def unpublished(self, limit: int) -> list[Parcel]:
        """The next tickets in the outbox, the oldest first."""
        ...

    async def published(self, tickets: Sequence[int]) -> None:
        """Take them out of the outbox."""
        ...

    def consumer(self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int) -> Claims:
        """What a worker has of it; `worker.id` is that of its incarnation."""
        ...
