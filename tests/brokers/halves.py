"""Two halves of a broker, in memory: a store that knows all and delivers nothing, and a transport that delivers and
knows nothing. The transport is as bad as one may be: it delivers each parcel twice, knows no priorities, and what it
gets back comes last."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import count

from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.memory.consumer import MemoryConsumer
from aioqueue.brokers.memory.queues import Entry, Queues
from aioqueue.brokers.memory.store import Store
from aioqueue.brokers.pair import Pair, Parcel, Ticket
from aioqueue.brokers.protocol import Delivery, WorkerStatus
from aioqueue.exceptions import BrokerUnavailable


class Tickets(Queues):
    """Queues from which messages are taken by their tickets, and an outbox."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox: dict[int, Parcel] = {}
        self._messages: dict[int, Entry] = {}

    def put(self, message: Entry, *, now: int, front: bool = False) -> None:
        super().put(message, now=now, front=front)
        self.outbox[message.handle] = Parcel(message.handle, message.queue, message.priority)
        self._messages[message.handle] = message

    def take_one(self, ticket: int) -> Entry | None:
        """Take out one message, if it is still there under that ticket."""
        message = self._messages.pop(ticket, None)
        if message is None or message.handle != ticket or message.queue not in self.by_name:
            return None
        queue = self[message.queue]
        lane = next((lane for lane in queue.lanes if any(one is message for one in lane)), None)
        if lane is None:
            return None
        lane.remove(message)
        queue.waiting -= 1
        queue.running += 1
        return message


class MemoryStore(MemoryBroker):
    """The store's half."""

    def __init__(self) -> None:
        super().__init__()
        self._store = Store()
        self.tickets = self._store.queues = Tickets()

    async def unpublished(self, limit: int) -> list[Parcel]:
        with self._store.lock:
            return list(self.tickets.outbox.values())[:limit]

    async def published(self, tickets: Sequence[int]) -> None:
        with self._store.lock:
            for ticket in tickets:
                self.tickets.outbox.pop(ticket, None)

    def consumer(
        self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int
    ) -> MemoryClaims:
        return MemoryClaims(
            self._store,
            worker,
            visibility_timeout=visibility_timeout,
            dead_letters_max_length=dead_letters_max_length,
        )


class MemoryClaims(MemoryConsumer):
    """What a worker has of it."""

    async def claim(self, tickets: Sequence[int]) -> list[Delivery | None]:
        self._require_lease()
        store = self._store
        with store.lock:
            messages = [store.queues.take_one(ticket) for ticket in tickets]
            deliveries = iter(store.deliver(self.id, [one for one in messages if one is not None]))
            return [None if one is None else next(deliveries) for one in messages]


class MemoryTransport:
    """The transport's half.

    Attributes:
        copies: how often each parcel is delivered.
        away: nobody answers.
        acknowledges: False: nobody hears of acknowledgements.
    """

    priorities = 1

    def __init__(self, copies: int = 2) -> None:
        self.copies = copies
        self.away = False
        self.acknowledges = True
        self.queues: defaultdict[str, deque[Parcel]] = defaultdict(deque)
        self.news = asyncio.Condition()

    @property
    def description(self) -> str:
        return "a transport in memory"

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to disconnect from."""

    async def publish(self, parcels: Sequence[Parcel]) -> None:
        self.require()
        for parcel in parcels:
            self.put(parcel, copies=self.copies)
        async with self.news:
            self.news.notify_all()

    def put(self, parcel: Parcel, copies: int = 1) -> None:
        self.queues[parcel.queue].extend([parcel] * copies)

    def require(self) -> None:
        if self.away:
            raise BrokerUnavailable("the transport is away")

    def reader(self, queues: Sequence[str]) -> MemoryReader:
        return MemoryReader(self, queues)


class MemoryReader:
    """What a worker has of it."""

    def __init__(self, transport: MemoryTransport, queues: Sequence[str]) -> None:
        self._transport = transport
        self._queues = queues
        self._out: dict[int, Parcel] = {}
        self._tags = count(1)

    async def receive(self, limit: int, *, wait: float) -> list[Ticket]:
        self._transport.require()
        async with self._transport.news:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait if wait > 0 else None):
                    while wait > 0 and not any(self._transport.queues[name] for name in self._queues):
                        await self._transport.news.wait()
        return self._take(limit)

    def _take(self, limit: int) -> list[Ticket]:
        taken: list[Ticket] = []
        for name in self._queues:
            waiting = self._transport.queues[name]
            while waiting and len(taken) < limit:
                parcel, tag = waiting.popleft(), next(self._tags)
                self._out[tag] = parcel
                taken.append(Ticket(parcel.ticket, tag))
        return taken

    async def acknowledge(self, tags: Sequence[int]) -> None:
        self._transport.require()
        if self._transport.acknowledges:
            for tag in tags:
                self._out.pop(tag, None)

    def give_back(self, tags: Sequence[int]) -> None:
        for tag in tags:
            self._transport.put(self._out.pop(tag))

    async def close(self) -> None:
        self.give_back(list(self._out))


class MemoryPair(Pair):
    """Both halves, with the hand that tests have in the store."""

    def __init__(self) -> None:
        self.transport = MemoryTransport()
        self.half = MemoryStore()
        super().__init__(self.transport, self.half)

    def shift_clock(self, milliseconds: int) -> None:
        self.half.shift_clock(milliseconds)

    async def postpone_leases(self, milliseconds: int) -> None:
        await self.half.postpone_leases(milliseconds)

    async def erase(self) -> None:
        await self.half.erase()
