"""What became of tasks, and those who watch it."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from aioqueue.brokers.memory.inbox import Inbox
from aioqueue.brokers.memory.timeline import Expiring
from aioqueue.brokers.protocol import UNKEPT


class Watcher:
    """One who watches a task: the records that he has not seen yet."""

    def __init__(self) -> None:
        self.unseen: Inbox[bytes] = Inbox()

    async def next(self) -> bytes:
        """The next record."""
        return await self.unseen.get()


class Records:
    """The records of tasks, each until it expires."""

    def __init__(self, now: Callable[[], int], lock: threading.RLock) -> None:
        self._lock = lock
        self._records: Expiring[tuple[bytes, bool]] = Expiring(now)
        self._watchers: dict[str, set[Watcher]] = {}

    def get(self, id: str) -> bytes | None:
        """A task's record."""
        with self._lock:
            kept = self._records.get(id)
        return None if kept is None else kept[0]

    def has_ended(self, id: str) -> bool:
        """Whether the task's end is recorded."""
        kept = self._records.get(id)
        return kept is not None and kept[1]

    def write(self, id: str, record: bytes, *, final: bool, expires: int) -> None:
        """Keep a record and show it to those who watch. News of a task that has ended comes too late: an end stays
        until another end takes its place."""
        if not final and self.has_ended(id):
            return
        if expires != UNKEPT:
            self._records.set(id, (record, final), expires)
        for watcher in self._watchers.get(id, ()):
            watcher.unseen.put(record)

    def keep(self, id: str, expires: int) -> None:
        """Keep a record for so long from now on; 0 is for ever, `UNKEPT` no longer."""
        if expires == UNKEPT:
            self.drop(id)
        elif (kept := self._records.get(id)) is not None:
            self._records.set(id, kept, expires)

    def drop(self, id: str) -> None:
        """Forget a record."""
        with self._lock:
            self._records.remove(id)

    def clear(self) -> None:
        """Forget all records; who watches goes on watching."""
        with self._lock:
            self._records.clear()

    @asynccontextmanager
    async def watch(self, id: str) -> AsyncGenerator[Watcher, None]:
        """Watch a task: its record, if there is one, and then each one that is written."""
        watcher = Watcher()
        with self._lock:
            if (record := self.get(id)) is not None:
                watcher.unseen.put(record)
            self._watchers.setdefault(id, set()).add(watcher)
        try:
            yield watcher
        finally:
            with self._lock:
                watchers = self._watchers[id]
                watchers.discard(watcher)
                if not watchers:
                    del self._watchers[id]
