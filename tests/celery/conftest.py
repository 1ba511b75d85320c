"""Apps as programs make them that come from Celery."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.isolation import no_other_apps, no_shared_tasks, plain_environment  # noqa: F401

from aioqueue import AioQueue


@pytest.fixture
def app(no_other_apps: None) -> Iterator[AioQueue]:  # noqa: F811
    """An app in memory, not opened yet."""
    app = AioQueue("shop", broker="memory://")
    yield app
    if "portal" in vars(app):
        app.portal.close()
