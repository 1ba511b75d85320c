"""Fixtures that keep from a test what is no matter of its own. A folder's conftest imports those that it needs."""

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
def no_shared_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared tasks belong to every app of the process: those of one test are not to be met in the next."""
    monkeypatch.setattr("aioqueue.shared._tasks", {})
    monkeypatch.setattr("aioqueue.shared._default", [])


@pytest.fixture(autouse=True)
def no_other_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apps of earlier tests may still be there, and an empty group belongs to the one app that there is."""
    monkeypatch.setattr("aioqueue.shared._apps", WeakSet())
