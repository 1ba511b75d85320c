"""How a worker reads its queues: by a script, by a plain command, or waiting for what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import msgspec
from redis.exceptions import ResponseError

from aioqueue.brokers.protocol import Delivery, WorkerStatus
from aioqueue.brokers.redis import link
from aioqueue.brokers.redis.complaints import Complaints, shown
from aioqueue.brokers.redis.keys import GROUP, Keys, queue_of, streams
from aioqueue.brokers.redis.link import Argument, Link
from aioqueue.brokers.redis.scripts import script
from aioqueue.brokers.redis.server import Server
from aioqueue.exceptions import LeaseLost

_MOST_READ = 1000
# So many at once from one stream alone, and it is read without the script.
_MANY = 20
# What is broken is looked at so often.
_POLL = 0.1
_WITH_VALUE = [b"i", b"m", b"v"]


class Handle(msgspec.Struct, frozen=True, gc=False):
    """An entry of a stream, and which it is of all that this worker has read."""

    stream: str
    entry: str
    serial: int


class Reader:
    """Reads over a connection that may block.

    Args:
        lease: ms.
        leave: hands back all that the worker holds.
        hand_back: hands back these.
        revoked: which of these ids were revoked.
    """

    def __init__(
        self,
        server: Server,
        keys: Keys,
        worker: WorkerStatus,
        lease: int,
        complaints: Complaints,
        *,
        leave: Callable[[], Awaitable[object]],
        hand_back: Callable[[Sequence[Delivery]], Awaitable[object]],
        revoked: Callable[[Sequence[str]], Awaitable[list[bool]]],
    ) -> None:
        self._link = Link(server)
        self._keys = keys
        self._worker = worker
        self._lease = lease
        self._complaints = complaints
        self._leave = leave
        self._hand_back = hand_back
        self._revoked = revoked
        self._streams = streams(worker.queues)
        self._stream_keys = [keys.stream(stream) for stream in self._streams]
        self._queues = [queue_of(stream) for stream in self._streams]
        self._serial = 0
        self._idle = False
        self._steady = False
        self._has_damage = False

    async def fetch(self, limit: int, *, wait: float) -> list[Delivery]:
        """As of a consumer."""
        # A script reads exactly as many as there is room for, in the order of priorities. When it finds nothing, a
        # blocking read of all streams waits, and after one that found little the next: an idle worker costs little,
        # and one that has little to do answers soon. While one stream alone gives many messages at once, it is read
        # without the script, which takes as long for each message as everything else that the server does for it.
        limit = min(limit, _MOST_READ)
        if not self._idle or wait <= 0:
            deliveries = await (self._plain_read(limit, limit) if self._steady else self._read(limit))
            if deliveries or wait <= 0:
                return deliveries
        if self._has_damage:  # the others cannot be waited for in one command
            await asyncio.sleep(min(wait, _POLL))
            return await self._read(limit)
        self._idle = self._steady = False
        # COUNT is for each stream, so all of them together stay within the limit (or one each).
        count = max(1, limit // len(self._streams))
        # A worker that is frozen while it waits must not be lent anything after its lease has ended.
        deliveries = await self._plain_read(limit, count, min(wait, self._lease / 2000))
        self._idle = len(deliveries) < limit // len(self._streams)
        return deliveries

    async def _read(self, limit: int) -> list[Delivery]:
        reply = await self._link.run(
            script("fetch"), self._keys.prefix, self._worker.id, limit, *self._streams, timeout=link.ANSWER_WITHIN
        )
        if reply == b"lost":
            raise LeaseLost(self._lease_lost)
        deliveries: list[Delivery] = []
        for position, entries in reply[0]:
            self._collect(position - 1, entries, deliveries)
        self._mark(deliveries, {id.decode(errors="replace") for id in reply[1]})
        self._steady = len(reply[0]) == 1 and len(deliveries) >= _MANY
        self._has_damage = bool(reply[2])
        if self._has_damage:
            self._steady = False
            self._complaints.tell(
                "Worker %s cannot fetch from a queue (%s); it goes on with the others, and with this one when that is "
                "mended.",
                self._worker.name,
                shown(reply[2]),
            )
        return deliveries

    async def _plain_read(self, limit: int, count: int, wait: float = 0) -> list[Delivery]:
        """Read so many of each stream, and wait for them if there are none; more than the limit goes back."""
        block: tuple[Argument, ...] = ("BLOCK", max(1, int(wait * 1000))) if wait > 0 else ()
        read: tuple[Argument, ...] = (
            *("XREADGROUP", "GROUP", GROUP, self._worker.id, "COUNT", count, *block),
            *("STREAMS", *self._stream_keys, *(">" for _ in self._stream_keys)),
        )
        try:
            reply, revoked, lease = await self._link.calls(
                (
                    read,
                    ("ZCARD", self._keys.revoked),
                    ("ZSCORE", self._keys.leases, self._worker.id),
                ),
                timeout=wait + 5.0,
            )
        except ResponseError as error:
            if any(word in str(error) for word in ("NOGROUP", "UNBLOCKED", "WRONGTYPE")):
                return await self._read(limit)  # makes the groups again, and goes without what is no stream
            raise
        if lease is None:
            await self._leave()  # what was read just now belongs to a worker that nobody watches
            raise LeaseLost(self._lease_lost)
        if not reply:
            return []
        deliveries: list[Delivery] = []
        streams = cast("Any", reply).items() if isinstance(reply, dict) else reply
        for name, entries in streams:
            position = self._stream_keys.index(name.decode())
            self._collect(position, entries, deliveries)
        if len(deliveries) > limit:  # several streams had something at once; the last read are the least urgent
            await self._hand_back(deliveries[limit:])
            del deliveries[limit:]
        self._steady = len(streams) == 1 and len(deliveries) >= _MANY
        if revoked:
            ids = [delivery.id for delivery in deliveries]
            flags = await self._revoked(ids)
            self._mark(deliveries, {id for id, flag in zip(ids, flags, strict=True) if flag})
        return deliveries

    @property
    def _lease_lost(self) -> str:
        return f"Worker {self._worker.name} ({self._worker.id}) was silent for longer than its lease."

    def _collect(self, position: int, entries: Any, deliveries: list[Delivery]) -> None:
        stream, queue = self._streams[position], self._queues[position]
        serial = self._serial
        for entry, fields in entries:
            serial += 1
            handle = Handle(stream, entry.decode(), serial)
            if fields and len(fields) == 4:  # most
                about, id, what, data = fields
                if about == b"i" and what == b"m":
                    deliveries.append(Delivery(handle, id.decode(errors="replace"), data, queue))
                    continue
            if fields and fields[::2] == _WITH_VALUE:
                id, data, value = fields[1::2]
                deliveries.append(Delivery(handle, id.decode(errors="replace"), data, queue, value=value))
            else:
                deliveries.append(_unusual(handle, fields, queue))
        self._serial = serial

    @staticmethod
    def _mark(deliveries: list[Delivery], revoked: set[str]) -> None:
        if revoked:
            for delivery in deliveries:
                delivery.revoked = delivery.id in revoked

    async def close(self) -> None:
        """Disconnect."""
        await self._link.close()


def _unusual(handle: Handle, fields: list[bytes] | None, queue: str) -> Delivery:
    """An entry that was handed back, or that somebody else wrote: then it may lack an id, or count without end. Where
    there is no message, all that there is takes its place: it cannot be read, but it is kept."""
    values = dict(zip(fields[::2], fields[1::2], strict=False)) if fields else {}
    data = values.get(b"m", b"")
    if not data and values.keys() - {b"i", b"m", b"d", b"e", b"v"}:
        data = msgspec.msgpack.encode(values)
    before = values.get(b"d", b"0")[:9]
    return Delivery(
        handle,
        values.get(b"i", b"").decode(errors="replace") or f"unnamed-{handle.entry}",
        data,
        queue,
        int(before) + 1 if before.isdigit() else 1,
        acknowledged=b"e" in values,
    )
