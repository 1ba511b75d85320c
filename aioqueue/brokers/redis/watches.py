"""Waiting for tasks: one connection and one subscription per client, however many wait.

A watch is registered in the same step in which the record is read, so no end falls in between. The registration is
repeated every ten seconds, and whenever the subscription was lost: the news may be lost, an end is not (D8).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

from aioqueue.brokers.redis.keys import Keys
from aioqueue.brokers.redis.link import Backoff, Link, text
from aioqueue.brokers.redis.scripts import script
from aioqueue.brokers.redis.server import Server
from aioqueue.brokers.redis.subscription import listen
from aioqueue.exceptions import BrokerUnavailable

_AGAIN = 10.0
_AT_ONCE = 500
_TIMEOUT = 5.0


class RedisWatch:
    """The records of one task, as they are written, from `async with` on."""

    def __init__(self, watches: Watches, id: str) -> None:
        self._watches = watches
        self._id = id
        self._records: deque[bytes] = deque()
        self._last: bytes | None = None
        self._news = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> Self:
        self._watches.add(self, self._id)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watches.remove(self, self._id)

    def close(self) -> None:
        """No more will come."""
        self._closed = True
        self._news.set()

    async def next(self) -> bytes:
        """The next record."""
        while not self._records:
            if self._closed:
                raise BrokerUnavailable("The app was closed while this was waited for. The task goes on.")
            self._news.clear()
            await self._news.wait()
        return self._records.popleft()

    def put(self, record: bytes) -> None:
        # The same record comes again with each registration.
        if record != self._last:
            self._last = record
            self._records.append(record)
            self._news.set()


class Watches:
    """All watches of a client. `run` must be running."""

    def __init__(self, server: Server, keys: Keys, client: str, offset: Callable[[], int]) -> None:
        self._server = server
        self._link: Link = Link(server)
        self._keys = keys
        self._client = client
        self._offset = offset
        self._watches: dict[str, set[RedisWatch]] = {}
        self._unregistered: dict[str, None] = {}
        self._told: set[str] = set()  # of what has come while a registration is on its way
        self._wake = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._over = False

    def watch(self, id: str) -> RedisWatch:
        """The records of a task from now on, the present one first."""
        return RedisWatch(self, id)

    def add(self, watch: RedisWatch, id: str) -> None:
        """Somebody watches."""
        if self._over:
            watch.close()
        self._watches.setdefault(id, set()).add(watch)
        self._unregistered[id] = None
        self._wake.set()

    def remove(self, watch: RedisWatch, id: str) -> None:
        """And watches no more."""
        watches = self._watches.get(id, set())
        watches.discard(watch)
        if not watches:
            self._watches.pop(id, None)
            self._unregistered.pop(id, None)

    async def run(self) -> None:
        """Listen and register, from the first watch on, until cancelled."""
        try:
            await self._wake.wait()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._register())
                group.create_task(self._register_again())
        finally:
            self.close()
            await self._link.close()

    def close(self) -> None:
        """Tell those who watch, and those who will, that no more comes; also when `run` has never begun."""
        self._over = True
        for watches in self._watches.values():
            for watch in watches:
                watch.close()

    async def _listen(self) -> None:
        backoff = Backoff()
        while True:
            try:
                async for news in listen(self._server, self._keys.done(self._client)):
                    if news is None:
                        backoff.reset()
                        self._subscribed.set()
                        self.register_all()
                    else:
                        self._tell(news.data)
            except Exception:  # a lost connection, or something that others published: waiters must not hang
                self._subscribed.clear()
                await backoff.wait()

    def _tell(self, news: bytes) -> None:
        length, _, rest = news.partition(b":")
        if not length.isdigit() or len(length) > 9 or len(rest) < int(length):
            return  # none of ours: anybody may publish anything
        size = int(length)
        id = text(rest[:size])
        value = rest[size:]
        if value:
            self._told.add(id)
            self._put(id, value)
        elif id in self._watches:  # too large to be sent along
            self._unregistered[id] = None
            self._wake.set()

    def _put_found(self, id: str, value: bytes) -> None:
        """What a registration has found: older than what was told meanwhile, if it is no end."""
        if id not in self._told or _is_end(value):
            self._put(id, value)

    def _put(self, id: str, value: bytes) -> None:
        for watch in self._watches.get(id, ()):
            watch.put(value[1:])

    async def _register(self) -> None:
        backoff = Backoff()
        while True:
            await self._wake.wait()
            if not self._subscribed.is_set():
                # Without a subscription a registration helps nobody, but the record may be there to be read.
                try:
                    async with asyncio.timeout(1.0):
                        await self._subscribed.wait()
                except TimeoutError:
                    pass
            ids = list(self._unregistered)[:_AT_ONCE]
            if not ids:
                self._wake.clear()
                continue
            for id in ids:
                del self._unregistered[id]
            self._told.clear()
            try:
                values: list[bytes | None] = await self._link.run(
                    script("wait"), self._keys.prefix, self._client, self._offset(), *ids, timeout=_TIMEOUT
                )
            except Exception:
                self._unregistered |= dict.fromkeys(id for id in ids if id in self._watches)
                await backoff.wait()
                continue
            found, problem = values[: len(ids)], values[len(ids) :]
            for id, value in zip(ids, found, strict=True):
                if value is not None:
                    self._put_found(id, value)
            if problem:  # nobody tells us, so look again
                self._unregistered |= dict.fromkeys(
                    id for id, value in zip(ids, found, strict=True) if id in self._watches and not _is_end(value)
                )
                await backoff.wait()
            else:
                backoff.reset()

    async def _register_again(self) -> None:
        while True:
            await asyncio.sleep(_AGAIN)
            self.register_all()

    def register_all(self) -> None:
        """Note on the server once more who waits for what."""
        self._unregistered |= dict.fromkeys(self._watches)
        if self._unregistered:
            self._wake.set()


def _is_end(value: bytes | None) -> bool:
    return value is not None and value[:1] == b"1"
