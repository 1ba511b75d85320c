"""Each test of this folder runs against each broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.protocol import Broker, Consumer
from aioqueue.brokers.redis import RedisBroker

from .steps import VISIBILITY_TIMEOUT, worker_status

MakeConsumer = Callable[..., Awaitable[Consumer]]


@pytest_asyncio.fixture(params=["memory", "redis"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    """An open and empty broker."""
    if request.param == "memory":
        broker: Broker = MemoryBroker()
    else:
        broker = RedisBroker(request.getfixturevalue("redis_url"), "tests")
    await broker.open()
    yield broker
    await broker.close()


@pytest_asyncio.fixture
async def consumer(broker: Broker) -> AsyncIterator[MakeConsumer]:
    """Makes workers' lines, which have joined: `await consumer()`, or with the queues' names."""
    made: list[Consumer] = []

    async def make(
        *queues: str,
        join: bool = True,
        visibility_timeout: float = VISIBILITY_TIMEOUT,
        dead_letters_max_length: int = 100,
    ) -> Consumer:
        line = broker.consumer(
            worker_status(f"worker{len(made) + 1}", *queues),
            visibility_timeout=visibility_timeout,
            dead_letters_max_length=dead_letters_max_length,
        )
        made.append(line)
        if join:
            await line.join()
        return line

    yield make
    for line in made:
        await line.close()
