"""Fixtures of the folders in which each test that takes `app` runs against each broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aioqueue import AioQueue

from .apps import MakeApp


@pytest.fixture(params=["memory", "redis"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty broker."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")


@pytest.fixture
def make_app(broker_url: str) -> Iterator[MakeApp]:
    """Makes apps on the broker; settings by name. What ran for `.sync` is ended with the test."""
    made: list[AioQueue] = []

    def make(name: str = "tests", **settings: object) -> AioQueue:
        made.append(AioQueue(name, broker=broker_url, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for app in made:
        if "portal" in vars(app):
            app.portal.close()


@pytest.fixture
def app(make_app: MakeApp) -> AioQueue:
    """An app, not opened yet."""
    return make_app()
