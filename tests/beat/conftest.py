"""Each test of this folder that takes `app` runs against each broker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from support.brokers import app, broker_url, make_app  # noqa: F401
from support.isolation import no_shared_tasks, plain_environment  # noqa: F401

from aioqueue import AioQueue
from aioqueue.testing import Testing


@pytest_asyncio.fixture
async def t(app: AioQueue, broker_url: str) -> AsyncIterator[Testing]:  # noqa: F811
    """That app, under test: schedules that it has by then are known."""
    async with app.testing(broker=broker_url) as testing:
        yield testing
