"""A transport and a store, and those who die between the steps of one and the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from support.waiting import within

from aioqueue import AioQueue, chain, chord
from aioqueue.brokers import schemes
from aioqueue.brokers.address import Address
from aioqueue.brokers.protocol import Broker, Claim, ClaimVerdict, StoredSchedule, Verdict
from aioqueue.exceptions import BrokerUnavailable

from .conftest import MakeConsumer
from .halves import MemoryPair
from .steps import AN_HOUR, blocks, counts, end, fall, fetch, fetch_one, ids, message, send, send_and_fetch

NOTHING = (0, 0, 0)


@pytest_asyncio.fixture
async def broker() -> AsyncIterator[MemoryPair]:
    """An open pair."""
    broker = MemoryPair()
    await broker.open()
    yield broker
    await broker.close()


async def test_what_is_sent_while_the_transport_is_away_goes_out_later(
    broker: MemoryPair, consumer: MakeConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await consumer()
    broker.transport.away = True
    await send(broker, "task")
    assert await counts(broker) == (1, 0, 0)
    assert "the transport is away" in caplog.text
    with pytest.raises(BrokerUnavailable):
        await worker.fetch(1, wait=0)
    broker.transport.away = False
    assert await fetch(worker) == []
    await worker.take_over()
    assert (await fetch_one(worker)).id == "task"


async def test_a_sender_that_dies_before_it_publishes(broker: MemoryPair, consumer: MakeConsumer) -> None:
    worker = await consumer()
    await broker.half.send([message("task")], timeout=1)
    assert await fetch(worker) == []
    await worker.take_over()
    assert (await fetch_one(worker)).id == "task"


async def test_what_a_schedule_sends_goes_out_at_once(broker: MemoryPair, consumer: MakeConsumer) -> None:
    worker = await consumer()
    poll = StoredSchedule(name="poll", definition=b"", source="api", due=1, at=1)
    assert await broker.put_schedule(poll, replace=False)
    [stored], _ = await broker.due_schedules(10)
    about = {"next_due": None, "next_at": None, "messages": (message("task"),)}
    [claimed] = await broker.claim_schedules(
        [Claim(name="poll", revision=stored.revision, due=1, **about)], until=broker.now() + AN_HOUR
    )
    assert claimed.verdict is ClaimVerdict.SENT
    assert (await fetch_one(worker)).id == "task"


async def test_who_dies_before_it_has_noted_what_it_published(broker: MemoryPair, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    await broker.half.send([message("task")], timeout=1)
    await broker.transport.publish(await broker.half.unpublished(10))
    delivery = await fetch_one(worker)
    await other.take_over()
    assert await fetch(other) == [], "published again, and claimed once"
    assert await end(worker, delivery) is Verdict.APPLIED
    await broker.transport.publish(await broker.half.unpublished(10))
    assert await fetch(other) == []
    assert await counts(broker) == NOTHING


async def test_the_steps_of_an_end_in_their_order(
    broker: MemoryPair, consumer: MakeConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker: Any = await consumer()
    delivery = await send_and_fetch(broker, worker)
    steps: list[str] = []

    def noted(owner: Any, name: str) -> None:
        method = getattr(owner, name)

        async def note(*about: Any) -> Any:
            steps.append(name)
            return await method(*about)

        monkeypatch.setattr(owner, name, note)

    noted(worker._claims, "settle")
    noted(broker.transport, "publish")
    noted(worker._intake, "acknowledge")
    assert await end(worker, delivery, sends=[message("next")]) is Verdict.APPLIED
    assert steps == ["settle", "publish", "acknowledge"]


async def test_an_end_while_the_transport_is_away(broker: MemoryPair, consumer: MakeConsumer) -> None:
    """It is an end; what it sends goes out later, and the ticket that comes again is nobody's."""
    worker, other = await consumer(), await consumer()
    delivery = await send_and_fetch(broker, worker)
    broker.transport.away = True
    assert await end(worker, delivery, b"result", sends=[message("next")]) is Verdict.APPLIED
    assert await broker.records(["task"]) == [b"result"]
    broker.transport.away = False
    await worker.close()
    await other.take_over()
    assert ids(await fetch(other)) == ["next"]
    assert await counts(broker) == (0, 1, 0)


async def test_an_acknowledgement_that_nobody_heard(broker: MemoryPair, consumer: MakeConsumer) -> None:
    worker, other = await consumer(), await consumer()
    broker.transport.acknowledges = False
    assert await end(worker, await send_and_fetch(broker, worker)) is Verdict.APPLIED
    await worker.close()
    assert await fetch(other) == []
    assert await counts(broker) == NOTHING


async def test_a_ticket_that_comes_again_while_its_task_runs(broker: MemoryPair, consumer: MakeConsumer) -> None:
    """The connection of its worker broke, and the transport gave the ticket to another; the lease goes on."""
    worker, other = await consumer(), await consumer()
    delivery = await send_and_fetch(broker, worker)
    await worker.close()
    assert await fetch(other) == []
    assert await end(worker, delivery) is Verdict.APPLIED
    assert await counts(broker) == NOTHING


async def test_a_worker_that_falls_is_fenced_by_the_store(broker: MemoryPair, consumer: MakeConsumer) -> None:
    zombie, other = await consumer(), await consumer()
    old = await send_and_fetch(broker, zombie)
    await fall(broker, zombie, by=other)
    new = await fetch_one(other)
    assert (new.id, new.deliveries) == ("task", 2)
    assert await end(zombie, old, b"too late") is Verdict.FENCED
    assert await end(other, new) is Verdict.APPLIED
    assert await broker.records(["task"]) == [b"done"]


async def test_what_is_claimed_no_more_goes_back_to_the_transport(
    broker: MemoryPair, consumer: MakeConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker is stopped between a ticket and its claim: another one gets it, though the first one lives."""
    worker: Any = await consumer()
    other = await consumer()
    claim, stopped = worker._claims.claim, asyncio.Event()

    async def slow(tickets: list[int]) -> Any:
        if tickets:
            stopped.set()
            await asyncio.Event().wait()
        return await claim(tickets)

    monkeypatch.setattr(worker._claims, "claim", slow)
    fetching = asyncio.create_task(worker.fetch(1, wait=10))
    await blocks(fetching)
    await send(broker, "task")
    await within(stopped.wait())
    fetching.cancel()
    await asyncio.wait({fetching})
    assert (await fetch_one(other)).id == "task"


async def test_an_app_on_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    async def make(address: Address, stack: AsyncExitStack) -> Broker:
        return address.kept.setdefault("pair", MemoryPair())

    monkeypatch.setitem(schemes._OWN, "pair", make)
    app = AioQueue("shop", broker="pair://here")
    tries: list[int] = []

    @app.task
    async def double(x: int) -> int:
        return 2 * x

    @app.task
    async def total(of: list[int]) -> int:
        return sum(of)

    @app.task(max_retries=3, autoretry_for=(ValueError,), default_retry_delay=0)
    async def thrice() -> int:
        tries.append(len(tries))
        if len(tries) < 3:
            raise ValueError("once more")
        return len(tries)

    async with app, app.worker():
        assert await double.call(2, timeout=10) == 4
        assert await thrice.call(timeout=10) == 3
        result: Any = await chain(chord([double.s(n) for n in range(20)], total.s()), double.s()).send()
        assert await result.get(timeout=10) == 2 * sum(2 * n for n in range(20))
        assert await (await app.broker()).idle()
    assert tries == [0, 1, 2]


async def test_priorities_that_the_transport_does_not_tell_apart_are_told_once(
    broker: MemoryPair, caplog: pytest.LogCaptureFixture
) -> None:
    await send(broker, "a", "b")
    assert caplog.messages == [], "nobody uses them"
    await send(broker, message("urgent", priority=7))
    [told] = caplog.messages
    assert "priorities 0, 7, and a transport in memory tells 1 of them apart" in told
    await send(broker, message("another", priority=8))
    assert len(caplog.messages) == 1


async def test_priorities_that_it_tells_apart_are_not(
    broker: MemoryPair, consumer: MakeConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    broker.transport.priorities = 2
    worker = await consumer()
    delivery = await send_and_fetch(broker, worker)
    await end(worker, delivery, sends=[message("urgent", priority=7)])
    assert caplog.messages == []
    await send(broker, message("more so", priority=9))
    assert "tells 2 of them apart" in caplog.text
