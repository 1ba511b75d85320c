"""What is sent and settled goes in shares that are bounded by their weight, too."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from support.apps import is_empty, working
from support.waiting import until

from aioqueue import AioQueue, chain
from aioqueue.brokers import shares as shares_module
from aioqueue.brokers.protocol import Outgoing, Settlement
from aioqueue.brokers.redis import outbox
from aioqueue.brokers.redis.settler import Settler
from aioqueue.exceptions import AioQueueError, BrokerUnavailable, PayloadError

MOST = 10_000
HEAVY = b"x" * 3_000


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares are small, and so is what is held ready."""
    monkeypatch.setattr(shares_module, "MOST_BYTES", MOST)
    monkeypatch.setattr(outbox, "MOST_BYTES", MOST)
    monkeypatch.setattr("aioqueue.dispatch._MOST_HELD", 2 * MOST)


class Sends:
    """The calls of a broker's `send`."""

    def __init__(
        self, broker: Any, monkeypatch: pytest.MonkeyPatch, *, fails_at: int = 0, reaches: bool = True
    ) -> None:
        self.shares: list[tuple[int, int]] = []
        send = broker.send

        async def counted(messages: Sequence[Outgoing], **options: Any) -> None:
            self.shares.append((len(messages), sum(len(message.data) for message in messages)))
            if len(self.shares) == fails_at:
                raise BrokerUnavailable("No answer. Nothing was sent.")
            if reaches:
                await send(messages, **options)

        monkeypatch.setattr(broker, "send", counted)


@pytest.fixture
def size(app: AioQueue) -> Any:
    @app.task(name="size")
    async def size(data: bytes) -> int:
        return len(data)

    return size


async def test_what_is_heavy_goes_in_several_shares(app: AioQueue, size: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with working(app):
        sends = Sends(await app.broker(), monkeypatch)
        heavy = [size.s(HEAVY) for _ in range(30)]
        results = await app.send_many([*heavy, size.s(b"y" * 3 * MOST), *(size.s(b"") for _ in range(20))])
        assert [count for count, _ in sends.shares] == [3] * 10 + [1, 20]
        assert all(weight <= MOST or count == 1 for count, weight in sends.shares)
        assert [await one.get(timeout=10) for one in results] == [len(HEAVY)] * 30 + [3 * MOST] + [0] * 20


async def test_what_is_light_goes_by_the_thousand(app: AioQueue, size: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares_module, "MOST_BYTES", 4 * 1024 * 1024)
    async with app:
        sends = Sends(await app.broker(), monkeypatch)
        await app.send_many(size.s(b"") for _ in range(2500))
    assert [count for count, _ in sends.shares] == [1000, 1000, 500]


async def test_the_error_says_what_was_sent_before_it(
    app: AioQueue, size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app:
        Sends(await app.broker(), monkeypatch, fails_at=3)
        with pytest.raises(BrokerUnavailable) as raised:
            await app.send_many(size.s(HEAVY) for _ in range(30))
        assert len(raised.value.sent) == 6
        assert "The first 6 of the 30 tasks" in str(raised.value)
        assert "Nothing was sent" not in str(raised.value)
        async with app.worker(queues=["default"]):
            for id in raised.value.sent:
                assert await app.result(id).get(timeout=10) == len(HEAVY)
            assert await until(lambda: is_empty(app))


async def test_the_error_of_the_first_one_says_that_nothing_was(
    app: AioQueue, size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app:
        Sends(await app.broker(), monkeypatch, fails_at=1)
        with pytest.raises(BrokerUnavailable, match=r"Nothing was sent\.$") as raised:
            await app.send_many(size.s(HEAVY) for _ in range(30))
        assert raised.value.sent == ()


async def test_a_wrong_one_is_found_before_any_is_sent(
    app: AioQueue, size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app:
        sends = Sends(await app.broker(), monkeypatch)
        with pytest.raises(PayloadError):
            await app.send_many([*(size.s(HEAVY) for _ in range(30)), size.s(object())])
        assert not sends.shares


async def test_canvases_that_were_sent_before_the_error_are_named(
    app: AioQueue, size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app:
        with pytest.raises(AioQueueError) as raised:
            await app.send_many([chain(size.s(HEAVY)), size.s(HEAVY), chain()])
        assert len(raised.value.sent) == 2
        assert await app.result(raised.value.sent[1]).state() == "PENDING"


async def test_the_sender_holds_no_more_than_a_share(app: AioQueue, size: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"x" * 100_000
    async with app:
        Sends(await app.broker(), monkeypatch, reaches=False)
        await app.send_many([size.s(data)])
        tracemalloc.start()
        try:
            await app.send_many(size.s(data) for _ in range(100))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 20 * len(data)


async def test_many_heavy_senders_share_requests_by_weight(
    app: AioQueue, size: Any, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broker_url.startswith("memory"):
        pytest.skip("it has no requests")
    requests: list[int] = []
    make = outbox.Outbox._request

    def counted(self: outbox.Outbox, parcels: Any) -> Any:
        request = make(self, parcels)
        requests.append(sum(len(one) for one in request.arguments if isinstance(one, bytes)))
        return request

    monkeypatch.setattr(outbox.Outbox, "_request", counted)
    async with working(app):
        results = await asyncio.gather(*[size.send(HEAVY) for _ in range(30)])
        assert [await one.get(timeout=10) for one in results] == [len(HEAVY)] * 30
    assert max(requests) < 1.5 * MOST


async def test_heavy_results_are_settled_by_weight(
    app: AioQueue, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broker_url.startswith("memory"):
        pytest.skip("it has no requests")
    settled: list[tuple[int, int]] = []
    make = Settler._request

    def counted(self: Settler, settlements: Sequence[Settlement]) -> Any:
        request = make(self, settlements)
        count = request[-1]
        settled.append((count, sum(len(one.record or b"") for one in settlements[:count])))
        return request

    monkeypatch.setattr(Settler, "_request", counted)
    gate = asyncio.Event()

    @app.task(name="heavy")
    async def heavy() -> bytes:
        await gate.wait()
        return HEAVY

    async with working(app, concurrency=50):
        results = await app.send_many(heavy.s() for _ in range(40))
        gate.set()
        assert [await one.get(timeout=10) for one in results] == [HEAVY] * 40
    assert all(weight <= MOST or count == 1 for count, weight in settled)
