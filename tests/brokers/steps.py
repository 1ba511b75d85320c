"""The steps that the tests are made of. Each wait has an end: nothing here sleeps and hopes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from support.waiting import A_MOMENT, PATIENCE

from aioqueue.brokers.protocol import (
    Broker,
    Connected,
    Consumer,
    Delivery,
    Lengths,
    Notice,
    Outgoing,
    QueueStatus,
    Settlement,
    Verdict,
    WorkerStatus,
)
from aioqueue.ids import new_id, short_id

N = TypeVar("N", bound=Notice)

VISIBILITY_TIMEOUT = 30.0
LEASE = int(VISIBILITY_TIMEOUT * 1000)
AN_HOUR = 3_600_000


def worker_status(name: str, *queues: str) -> WorkerStatus:
    """A new incarnation of a worker, that consumes `q` if nothing else is said."""
    return WorkerStatus(
        id=short_id(),
        name=f"{name}@here",
        host="here",
        pid=4711,
        queues=list(queues or ("q",)),
        concurrency=8,
        started=1_700_000_000_000,
    )


def message(
    id: str | None = None,
    *,
    queue: str = "q",
    priority: int = 0,
    data: bytes | None = None,
    due: int | None = None,
    delay: int | None = None,
) -> Outgoing:
    """A message, whose data is its id if nothing else is said."""
    id = id or new_id()
    return Outgoing(id, queue, priority, id.encode() if data is None else data, due, delay)


async def send(broker: Broker, *messages: Outgoing | str, max_length: Lengths | None = None) -> None:
    """Send messages, given as such or by their ids."""
    outgoing = [message(one) if isinstance(one, str) else one for one in messages]
    await broker.send(outgoing, timeout=PATIENCE, max_length=max_length)


async def fetch(consumer: Consumer, limit: int = 100) -> list[Delivery]:
    """What can be fetched now."""
    async with asyncio.timeout(PATIENCE):
        return await consumer.fetch(limit, wait=0)


async def fetch_one(consumer: Consumer) -> Delivery:
    """The one message that can be fetched now."""
    [delivery] = await fetch(consumer)
    return delivery


async def send_and_fetch(broker: Broker, consumer: Consumer, id: str = "task") -> Delivery:
    """A message that is lent to the consumer."""
    await send(broker, id)
    delivery = await fetch_one(consumer)
    assert delivery.id == id
    return delivery


async def settle(consumer: Consumer, delivery: Delivery, **what: Any) -> Verdict:
    """Settle one delivery."""
    [verdict] = await consumer.settle([Settlement(delivery, **what)])
    return verdict


async def end(consumer: Consumer, delivery: Delivery, record: bytes = b"done", **what: Any) -> Verdict:
    """Settle one delivery with a final record."""
    return await settle(consumer, delivery, record=record, final=True, expires=AN_HOUR, **what)


async def revoke(broker: Broker, *ids: str, record: bytes = b"revoked", terminate: bool = False) -> list[bool]:
    """Revoke tasks."""
    return await broker.revoke(ids, record, expires=AN_HOUR, terminate=terminate)


async def fall(broker: Broker, fallen: Consumer, by: Consumer) -> None:
    """Let a consumer's lease end, and another one notice it."""
    broker.shift_clock(LEASE + 1)
    assert await asyncio.to_thread(by.renew)
    await by.take_over()


async def status(broker: Broker, queue: str = "q") -> QueueStatus:
    """What is in a queue."""
    [found] = [one for one in await broker.queues() if one.name == queue]
    return found


async def counts(broker: Broker, queue: str = "q") -> tuple[int, int, int]:
    """How many messages of a queue wait, run, and wait for their time."""
    found = await status(broker, queue)
    return found.waiting, found.running, found.delayed


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    """The tasks' ids."""
    return [delivery.id for delivery in deliveries]


async def blocks(task: asyncio.Task[Any]) -> None:
    """Assert that a task waits for something."""
    await asyncio.wait({task}, timeout=A_MOMENT)
    assert not task.done(), "it should have waited"


class Heard:
    """The notices of one consumer, in the order in which they came."""

    def __init__(self, notices: AsyncIterator[Notice]) -> None:
        self._notices = notices

    async def next(self, kind: type[N]) -> N:
        """The next notice of a kind."""
        async with asyncio.timeout(PATIENCE):
            async for notice in self._notices:
                if isinstance(notice, kind):
                    return notice
        raise AssertionError("the notices ended")


@asynccontextmanager
async def listening(consumer: Consumer) -> AsyncIterator[Heard]:
    """A consumer's notices, from when it is connected."""
    notices = consumer.notices()
    heard = Heard(notices)
    try:
        await heard.next(Connected)
        yield heard
    finally:
        await notices.aclose()  # type: ignore[attr-defined]
