from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("AIOQUEUE_") and name != "AIOQUEUE_SERVER_BINARY":
            monkeypatch.delenv(name)
