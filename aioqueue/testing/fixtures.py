"""The fixtures of the plugin, once for each event loop in which a test may run."""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.testing.sync import SyncTesting
    from aioqueue.testing.testing import Testing
    from aioqueue.worker import Worker

_SHUTDOWN_TIMEOUT = 1.0


async def _app(request: pytest.FixtureRequest) -> AsyncGenerator[AioQueue]:
    app = _named_app(request.config)
    async with app.testing(request.config.getini("aioqueue_broker")):
        yield app


async def _testing(request: pytest.FixtureRequest, aioqueue_app: AioQueue) -> AsyncGenerator[Testing]:
    from aioqueue.testing.testing import testing_of

    testing = testing_of(aioqueue_app)
    if testing is not None:
        yield testing
        return
    async with aioqueue_app.testing(request.config.getini("aioqueue_broker")) as testing:
        yield testing


async def _worker(aioqueue_testing: Testing) -> AsyncGenerator[Worker]:
    # A task that is still running when the test ends is of no interest to it.
    async with aioqueue_testing.app.worker(shutdown_timeout=_SHUTDOWN_TIMEOUT) as worker:
        yield worker


def _app_here(request: pytest.FixtureRequest) -> Generator[AioQueue]:
    app = _named_app(request.config)
    try:
        with app.testing(request.config.getini("aioqueue_broker")):
            yield app
    finally:
        app.portal.close()


def _testing_here(request: pytest.FixtureRequest, aioqueue_app: AioQueue) -> Generator[SyncTesting]:
    from aioqueue.testing.sync import SyncTesting
    from aioqueue.testing.testing import testing_of

    testing = testing_of(aioqueue_app)
    if testing is not None:
        yield SyncTesting(testing, aioqueue_app.portal)
        return
    with aioqueue_app.testing(request.config.getini("aioqueue_broker")) as here:
        yield here


def _worker_here(aioqueue_testing: SyncTesting) -> Generator[Worker]:
    app = aioqueue_testing.app

    async def begin() -> Worker:
        return await app.worker(shutdown_timeout=_SHUTDOWN_TIMEOUT).__aenter__()

    worker = app.portal.run(begin())
    try:
        yield worker
    finally:
        app.portal.run(worker.__aexit__(None, None, None))


_FIXTURES: dict[str, Callable[..., AsyncGenerator[Any]]] = {"app": _app, "testing": _testing, "worker": _worker}

_PLAIN: dict[str, Callable[..., Generator[Any]]] = {
    "app": _app_here,
    "testing": _testing_here,
    "worker": _worker_here,
}


def plugin(scopes: Iterable[str]) -> ModuleType:
    """A pytest plugin with the fixtures for plain tests, for anyio's loop, and for those scopes of pytest-asyncio's
    loops."""
    made = ModuleType("aioqueue_fixtures")  # in an object pytest looks at what its class has
    for name, plain in _PLAIN.items():
        fixture_name = f"_aioqueue_{name}_plain"
        setattr(made, fixture_name, pytest.fixture(plain, name=fixture_name))
    for name, function in _FIXTURES.items():
        fixture_name = f"_aioqueue_{name}_anyio"
        setattr(made, fixture_name, pytest.fixture(_copy(function), name=fixture_name))
        for scope in scopes:
            import pytest_asyncio

            make: Any = pytest_asyncio.fixture
            fixture_name = f"_aioqueue_{name}_{scope}"
            setattr(made, fixture_name, make(_copy(function), loop_scope=scope, name=fixture_name))
    return made


def _copy(function: Callable[..., AsyncGenerator[Any]]) -> Callable[..., AsyncGenerator[Any]]:
    """Another function object: pytest-asyncio writes the loop's scope on it."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__, function.__globals__, function.__name__)


def _named_app(config: pytest.Config) -> AioQueue:
    from aioqueue.app import AioQueue

    place: str = config.getini("aioqueue_app")
    if not place:
        return AioQueue("test", broker="memory://")
    module, _, attribute = place.partition(":")
    try:
        app = getattr(importlib.import_module(module), attribute or "app")
    except (ImportError, AttributeError) as error:
        raise pytest.UsageError(f"The ini option aioqueue_app = {place!r} names no app: {error}.") from error
    if not isinstance(app, AioQueue):
        raise pytest.UsageError(f"The ini option aioqueue_app = {place!r} is a {type(app).__name__}, and no AioQueue.")
    return app
