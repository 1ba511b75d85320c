"""The pytest plugin: the fixtures `aioqueue_app`, `aioqueue_testing` and `aioqueue_worker`, for those who ask for them.

They work in tests that are plain functions, where what they give waits; under pytest-asyncio, in both of its modes and
with any loop scope; and under anyio's plugin with its asyncio backend (beside which pytest-asyncio must be in strict
mode, or it takes anyio's tests).
Pytest imports this in every run, so nothing else is imported here.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.testing.testing import Testing
    from aioqueue.worker import Worker

_SCOPES = ("function", "class", "module", "package", "session")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings."""
    parser.addini("aioqueue_app", "The app of the fixture aioqueue_app: module:attribute, such as shop.tasks:app.")
    parser.addini(
        "aioqueue_broker",
        "The broker of the fixtures: memory, embedded, or the URL of a broker.",
        default="memory",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Add the fixtures that the ones below are made of."""
    from aioqueue.testing import fixtures

    with_asyncio = config.pluginmanager.hasplugin("asyncio")
    config.pluginmanager.register(fixtures.plugin(_SCOPES if with_asyncio else ()), "aioqueue-fixtures")


@pytest.fixture
def aioqueue_app(request: pytest.FixtureRequest) -> Core:
    """The app that the ini option `aioqueue_app` names, or a new one named "test", open in testing mode.

    Override it with a fixture that returns an app of yours: the two others then use that.
    """
    return _fixture("app", request)


@pytest.fixture
def aioqueue_testing(request: pytest.FixtureRequest, aioqueue_app: Core) -> Testing:
    """The `Testing` of `aioqueue_app`: what was sent, `drain`, the clock. In a plain test it is a `SyncTesting`."""
    return _fixture("testing", request)


@pytest.fixture
def aioqueue_worker(request: pytest.FixtureRequest, aioqueue_testing: Testing) -> Worker:
    """A worker that runs the tasks of `aioqueue_app` as they come, beside the test."""
    return _fixture("worker", request)


def _fixture(name: str, request: pytest.FixtureRequest) -> Any:
    """The fixture of that name for the test that asks for it: without an event loop, or in the one in which it runs."""
    if not _is_coroutine(request):
        return request.getfixturevalue(f"_aioqueue_{name}_plain")
    if "anyio_backend" in request.fixturenames:
        return request.getfixturevalue(f"_aioqueue_{name}_anyio")
    if not request.config.pluginmanager.hasplugin("asyncio"):
        raise pytest.UsageError(
            f"The fixture aioqueue_{name} needs an event loop: install pytest-asyncio, or mark the test with "
            "pytest.mark.anyio and let the fixture anyio_backend return 'asyncio'."
        )
    return request.getfixturevalue(f"_aioqueue_{name}_{_loop_scope(request)}")


def _is_coroutine(request: pytest.FixtureRequest) -> bool:
    function = request.function
    if (of_hypothesis := getattr(function, "hypothesis", None)) is not None:  # a plain function around the test
        function = of_hypothesis.inner_test
    return inspect.iscoroutinefunction(inspect.unwrap(function))


def _loop_scope(request: pytest.FixtureRequest) -> str:
    """Which of pytest-asyncio's event loops the test runs in."""
    marker: pytest.Mark | None = request.node.get_closest_marker("asyncio")
    scope = marker.kwargs.get("loop_scope") or marker.kwargs.get("scope") if marker is not None else None
    return scope or request.config.getini("asyncio_default_test_loop_scope") or "function"
