"""The rules of workflows over a store that keeps bytes: each step reads what it needs, and writes back what it got, as
one with a database does. What is true of workflows in memory is true of these."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from types import TracebackType

import pytest_asyncio

from aioqueue import workflows
from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.memory.timeline import Expiring
from aioqueue.brokers.protocol import Broker

from .test_workflow_changes import *  # noqa: F403
from .test_workflows import *  # noqa: F403

del test_both_brokers_show_the_same  # noqa: F821 - compares those that there are


class ByteShelf:
    """A shelf of bytes. During a step it gives the same object for the same id."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.flows: Expiring[bytes] = Expiring(now)
        self.places: Expiring[tuple[str, int]] = Expiring(now)
        self.out: dict[str, workflows.Flow] = {}

    def get(self, id: str) -> workflows.Flow | None:
        if id not in self.out:
            data = self.flows.get(id)
            if data is None:
                return None
            self.out[id] = workflows.decode_flow(data)
        return self.out[id]

    def set(self, flow: workflows.Flow, expires: int) -> None:
        self.flows.set(flow.id, workflows.encode_flow(flow), expires)
        self.out[flow.id] = flow

    def remove(self, id: str) -> None:
        self.flows.remove(id)
        self.out.pop(id, None)

    def place(self, id: str) -> tuple[str, int] | None:
        return self.places.get(id)

    def take(self, id: str, place: tuple[str, int], expires: int) -> None:
        self.places.set(id, place, expires)

    def release(self, id: str) -> None:
        self.places.remove(id)

    def write(self) -> None:
        """The step has ended."""
        for id, flow in self.out.items():
            if id in self.flows._values:
                self.flows._values[id] = workflows.encode_flow(flow)
        self.out.clear()


class StepLock:
    """The lock under which a step is made."""

    def __init__(self, shelf: ByteShelf) -> None:
        self._shelf = shelf
        self._lock = threading.RLock()
        self._depth = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        if not self._depth:
            self._shelf.write()
        self._lock.release()


@pytest_asyncio.fixture
async def broker() -> AsyncIterator[Broker]:
    """A broker whose workflows are bytes between steps."""
    broker = MemoryBroker()
    store = broker._store
    shelf = ByteShelf(store.clock.now)
    store.lock, store.shelf, store.workflows = StepLock(shelf), shelf, workflows.Engine(store, shelf)
    await broker.open()
    yield broker
    assert not shelf.out
    await broker.close()
