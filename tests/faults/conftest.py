"""An arena for each test."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.nursery import Nursery

from .arena import Arena, proxy_to
from .proxy import Proxy
from .server import DurableServer
from .workers import worker_nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Makes workers and schedulers fast."""
    nursery = worker_nursery()
    yield nursery
    nursery.close()


@pytest_asyncio.fixture
async def arena(nursery: Nursery, request: pytest.FixtureRequest) -> AsyncIterator[Arena]:
    """A server of its own, and nothing in it. When the test fails, the processes' logs are shown."""
    with tempfile.TemporaryDirectory(prefix="aioqueue-faults-") as folder:
        server = DurableServer(Path(folder))
        await server.start()
        arena = Arena(server, nursery, Path(folder))
        try:
            async with arena.app:
                yield arena
        finally:
            arena.close()
            for process in arena.processes:
                print(f"--- {process.log_path.stem}, {process.pid}, {process.exit_code}\n{process.log[-1500:]}")


@pytest_asyncio.fixture
async def proxy(arena: Arena) -> AsyncIterator[Proxy]:
    """A proxy in front of the server."""
    async with proxy_to(arena.server) as proxy:
        yield proxy
