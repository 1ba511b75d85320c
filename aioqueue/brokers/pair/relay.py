"""From the outbox into the transport."""

from __future__ import annotations

from collections.abc import Sequence

from aioqueue.brokers.pair.store import Store
from aioqueue.brokers.pair.transport import Parcel, Transport
from aioqueue.exceptions import BrokerUnavailable
from aioqueue.logs import logger

_PAGE = 500
_USUAL = 0
"""The priority of those who say nothing of it."""


class Relay:
    """Publishes what stands in the outbox. Several may do so at once: what is published twice is claimed once."""

    def __init__(self, transport: Transport, store: Store) -> None:
        self._transport = transport
        self._store = store
        self._priorities = {_USUAL}
        self._is_told = False

    async def run(self) -> None:
        """Publish all that is there. What the transport does not take stays; it is written down, so nothing is lost by
        that: each worker tries again when it looks for what silent ones held."""
        try:
            while parcels := await self._store.unpublished(_PAGE):
                self._look_at_priorities(parcels)
                await self._transport.publish(parcels)
                await self._store.published([parcel.ticket for parcel in parcels])
        except BrokerUnavailable as error:
            logger.warning("What was sent stays in the outbox of %s for now: %s", self._store.description, error)

    def _look_at_priorities(self, parcels: Sequence[Parcel]) -> None:
        """Say once that there are more than the transport tells apart. Who uses none is not bothered."""
        if self._is_told:
            return
        self._priorities.update([parcel.priority for parcel in parcels])
        if len(self._priorities) > self._transport.priorities:
            self._is_told = True
            logger.warning(
                "Tasks are sent with the priorities %s, and %s tells %d of them apart: the others are delivered as if "
                "they had the same. What is urgent can have a queue and workers of its own.",
                ", ".join(map(str, sorted(self._priorities))),
                self._transport.description,
                self._transport.priorities,
            )
