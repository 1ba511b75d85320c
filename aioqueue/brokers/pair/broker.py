"""What a client has of a pair."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aioqueue.brokers.pair.consumer import PairConsumer
from aioqueue.brokers.pair.relay import Relay
from aioqueue.brokers.pair.store import Store
from aioqueue.brokers.pair.transport import Transport
from aioqueue.brokers.passing import PassingBroker
from aioqueue.brokers.protocol import (
    Capabilities,
    Claim,
    Claimed,
    Lengths,
    Outgoing,
    WorkerStatus,
)
from aioqueue.workflow import UNTOLD, Part, Start, Told


class Pair(PassingBroker):
    """A transport and a store, as one broker. What is asked, the store answers; what puts messages into queues is
    published afterwards."""

    def __init__(self, transport: Transport, store: Store) -> None:
        super().__init__(store)
        self._transport = transport
        self._store = store
        self._relay = Relay(transport, store)

    # What it is

    @property
    def description(self) -> str:
        return f"{self._transport.description} with {self._store.description}"

    @property
    def capabilities(self) -> Capabilities:
        """Those of the store; but nothing comes before what is in the transport already."""
        return msgspec.structs.replace(
            self._store.capabilities, front=False, withdraws=False, priorities=self._transport.priorities
        )

    async def open(self) -> None:
        await self._store.open()
        await self._transport.open()

    async def close(self) -> None:
        await self._transport.close()
        await self._store.close()

    def consumer(
        self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int
    ) -> PairConsumer:
        claims = self._store.consumer(
            worker, visibility_timeout=visibility_timeout, dead_letters_max_length=dead_letters_max_length
        )
        return PairConsumer(claims, self._transport, worker.queues, self._relay)

    # Into the queues

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: Lengths | None = None) -> None:
        await super().send(messages, timeout=timeout, max_length=max_length)
        await self._relay.run()

    async def put_part(
        self, workflow: str, part: Part, start: Start | None, *, timeout: float, max_length: Lengths | None = None
    ) -> str:
        known = await super().put_part(workflow, part, start, timeout=timeout, max_length=max_length)
        await self._relay.run()
        return known

    async def resume(self, workflow: str, node: int | None = None) -> int:
        count = await super().resume(workflow, node)
        await self._relay.run()
        return count

    async def requeue_dead(self, message: Outgoing) -> bool:
        was_there = await super().requeue_dead(message)
        await self._relay.run()
        return was_there

    async def claim_schedules(
        self, claims: Sequence[Claim], *, until: int, max_length: Lengths | None = None
    ) -> list[Claimed]:
        claimed = await super().claim_schedules(claims, until=until, max_length=max_length)
        await self._relay.run()
        return claimed

    # Ends from outside, which may call error handlers

    async def revoke(
        self, ids: Sequence[str], record: bytes, *, expires: int, terminate: bool, told: Told = UNTOLD
    ) -> list[bool]:
        revoked = await super().revoke(ids, record, expires=expires, terminate=terminate, told=told)
        await self._relay.run()
        return revoked

    async def purge(self, queue: str, record: bytes = b"", *, expires: int = 0, told: Told = UNTOLD) -> int:
        dropped = await super().purge(queue, record, expires=expires, told=told)
        await self._relay.run()
        return dropped
