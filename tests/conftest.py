"""A private Redis server for each pytest process, and compiled modules for the processes that tests start."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio as aioredis
from support.server import RedisServer

# Where the environment says that no bytecode is to be written, each of the hundreds of processes that the tests start
# would compile the package anew, which is half of what it does. They share what pytest keeps beside its own cache.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(
        Path(__file__).parents[1] / ".pytest_cache" / "bytecode"
    )
    sys.dont_write_bytecode = False


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many tests wait for processes that they have started, killed or frozen."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The server of this pytest process (each worker of pytest-xdist is one). Tests may restart or kill it."""
    # Not under pytest's own folders: the path of a unix socket has room for about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="aioqueue-test-") as folder:
        server = RedisServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of the server, with nothing in it."""
    if not redis_server.alive:
        redis_server.start()
    redis_server.flush()
    return redis_server.url


@pytest_asyncio.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    """A client of the server, with nothing in it."""
    async with aioredis.from_url(redis_url) as client:
        yield client
