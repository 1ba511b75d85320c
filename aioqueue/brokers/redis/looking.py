"""What there is on a Redis server: queues, what waits in them, and who works on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from aioqueue.brokers.protocol import QueueStatus, StoredMessage, Whereabouts, WorkerStatus
from aioqueue.brokers.redis import keys
from aioqueue.brokers.redis.link import pairs, text, whole_number
from aioqueue.brokers.redis.requests import Requests
from aioqueue.brokers.shares import shares
from aioqueue.exceptions import AioQueueError, BrokerUnavailable

_LAST_ID = b"%d-%d" % (2**64 - 1, 2**64 - 1)
_PAGE = 100
_FIND_PAGE = 500
# A lease without an end, which nobody of ours takes out.
_FOR_EVER = 2**53


class RedisLooking(Requests):
    """What can be seen of a namespace. What cannot be read is told as a problem of a queue or of a worker."""

    async def waiting(self, queue: str, *, limit: int) -> list[StoredMessage]:
        found: list[StoredMessage] = []
        for stream in map(self._keys.stream, keys.streams([queue])):
            start = await self._undelivered(stream)
            while start and len(found) < limit:
                page: list[Any] = await self._call(
                    "XRANGE", stream, start, "+", "COUNT", min(_PAGE, limit - len(found))
                )
                if not page:
                    break
                found += [_message(entry, fields) for entry, fields in page]
                start = b"(" + page[-1][0]
        return found

    async def _undelivered(self, stream: str) -> bytes:
        """Where the entries of a stream begin that were delivered to nobody; b"" if that is nowhere."""
        if not await self._call("EXISTS", stream):
            return b""
        for group in map(pairs, await self._call("XINFO", "GROUPS", stream)):
            if group.get(b"name") == keys.GROUP.encode():
                last: bytes = group.get(b"last-delivered-id", b"0-0")
                return b"(" + last if last != _LAST_ID else b""
        return b"-"

    async def delayed(self, queue: str, *, limit: int) -> list[StoredMessage]:
        found: list[StoredMessage] = []
        looked_at, looked = 0, -1
        while looked and len(found) < limit:
            looked, *flat = await self._run("delayed", queue, looked_at, _PAGE)
            looked_at += looked
            triples = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
            found += [StoredMessage(text(id), data, int(float(due))) for id, due, data in triples]
        return found[:limit]

    async def holds(self, ids: Sequence[str]) -> list[bool]:
        found: set[str] = set()
        for share in shares(ids, len):
            found |= {id for id, there in zip(share, await self.going_on(share), strict=True) if there}
            for id in share:
                if await self._call("ZSCORE", self._keys.delayed, id) is not None:
                    found.add(id)
            for queue in map(text, await self._call("SMEMBERS", self._keys.queues)):
                for stream in keys.streams([queue]):
                    found |= await self._look_for(stream, share)
        return [id in found for id in ids]

    async def _look_for(self, stream: str, ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        start = b"-"
        while start:
            start, *more = await self._run("look_for", stream, start, _PAGE, *ids)
            found.update(map(text, more))
        return found

    async def find(self, id: str) -> Whereabouts | None:
        due = whole_number(await self._call("ZSCORE", self._keys.delayed, id) or b"")
        if due is not None:
            stored: bytes = await self._call("HGET", self._keys.delayed_data, id) or b""
            queue, _, data = (*stored.split(b"\n", 2), b"", b"")[:3]
            return Whereabouts(queue=text(queue), data=data, at=due, delayed=True)
        for queue in map(text, await self._call("SMEMBERS", self._keys.queues)):
            ahead = 0
            for stream in keys.streams([queue]):
                try:
                    found, before = await self._find_in(queue, stream, id)
                except BrokerUnavailable:
                    raise
                except AioQueueError:  # it is no stream
                    continue
                ahead += before
                if found is not None:
                    return replace(found, ahead=0 if found.worker else ahead)
        return None

    async def _find_in(self, queue: str, stream: str, id: str) -> tuple[Whereabouts | None, int]:
        """Where a task is in a stream, and how many are to be taken before it; else how many there are to be taken."""
        key = self._keys.stream(stream)
        begin = await self._undelivered(key)
        if begin != b"-":
            entry, data, _ = await self._scan(stream, b"-", begin[1:] or b"+", id)
            # Where nobody has it, it has just ended.
            if entry and (pending := await self._call("XPENDING", key, keys.GROUP, entry, entry, 1)):
                return Whereabouts(queue=queue, data=data, at=_moment(entry), worker=text(pending[0][1])), 0
        if not begin:
            return None, 0
        entry, data, before = await self._scan(stream, begin, b"+", id)
        return (Whereabouts(queue=queue, data=data, at=_moment(entry)) if entry else None), before

    async def _scan(self, stream: str, begin: bytes, last: bytes, id: str) -> tuple[bytes, bytes, int]:
        """The entry of a task in a part of a stream, its message, and how many are before it; b"" where it is not."""
        before = 0
        while begin:
            begin, looked, entry, data = await self._run("find", stream, begin, last, _FIND_PAGE, id)
            before += looked
            if entry:
                return entry, data, before
        return b"", b"", before

    async def paused_queues(self) -> list[str]:
        return list(map(text, await self._call("SMEMBERS", self._keys.paused)))

    async def idle(self) -> bool:
        return bool(await self._run("idle"))

    async def going_on(self, ids: Sequence[str]) -> list[bool]:
        found: list[bool] = []
        for share in shares(ids, len):
            found += map(bool, await self._run("going_on", *share))
        return found

    async def queues(self) -> list[QueueStatus]:
        names: list[bytes] = await self._call("SMEMBERS", self._keys.queues)
        try:
            delayed = pairs(await self._call("HGETALL", self._keys.delayed_counts))
        except BrokerUnavailable:
            raise
        except AioQueueError as error:  # it is something else
            delayed, problem = {}, str(error)
        else:
            problem = ""
        paused: list[bytes] = []
        try:
            paused = list(await self._call("SMEMBERS", self._keys.paused))
        except BrokerUnavailable:
            raise
        except AioQueueError as error:  # it is something else, and no worker takes anything for paused
            problem = problem or str(error)
        known = sorted({*names, *delayed, *paused})
        found = [await self._queue(text(name), delayed.get(name, b"0"), problem) for name in known]
        return [replace(one, paused=name in paused) for name, one in zip(known, found, strict=True)]

    async def _queue(self, name: str, delayed: bytes, problem: str) -> QueueStatus:
        found = QueueStatus(name=name, waiting=0, running=0, delayed=whole_number(delayed) or 0, problem=problem)
        if whole_number(delayed) is None:
            found = replace(found, problem=f"how many are delayed is {delayed[:50]!r}")
        for stream in keys.streams([name]):
            try:
                found = await self._look_at(self._keys.stream(stream), found)
            except BrokerUnavailable:
                raise
            except AioQueueError as error:  # it is no stream
                found = replace(found, problem=f"{stream}: {error}")
        return found

    async def _look_at(self, key: str, queue: QueueStatus) -> QueueStatus:
        """What is known of a queue, and of one more of its streams."""
        length = int(await self._call("XLEN", key))
        if not length:
            return queue
        groups: list[Any] = await self._call("XINFO", "GROUPS", key)
        none: dict[bytes, Any] = {}
        about = next((one for one in map(pairs, groups) if one.get(b"name") == keys.GROUP.encode()), none)
        pending = int(about.get(b"pending", 0))
        last: bytes = about.get(b"last-delivered-id", b"0-0")
        first: list[Any] = await self._call("XRANGE", key, b"(" + last, "+", "COUNT", 1) if last != _LAST_ID else []
        oldest = queue.oldest
        if first:
            moment = int(first[0][0].partition(b"-")[0])
            oldest = moment if oldest is None else min(oldest, moment)
        return replace(
            queue, waiting=queue.waiting + max(0, length - pending), running=queue.running + pending, oldest=oldest
        )

    async def workers(self) -> list[WorkerStatus]:
        about: dict[bytes, Any] = {}
        problem = "it says nothing of itself"
        try:
            about = pairs(await self._call("HGETALL", self._keys.workers))
        except BrokerUnavailable:
            raise
        except AioQueueError as error:  # it is something else; the leases say at least who there is
            problem = str(error)
        leases: list[bytes] = await self._call("ZRANGE", self._keys.leases, 0, -1)
        found: list[WorkerStatus] = []
        for worker in leases:
            end = whole_number(await self._call("ZSCORE", self._keys.leases, worker) or b"0")
            lease = (_FOR_EVER if end is None else end) - self.now()
            if lease > 0:
                status = _worker_status(worker, about.get(worker), problem)
                status.lease = lease
                found.append(status)
        return found


def _moment(entry: bytes) -> int:
    """When an entry came into its stream, ms since the epoch."""
    return int(entry.partition(b"-")[0])


def _message(entry: bytes, fields: list[bytes] | dict[bytes, bytes]) -> StoredMessage:
    """An entry of a stream."""
    about = pairs(fields)
    return StoredMessage(text(about.get(b"i", b"")), about.get(b"m", b""), _moment(entry))


def _worker_status(worker: bytes, said: bytes | None, problem: str) -> WorkerStatus:
    """What a worker says of itself; or that it cannot be read, or why there is nothing."""
    if said is not None:
        try:
            return msgspec.msgpack.decode(said, type=WorkerStatus)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            problem = f"what it says of itself cannot be read ({error}): {said[:100]!r}"
    id = text(worker)
    return WorkerStatus(id=id, name=id, host="", pid=0, queues=[], concurrency=0, started=0, problem=problem)
