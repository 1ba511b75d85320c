"""How a worker reads its queues: by a script, by a plain command, or waiting for what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, cast

import msgspec
from redis.exceptions import ResponseError

from aioqueue.brokers.protocol import Delivery, Portion, WorkerStatus
from aioqueue.brokers.redis import link
from aioqueue.brokers.redis.complaints import Complaints, shown
from aioqueue.brokers.redis.keys import GROUP, Keys, queue_of, streams
from aioqueue.brokers.redis.link import Argument, Link, text
from aioqueue.brokers.redis.scripts import script
from aioqueue.brokers.redis.server import Server
from aioqueue.exceptions import LeaseLost

_MOST_READ = 1000
# The streams of a queue: its front, and the priorities.
_LANES = 11
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
        give_back: hands back these.
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
        give_back: Callable[[Sequence[Delivery]], Awaitable[object]],
        revoked: Callable[[Sequence[str]], Awaitable[list[bool]]],
    ) -> None:
        self._link = Link(server)
        self._keys = keys
        self._worker = worker
        self._lease = lease
        self._complaints = complaints
        self._leave = leave
        self._give_back = give_back
        self._revoked = revoked
        self._but: Collection[str] = ()
        self._leave_out(())
        self._queues = {stream: queue_of(stream) for stream in streams(worker.queues)}
        self._turn = 0
        self._serial = 0
        self._idle = False
        self._steady = False
        self._has_damage = False

    async def fetch(
        self, limit: int, *, wait: float, portions: Sequence[Portion] = (), but: Collection[str] = ()
    ) -> list[Delivery]:
        """As of a consumer."""
        # A script reads exactly as many as there is room for, in the order of priorities. When it finds nothing, a
        # blocking read of all streams waits, and after one that found little the next: an idle worker costs little,
        # and one that has little to do answers soon. While one stream alone gives many messages at once, it is read
        # without the script, which takes as long for each message as everything else that the server does for it.
        limit = min(limit, _MOST_READ)
        if but != self._but:
            self._leave_out(but)
        most = _most_of_each(portions)
        least = min(most.values(), default=limit)
        if not self._idle or wait <= 0:
            is_steady = self._steady and least >= limit
            deliveries = await (self._plain_read(limit, limit, most) if is_steady else self._read(limit, portions))
            if deliveries or wait <= 0:
                return deliveries
        if self._has_damage:  # the others cannot be waited for in one command
            await asyncio.sleep(min(wait, _POLL))
            return await self._read(limit, portions)
        self._idle = self._steady = False
        # COUNT is for each stream, so all of them together stay within the limit (or one each).
        count = limit // (len(most) * _LANES or len(self._streams))
        # A worker that is frozen while it waits must not be lent anything after its lease has ended.
        deliveries = await self._plain_read(limit, max(1, min(count, least)), most, min(wait, self._lease / 2000))
        self._idle = len(deliveries) < count
        return deliveries

    def _leave_out(self, but: Collection[str]) -> None:
        """From now on all streams are read but those of these queues."""
        self._but = but
        self._streams = streams([queue for queue in self._worker.queues if queue not in but])
        self._keys_of_all = [self._keys.stream(stream) for stream in self._streams]

    async def _read(self, limit: int, portions: Sequence[Portion]) -> list[Delivery]:
        if portions:
            wanted: list[Argument] = [word for portion in portions for word in portion]
            reply = await self._run("fetch_in_turn", limit, wanted)
        else:
            reply = await self._run("fetch", limit, self._in_turn(self._streams))
        deliveries: list[Delivery] = []
        for stream, entries in reply[0]:
            self._collect(text(stream), entries, deliveries)
        self._mark(deliveries, {id.decode(errors="replace") for id in reply[1]})
        self._steady = len(deliveries) >= _MANY and len({stream for stream, _ in reply[0]}) == 1
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

    async def _run(self, name: str, limit: int, wanted: Sequence[Argument]) -> Any:
        reply = await self._link.run(
            script(name), self._keys.prefix, self._worker.id, limit, *wanted, timeout=link.ANSWER_WITHIN
        )
        if reply == b"lost":
            raise LeaseLost(self._lease_lost)
        return reply

    def _in_turn(self, all: list[str]) -> list[str]:
        """Streams, or their keys, in an order in which another queue is the first one each time."""
        queues = len(all) // _LANES
        if queues < 2:
            return all
        self._turn = turn = (self._turn + 1) % queues
        levels = [all[at : at + queues] for at in range(0, len(all), queues)]
        return [one for level in levels for one in (*level[turn:], *level[:turn])]

    async def _plain_read(self, limit: int, count: int, most: Mapping[str, int], wait: float = 0) -> list[Delivery]:
        """Read so many of each stream, and wait for them if there are none; more than is wanted goes back.

        Args:
            most: how many are wanted of which queues, in this order; all there is where it is empty.
        """
        if most:
            wanted = [self._keys.stream(stream) for queue in most for stream in streams([queue])]
        else:
            wanted = self._in_turn(self._keys_of_all)
        block: tuple[Argument, ...] = ("BLOCK", max(1, int(wait * 1000))) if wait > 0 else ()
        read: tuple[Argument, ...] = (
            *("XREADGROUP", "GROUP", GROUP, self._worker.id, "COUNT", count, *block),
            *("STREAMS", *wanted, *[">"] * len(wanted)),
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
                # Makes the groups again, and goes without what is no stream.
                return await self._read(limit, [Portion(*one) for one in most.items()])
            raise
        if lease is None:
            await self._leave()  # what was read just now belongs to a worker that nobody watches
            raise LeaseLost(self._lease_lost)
        if not reply:
            return []
        deliveries: list[Delivery] = []
        found = cast("Any", reply).items() if isinstance(reply, dict) else reply
        for name, entries in found:
            self._collect(text(name)[len(self._keys.prefix) :], entries, deliveries)
        # Several streams had something at once. What was read last is the least urgent.
        deliveries, surplus = _cut(deliveries, limit, most)
        if surplus:
            await self._give_back(surplus)
        self._steady = len(found) == 1 and len(deliveries) >= _MANY
        if revoked:
            ids = [delivery.id for delivery in deliveries]
            flags = await self._revoked(ids)
            self._mark(deliveries, {id for id, flag in zip(ids, flags, strict=True) if flag})
        return deliveries

    @property
    def _lease_lost(self) -> str:
        return f"Worker {self._worker.name} ({self._worker.id}) was silent for longer than its lease."

    def _collect(self, stream: str, entries: Any, deliveries: list[Delivery]) -> None:
        queue = self._queues[stream]
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


def _most_of_each(portions: Sequence[Portion]) -> dict[str, int]:
    """How many messages are wanted of each queue in all of its turns."""
    most: dict[str, int] = {}
    for queue, count in portions:
        most[queue] = most.get(queue, 0) + count
    return most


def _cut(deliveries: list[Delivery], limit: int, most: Mapping[str, int]) -> tuple[list[Delivery], list[Delivery]]:
    """What is wanted of what was read, and the rest."""
    if len(deliveries) <= min(limit, *most.values()) if most else len(deliveries) <= limit:
        return deliveries, []
    kept, surplus = list[Delivery](), list[Delivery]()
    left = dict(most)
    for delivery in deliveries:
        room = left.get(delivery.queue, limit)
        (kept if room > 0 and len(kept) < limit else surplus).append(delivery)
        left[delivery.queue] = room - 1
    return kept, surplus


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
