"""Things that happen at a moment, and things that are forgotten at one."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from aioqueue import clock

V = TypeVar("V")

_SLACK = 64
"""Stale heap entries that are not worth a clean-up."""


class Clock:
    """ms since the epoch: the wall clock as it was in the beginning, and what has passed since; tests may shift it."""

    def __init__(self) -> None:
        self.shift = 0
        self._began = time.time() - clock.seconds()

    def now(self) -> int:
        """The moment."""
        return int((self._began + clock.seconds()) * 1000) + self.shift


class Timeline(Generic[V]):
    """Values by key, each with its moment; the earliest first, equal moments in the order they were added.

    A heap cannot drop what lies inside it, so what is removed or replaced stays there as a stale entry, known by its
    number. Stale entries are skipped, and thrown out when there are more of them than of the others: each operation
    costs O(log n) on average, and memory follows what is really there.
    """

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, int, V]] = {}
        self._heap: list[tuple[int, int, str]] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> V | None:
        """A value, or None."""
        entry = self._entries.get(key)
        return None if entry is None else entry[2]

    def all(self) -> list[tuple[int, V]]:
        """All values with their moments, in no order."""
        return [(at, value) for at, _, value in self._entries.values()]

    def set(self, key: str, at: int, value: V) -> None:
        """Add a value, in the place of the one that the key had."""
        self._added += 1
        self._entries[key] = (at, self._added, value)
        heapq.heappush(self._heap, (at, self._added, key))
        if len(self._heap) > 2 * len(self._entries) + _SLACK:
            self._heap = [(at, number, key) for key, (at, number, _) in self._entries.items()]
            heapq.heapify(self._heap)

    def remove(self, key: str) -> V | None:
        """Take a value out before its moment."""
        entry = self._entries.pop(key, None)
        return None if entry is None else entry[2]

    def earliest(self) -> int | None:
        """The first moment of all."""
        while self._heap:
            at, number, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and entry[1] == number:
                return at
            heapq.heappop(self._heap)
        return None

    def clear(self) -> None:
        """Take out everything."""
        self._entries.clear()
        self._heap.clear()

    def pop_until(self, now: int) -> Iterator[tuple[str, V]]:
        """Take out what has its moment now or had it before."""
        while (at := self.earliest()) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            yield key, self._entries.pop(key)[2]


class Expiring(Generic[V]):
    """Values by key that are forgotten after a time; what has expired is also freed, by whichever call comes next."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._values: dict[str, V] = {}
        self._ends: Timeline[None] = Timeline()

    def __len__(self) -> int:
        self._sweep()
        return len(self._values)

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def get(self, key: str) -> V | None:
        """The value, or None."""
        if not self._values:
            return None
        self._sweep()
        return self._values.get(key)

    def values(self) -> list[V]:
        """All that is kept."""
        self._sweep()
        return list(self._values.values())

    def set(self, key: str, value: V, expires: int) -> None:
        """Keep a value for so many ms; 0 is for ever."""
        self._sweep()
        self._values[key] = value
        if expires:
            self._ends.set(key, self._now() + expires, None)
        else:
            self._ends.remove(key)

    def remove(self, key: str) -> None:
        """Forget a value now."""
        self._values.pop(key, None)
        self._ends.remove(key)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._ends.clear()

    def _sweep(self) -> None:
        if self._ends:
            for key, _ in self._ends.pop_until(self._now()):
                del self._values[key]
