"""Apps under test, on each kind of broker. The embedded server of these tests is their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from aioqueue import AioQueue
from aioqueue.embedded import stop
from aioqueue.testing import Testing, stage

pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def own_server() -> Iterator[None]:
    """Folders for the embedded server, which ends with the session."""
    root = Path(tempfile.mkdtemp(prefix="aq-"))  # short: a socket's path may have about 100 characters
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOQUEUE_RUNTIME_DIR", str(root / "run"))
        patch.setenv("AIOQUEUE_DATA_DIR", str(root / "data"))
        yield
        while stage._kept:
            stage._kept.popitem()[1].close()
        stop("aioqueue-testing")
    shutil.rmtree(root)


@pytest.fixture(params=["memory", "embedded"])
def kind(request: pytest.FixtureRequest) -> str:
    """What `app.testing(broker=...)` is given."""
    if request.param == "embedded":
        request.getfixturevalue("own_server")
    return request.param


@pytest.fixture
def app() -> AioQueue:
    """An app without tasks."""
    return AioQueue("shop", broker="redis://nobody.invalid")


@pytest_asyncio.fixture
async def t(app: AioQueue, kind: str) -> AsyncIterator[Testing]:
    """That app, under test."""
    async with app.testing(broker=kind) as testing:
        yield testing
