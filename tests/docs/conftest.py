from __future__ import annotations

import os
from weakref import WeakSet

import pytest


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("AIOQUEUE_") and name != "AIOQUEUE_SERVER_BINARY":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_other_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is a program of its own: the apps of those before it may still be there."""
    monkeypatch.setattr("aioqueue.shared._apps", WeakSet())
