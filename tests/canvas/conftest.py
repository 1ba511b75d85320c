"""Each test of this folder that takes `stage` runs against each broker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from support.apps import MakeApp
from support.brokers import app, broker_url, make_app  # noqa: F401
from support.isolation import no_other_apps, no_shared_tasks, plain_environment  # noqa: F401

from aioqueue import AioQueue

from .stage import Stage


@pytest.fixture
def actors(no_other_apps: None, app: AioQueue) -> Stage:  # noqa: F811
    """The tasks, on an app that is not open."""
    return Stage(app)


@pytest_asyncio.fixture
async def stage(actors: Stage) -> AsyncIterator[Stage]:
    """The tasks, and a worker that runs them."""
    async with actors.working():
        yield actors


@pytest.fixture
def make_stage(make_app: MakeApp) -> MakeApp:  # noqa: F811
    """Makes stages whose apps have other settings."""

    def make(name: str = "tests", **settings: object) -> Stage:
        return Stage(make_app(name, **settings))

    return make
