"""The stream of events, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from aioqueue.brokers.memory.inbox import Inbox
from aioqueue.brokers.protocol import StoredEvent


class EventLog:
    """The newest events; whoever uses it holds the store's lock.

    Attributes:
        wanted: whether they are to be told, if anybody has said so.
        listeners: who is to be woken when there are more.
    """

    def __init__(self) -> None:
        self.wanted: bool | None = None
        self.listeners: set[Inbox[None]] = set()
        self._events: deque[bytes] = deque()
        self._count = 0  # how many there have been

    def add(self, events: Sequence[bytes], keep: int) -> None:
        """Add some; of all of them so many are kept."""
        self._events.extend(events)
        self._count += len(events)
        while len(self._events) > keep:
            self._events.popleft()
        for listener in self.listeners:
            listener.put(None)

    @property
    def last(self) -> str:
        """The cursor of the newest; "" if there has been none."""
        return _cursor(self._count) if self._count else ""

    def after(self, cursor: str, limit: int) -> list[StoredEvent]:
        """Those after a cursor that are still there, so many at most."""
        number = int(cursor.partition("-")[0]) if cursor else 0
        first = self._count - len(self._events)  # so many are gone
        start = max(number, first)
        found = islice(self._events, start - first, start - first + limit)
        return [StoredEvent(_cursor(start + index), data) for index, data in enumerate(found, 1)]

    def clear(self) -> None:
        """Hold nothing any more; cursors go on."""
        self._events.clear()
        self.wanted = None


def _cursor(number: int) -> str:
    return f"{number}-0.0"
