"""An arena for each test."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from .arena import Arena, proxy_to
from .proxy import Proxy
from .server import DurableServer
from .workers import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Makes workers fast."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest_asyncio.fixture
async def arena(nursery: Nursery, request: pytest.FixtureRequest) -> AsyncIterator[Arena]:
    """A server of its own, and nothing in it. When the test fails, the workers' logs are shown."""
    with tempfile.TemporaryDirectory(prefix="aioqueue-faults-") as folder:
        server = DurableServer(Path(folder))
        await server.start()
        arena = Arena(server, nursery, Path(folder))
        try:
            async with arena.app:
                yield arena
        finally:
            arena.close()
            for worker in arena.workers:
                print(f"--- worker {worker.pid}, exit code {worker.exit_code}\n{worker.log[-1500:]}")


@pytest_asyncio.fixture
async def proxy(arena: Arena) -> AsyncIterator[Proxy]:
    """A proxy in front of the server."""
    async with proxy_to(arena.server) as proxy:
        yield proxy
