"""Each test of this folder that takes `app` runs against each broker."""

from __future__ import annotations

import os

import pytest

from aioqueue import AioQueue

from .steps import MakeApp


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("AIOQUEUE_") and name != "AIOQUEUE_SERVER_BINARY":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_shared_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared tasks belong to every app of the process: those of one test are not to be met in the next."""
    monkeypatch.setattr("aioqueue.shared._tasks", [])


@pytest.fixture(params=["memory", "redis"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty broker."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")


@pytest.fixture
def make_app(broker_url: str) -> MakeApp:
    """Makes apps on the broker; settings by name."""

    def make(name: str = "tests", **settings: object) -> AioQueue:
        return AioQueue(name, broker=broker_url, **settings)  # type: ignore[arg-type]

    return make


@pytest.fixture
def app(make_app: MakeApp) -> AioQueue:
    """An app, not opened yet."""
    return make_app()
