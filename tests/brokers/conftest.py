"""Each test of this folder runs against each broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.protocol import Broker, Consumer, Delivery, TestableBroker
from aioqueue.brokers.redis import RedisBroker

from .halves import MemoryPair
from .schedule_steps import Stage
from .steps import VISIBILITY_TIMEOUT, ids, worker_status

MakeConsumer = Callable[..., Awaitable[Consumer]]


@pytest_asyncio.fixture(params=["memory", "redis", "pair"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    """An open and empty broker."""
    if request.param == "memory":
        broker: Broker = MemoryBroker()
    elif request.param == "pair":
        broker = MemoryPair()
    else:
        broker = RedisBroker(request.getfixturevalue("redis_url"), "tests")
    await broker.open()
    _skip_what_it_cannot(broker, request)
    yield broker
    await broker.close()


CANNOT = {
    "bounded": "it cannot bound its queues",
    "front": "what is handed back does not come before the rest",
    "schedules": "it keeps no schedules",
    "asked": "its workers cannot be asked",
    "events": "it keeps no events",
    "withdraws": "it stands still with the loop that it is in",
    "priorities": "it tells no priorities apart",
}
"""What a test can need, by the name that it has among the capabilities."""


def _skip_what_it_cannot(broker: Broker, request: pytest.FixtureRequest) -> None:
    """A test that needs what some brokers cannot do is marked with that: `@pytest.mark.needs("front")`."""
    for mark in request.node.iter_markers("needs"):
        for need in mark.args:
            can = getattr(broker.capabilities, need)
            if not (can > 1 if need == "priorities" else can):
                pytest.skip(f"{broker.description}: {CANNOT[need]}")


@pytest_asyncio.fixture
async def consumer(broker: Broker) -> AsyncIterator[MakeConsumer]:
    """Makes consumers, which have joined: `await consumer()`, or with the queues' names."""
    made: list[Consumer] = []

    async def make(
        *queues: str,
        join: bool = True,
        visibility_timeout: float = VISIBILITY_TIMEOUT,
        dead_letters_max_length: int = 100,
    ) -> Consumer:
        one = broker.consumer(
            worker_status(f"worker{len(made) + 1}", *queues),
            visibility_timeout=visibility_timeout,
            dead_letters_max_length=dead_letters_max_length,
        )
        made.append(one)
        if join:
            await one.join()
        return one

    yield make
    for one in made:
        await one.close()


@pytest_asyncio.fixture
async def stage(broker: TestableBroker, consumer: MakeConsumer, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A store of schedules, with all that the tests need of it: here a broker's."""
    other = broker
    if isinstance(broker, RedisBroker):
        other = RedisBroker(request.getfixturevalue("redis_server").url, "tests")
        await other.open()
    worker = await consumer("q", "full", "free", visibility_timeout=1e6)

    def pass_time(milliseconds: int) -> None:
        for one in {broker, other}:
            one.shift_clock(milliseconds)

    async def deliver() -> list[str]:
        found: list[Delivery] = []
        await worker.promote()
        while more := await worker.fetch(1000, wait=0):
            found += more
        return ids(found)

    yield Stage(broker, other, broker.now, pass_time, deliver)
    if other is not broker:
        await other.close()
