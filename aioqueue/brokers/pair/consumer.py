"""What a worker has of a pair."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from time import monotonic
from typing import Any

from aioqueue.brokers.pair.intake import Intake, Tag
from aioqueue.brokers.pair.relay import Relay
from aioqueue.brokers.pair.store import Claims
from aioqueue.brokers.pair.transport import Transport
from aioqueue.brokers.passing import PassingConsumer
from aioqueue.brokers.protocol import Delivery, Portion, Settlement, Verdict
from aioqueue.exceptions import BrokerUnavailable


class PairConsumer(PassingConsumer):
    """Claims what the transport delivers, and acknowledges it when the store has its end."""

    def __init__(self, claims: Claims, transport: Transport, queues: Sequence[str], relay: Relay) -> None:
        super().__init__(claims)
        self._claims = claims
        self._intake = Intake(transport, queues)
        self._queues = queues
        self._relay = relay
        # What was delivered, by the handle of what was claimed for it.
        self._tags: dict[Any, Tag] = {}

    # Out of the queues, and back

    async def fetch(
        self, limit: int, *, wait: float, portions: Sequence[Portion] = (), but: Collection[str] = ()
    ) -> list[Delivery]:
        deadline = monotonic() + wait
        if but and not portions:
            portions = [Portion(queue, limit) for queue in self._queues if queue not in but]
        await self._claims.claim([])  # no lease, no messages: they are others' then
        if not portions:
            return await self._fill([], limit, None, deadline)
        found: list[Delivery] = []
        while True:
            for queue, most in portions:
                await self._fill(found, min(limit, len(found) + most), queue)
            left = deadline - monotonic()
            if found or left <= 0:
                return found
            # The first that comes may be one that is claimed no more: then the others have their turn, too.
            tickets = await self._intake.receive_first(dict.fromkeys(queue for queue, _ in portions), wait=left)
            found += await self._claim(tickets[:limit])
            self._intake.give_back(tag for _, tag in tickets[limit:])
            if found:
                return found

    async def _fill(
        self, found: list[Delivery], limit: int, queue: str | None, deadline: float = 0.0
    ) -> list[Delivery]:
        """Add what there is of a queue, or of all, until there are `limit`."""
        while len(found) < limit:
            left = 0.0 if found else max(0.0, deadline - monotonic())
            try:
                tickets = await self._intake.receive(limit - len(found), wait=left, queue=queue)
            except BrokerUnavailable:
                if not found:
                    raise
                break
            if not tickets:
                break
            found += await self._claim(tickets)
        return found

    async def _claim(self, tickets: Sequence[tuple[int, Tag]]) -> list[Delivery]:
        """What the store gives for tickets; those for which it gives nothing are over."""
        try:
            claimed = await self._claims.claim([number for number, _ in tickets])
        except BaseException:
            self._intake.give_back(tag for _, tag in tickets)
            raise
        found = [delivery for delivery in claimed if delivery is not None]
        over: list[Tag] = []
        for (_, tag), delivery in zip(tickets, claimed, strict=True):
            if delivery is None:
                over.append(tag)
            else:
                self._tags[delivery.handle] = tag
        await self._acknowledge(over)
        return found

    async def hand_back(self, held: Sequence[Delivery]) -> int:
        count = await self._claims.hand_back(held)
        kept = {delivery.handle for delivery in held}
        await self._put_back(handle for handle in list(self._tags) if handle not in kept)
        return count

    async def give_back(self, deliveries: Sequence[Delivery]) -> int:
        count = await self._claims.give_back(deliveries)
        await self._put_back(delivery.handle for delivery in deliveries)
        return count

    async def leave(self) -> int:
        count = await self._claims.leave()
        await self._put_back(list(self._tags))
        return count

    async def _put_back(self, handles: Iterable[Any]) -> None:
        """The store has made new tickets of these."""
        await self._relay.run()
        tags = [self._tags.pop(handle, None) for handle in handles]
        await self._acknowledge([tag for tag in tags if tag is not None])

    # Ends

    async def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        verdicts = await self._claims.settle(settlements)
        await self._relay.run()
        over = [
            self._tags.pop(settlement.delivery.handle, None)
            for settlement, verdict in zip(settlements, verdicts, strict=True)
            if _is_over(settlement, verdict)
        ]
        await self._acknowledge([tag for tag in over if tag is not None])
        return verdicts

    async def _acknowledge(self, tags: Sequence[Tag]) -> None:
        """Last of all. What the transport does not hear of it delivers again, and it is claimed no more."""
        if tags:
            try:
                await self._intake.acknowledge(tags)
            except BrokerUnavailable:
                pass

    # What waits for its time, and what silent workers held

    async def promote(self) -> float | None:
        seconds = await self._claims.promote()
        await self._relay.run()
        return seconds

    async def take_over(self) -> float:
        seconds = await self._claims.take_over()
        await self._relay.run()
        return seconds

    async def close(self) -> None:
        await self._intake.close()
        await self._claims.close()


def _is_over(settlement: Settlement, verdict: Verdict) -> bool:
    """Whether a delivery is this worker's no more."""
    if verdict is Verdict.FENCED:
        return True
    if verdict is Verdict.REVOKED:
        return settlement.acknowledge or settlement.early
    return verdict is Verdict.APPLIED and settlement.acknowledge
