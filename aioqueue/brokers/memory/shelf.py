"""Where workflows are kept."""

from __future__ import annotations

from collections.abc import Callable

from aioqueue.brokers.memory.timeline import Expiring
from aioqueue.workflows import Flow


class MemoryShelf:
    """Workflows as objects, each until it expires, and the places of ids that senders chose."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.flows: Expiring[Flow] = Expiring(now)
        self.places: Expiring[tuple[str, int]] = Expiring(now)

    def get(self, id: str) -> Flow | None:
        """A workflow."""
        return self.flows.get(id)

    def set(self, flow: Flow, expires: int) -> None:
        """Keep a workflow for so many ms; 0 is for ever."""
        self.flows.set(flow.id, flow, expires)

    def remove(self, id: str) -> None:
        """Forget a workflow."""
        self.flows.remove(id)

    def place(self, id: str) -> tuple[str, int] | None:
        """The workflow and the node of a task whose id the sender chose; also after its end."""
        return self.places.get(id)

    def take(self, id: str, place: tuple[str, int], expires: int) -> None:
        """For so many ms from now on that is the place of the id; 0 is for ever."""
        self.places.set(id, place, expires)

    def release(self, id: str) -> None:
        """The id has no place any more."""
        self.places.remove(id)

    def clear(self) -> None:
        """Forget everything."""
        self.flows.clear()
        self.places.clear()
