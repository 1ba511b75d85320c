"""The Redis broker, as a client sees it: sending, records, revoking, dead letters, queues."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from time import time
from typing import Any, TypeVar

import msgspec
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError

from aioqueue.brokers.protocol import Outgoing, QueueStatus, StoredLetter, WorkerStatus, WorkflowStatus
from aioqueue.brokers.redis import keys
from aioqueue.brokers.redis.consumer import RedisConsumer
from aioqueue.brokers.redis.link import Argument, Backoff, Link, is_transient
from aioqueue.brokers.redis.outbox import Outbox
from aioqueue.brokers.redis.scripts import script
from aioqueue.brokers.redis.server import NotTrusted, Server
from aioqueue.brokers.redis.watches import RedisWatch, Watches
from aioqueue.exceptions import AioQueueError, BrokerUnavailable, ConfigurationError, QueueFull
from aioqueue.ids import short_id
from aioqueue.workflow import JOIN, LENIENT, PAGE, QUEUED, Node, Part, Start, Step, decode_node, encode_node

_T = TypeVar("_T")

# For how long a revoked id is remembered when its message is not met; then it would run after all.
_REMEMBER_REVOKED = 30 * 24 * 3600 * 1000
# For how long a workflow is kept of which only a part has arrived, or whose task does not end.
_HOLD = 24 * 3600 * 1000
_PAGE_FIELD = re.compile(r"^(\d+)([<>])(\d+)$")
_TIMEOUT = 5.0
_PAGE = 500


class RedisBroker:
    """A namespace on a Redis or Valkey server.

    Args:
        url: see `Server`.
        namespace: the prefix of all keys.
        label: what people are shown instead of the URL.
        timeout: for how long calls other than `send` try, in seconds.
    """

    def __init__(self, url: str, namespace: str, *, label: str | None = None, timeout: float = _TIMEOUT) -> None:
        self._server = Server(url)
        self._prefix = keys.prefix(namespace)
        self._label = label or str(self._server)
        self._timeout = timeout
        self._client = short_id()
        self._skew = 0
        self._shift = 0
        self._background: list[asyncio.Task[None]] = []
        self.version = ""
        self.warnings: list[str] = []

    @property
    def description(self) -> str:
        return self._label

    async def open(self) -> None:
        self._client = short_id()  # its requests are numbered from 1 again
        self._number = 0
        self._one_by_one = asyncio.Lock()
        self._link = Link(self._server)
        self._outbox_link = Link(self._server)
        self._outbox = Outbox(self._outbox_link, self._prefix, self._client, self._label, lambda: self._shift)
        self._watches = Watches(self._server, self._prefix, self._client, lambda: self._shift)
        await self._check_server()
        self._background = [asyncio.create_task(self._outbox.run()), asyncio.create_task(self._watches.run())]

    async def close(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._background = []
        self._watches.close()
        self._outbox.close()
        await self._outbox_link.close()
        await self._link.close()

    def now(self) -> int:
        return int(time() * 1000) + self._skew + self._shift

    def shift_clock(self, milliseconds: int) -> None:
        self._shift += milliseconds
        if self._background:
            # Who waits is noted under the minute in which he came.
            self._background[0].get_loop().call_soon_threadsafe(self._watches.register_all)

    async def postpone_leases(self, milliseconds: int) -> None:
        """Let the leases end later, for tests: when the clock is moved as much, the workers stay alive."""
        leases = self._prefix + "leases"
        for worker in await self._call("ZRANGE", leases, 0, -1):
            await self._call("ZADD", leases, "XX", "INCR", milliseconds, worker)

    async def erase(self) -> None:
        """Drop everything in the namespace, for tests; the server must be no cluster."""
        pattern, cursor = re.sub(r"([\[\]*?\\])", r"\\\1", self._prefix) + "*", b"0"
        while True:
            cursor, names = await self._call("SCAN", cursor, "MATCH", pattern, "COUNT", _PAGE)
            if names:
                await self._call("UNLINK", *names)
            if cursor == b"0":
                return

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: int | None = None) -> None:
        await self._outbox.send(messages, timeout=timeout, max_length=max_length)

    async def store(
        self, workflow: str, part: Part, start: Start | None, *, timeout: float, max_length: int | None = None
    ) -> None:
        fields: list[Argument] = []
        for number, node in part.nodes:
            fields += (number, encode_node(node))
        for sign, pages in ((">", part.to), ("<", part.members)):
            for number, page, numbers in pages:
                fields += (f"{number}{sign}{page}", msgspec.msgpack.encode(numbers))
        begin: Any = 0
        if start is not None:
            begin = (
                *(str(start.end), start.total, start.open, start.keep, start.names, int(start.held)),
                *(start.queues, max_length or 0),
            )
        async with self._one_by_one:
            self._number += 1
            plan = (f"{self._client}:c", self._number, self._shift, workflow, _HOLD, part.counts, begin)
            answer: bytes = await self._run("store", msgspec.msgpack.encode(plan), *fields, within=timeout)
        if answer == b"f":
            names = ", ".join(map(repr, start.queues if start is not None else ()))
            raise QueueFull(
                f"The queue {names} is full: the first tasks of this workflow do not fit into its "
                f"queue_max_length={max_length}. Nothing was sent. Send later, start more workers, or set "
                "queue_full='wait'."
            )

    async def discard(self, workflow: str) -> None:
        key = f"{self._prefix}wf:{workflow}"
        await self._call("UNLINK", key, key + ":s")

    async def workflow(self, workflow: str) -> WorkflowStatus | None:
        key = f"{self._prefix}wf:{workflow}"
        end: bytes | None = await self._call("HGET", key, "end")
        if end is None:
            return None
        status = WorkflowStatus(id=workflow, end=int(end), nodes={}, members={}, to={}, states={})
        pages: list[tuple[str, int, int, list[int]]] = []
        async for field, value in self._fields(key):
            if field.isdigit():
                node = decode_node(value)
                node.data = b""
                status.nodes[int(field)] = node
            elif match := _PAGE_FIELD.match(field):
                pages.append((match[2], int(match[1]), int(match[3]), msgspec.msgpack.decode(value, type=list[int])))
        for sign, number, _, numbers in sorted(pages, key=lambda page: page[2]):
            (status.to if sign == ">" else status.members).setdefault(number, []).extend(numbers)
        for number, node in status.nodes.items():
            if node.to:
                status.to[number] = list(node.to)
        async for field, value in self._fields(key + ":s"):
            if field.isdigit():
                # More than that it is queued is of use to the scripts only.
                status.states[int(field)] = QUEUED if value.startswith(QUEUED.encode()) else value.decode()
            elif field[0] == "g" and field[1:].isdigit():
                status.grafts[int(field[1:])] = value.decode()
            elif field[0].isdigit():
                status.calls[field] = value.decode()
        return status

    async def _fields(self, key: str) -> AsyncIterator[tuple[str, bytes]]:
        cursor: bytes = b"0"
        seen: set[bytes] = set()
        while True:
            cursor, found = await self._call("HSCAN", key, cursor, "COUNT", _PAGE)
            for field, value in _pairs(found).items():
                if field not in seen:
                    seen.add(field)
                    yield field.decode(), value
            if cursor == b"0":
                return

    async def place(self, id: str) -> tuple[str, int] | None:
        name: bytes | None = await self._call("HGET", self._prefix + "wf:names", id)
        if name is None:
            return None
        workflow, _, node = name.decode().partition(".")
        return workflow, int(node)

    async def members(self, workflow: str, node: int) -> list[Node] | None:
        key = f"{self._prefix}wf:{workflow}"
        packed: bytes | None = await self._call("HGET", key, node)
        join = decode_node(packed) if packed is not None else None
        if join is None or join.kind not in (JOIN, LENIENT):
            return None
        found: list[Node] = []
        for page in range(-(-join.members // PAGE)):
            numbers: bytes | None = await self._call("HGET", key, f"{node}<{page}")
            if numbers is not None:
                nodes: list[bytes | None] = await self._call("HMGET", key, *msgspec.msgpack.decode(numbers))
                found += [decode_node(one) for one in nodes if one is not None]
        return found

    async def resume(self, workflow: str, node: int | None = None) -> int:
        return int(await self._run_once("resume", self._shift, workflow, "" if node is None else str(node)))

    async def revoke_stamp(self, stamp: bytes, *, expires: int, terminate: bool) -> None:
        now = self.now()
        await self._call("ZREMRANGEBYSCORE", self._prefix + "revoked:stamps", "-inf", now - expires)
        await self._call("ZADD", self._prefix + "revoked:stamps", now, stamp)
        await self._call("PEXPIRE", self._prefix + "revoked:stamps", expires)
        notice = msgspec.msgpack.encode(("stamp", (), terminate))
        await self._call("PUBLISH", self._prefix + "notices", notice)

    async def records(self, ids: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for start in range(0, len(ids), _PAGE):
            names = [f"{self._prefix}r:{id}" for id in ids[start : start + _PAGE]]
            values: list[bytes | None] = await self._call("MGET", *names)
            found += [value[1:] if value is not None else None for value in values]
        return found

    def watch(self, id: str) -> AbstractAsyncContextManager[RedisWatch]:
        return self._watches.watch(id)

    async def revoke(
        self, ids: Sequence[str], record: bytes, *, expires: int, terminate: bool, step: Step | None = None
    ) -> list[bool]:
        failure, after, chord = _told(step)
        revoked: list[bool] = []
        for start in range(0, len(ids), _PAGE):
            part = ids[start : start + _PAGE]
            letters = await self._run_once(
                "revoke",
                *(self._shift, record, expires, _REMEMBER_REVOKED, int(terminate), failure, after, chord),
                *part,
            )
            revoked += [letter == "1" for letter in letters.decode()]
        await self._work()
        return revoked

    async def _work(self) -> None:
        """Do what workflows have left over, so that nobody has to wait for a worker."""
        while await self._call("EXISTS", self._prefix + "work"):
            await self._run("promote", self._shift, _PAGE)

    async def forget(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _PAGE):
            names = [f"{self._prefix}{kind}:{id}" for id in ids[start : start + _PAGE] for kind in ("r", "sent")]
            await self._call("UNLINK", *names)

    async def dead_letters(self, *, limit: int, id: str | None = None) -> list[StoredLetter]:
        ids: list[bytes] = (
            [id.encode()] if id is not None else await self._call("ZREVRANGE", self._prefix + "dead", 0, limit - 1)
        )
        letters: list[StoredLetter] = []
        for start in range(0, len(ids), _PAGE):
            part = ids[start : start + _PAGE]
            values: list[bytes | None] = await self._call("HMGET", self._prefix + "dead:data", *part)
            letters += [
                StoredLetter(name.decode(), value)
                for name, value in zip(part, values, strict=True)
                if value is not None
            ]
        return letters

    async def requeue_dead(self, message: Outgoing) -> bool:
        stream = keys.stream(message.queue, message.priority)
        return await self._run_once("requeue_dead", message.id, stream, message.data) == b"1"

    async def remove_dead(self, ids: Sequence[str]) -> int:
        removed = 0
        for start in range(0, len(ids), _PAGE):
            removed += int(await self._run_once("remove_dead", *ids[start : start + _PAGE]))
        return removed

    async def queues(self) -> list[QueueStatus]:
        names: list[bytes] = await self._call("SMEMBERS", self._prefix + "queues")
        delayed = _pairs(await self._call("HGETALL", self._prefix + "delayed:count"))
        names = sorted({*names, *delayed})
        return [await self._queue(name.decode(), int(delayed.get(name, 0))) for name in names]

    async def _queue(self, name: str, delayed: int) -> QueueStatus:
        waiting = running = 0
        oldest: int | None = None
        for stream in keys.streams([name]):
            key = self._prefix + stream
            length = int(await self._call("XLEN", key))
            if not length:
                continue
            try:
                groups: list[Any] = await self._call("XINFO", "GROUPS", key)
            except RedisError:
                groups = []
            about = _pairs(groups[0]) if groups else {}
            pending = int(about.get(b"pending", 0))
            waiting += max(0, length - pending)
            running += pending
            last: bytes = about.get(b"last-delivered-id", b"0-0")
            first: list[Any] = await self._call("XRANGE", key, b"(" + last, "+", "COUNT", 1)
            if first:
                moment = int(first[0][0].partition(b"-")[0])
                oldest = moment if oldest is None else min(oldest, moment)
        return QueueStatus(name=name, waiting=waiting, running=running, delayed=delayed, oldest=oldest)

    async def purge(self, queue: str, record: bytes = b"", *, expires: int = 0, step: Step | None = None) -> int:
        failure, after, chord = _told(step)
        total = 0
        for stream in keys.streams([queue]):
            while dropped := int(
                await self._run("purge", stream, _PAGE, self._shift, record, expires, failure, after, chord)
            ):
                total += dropped
        await self._work()
        return total

    async def workers(self) -> list[WorkerStatus]:
        about = _pairs(await self._call("HGETALL", self._prefix + "workers"))
        leases: list[Any] = await self._call("ZRANGE", self._prefix + "leases", 0, -1)
        found: list[WorkerStatus] = []
        for worker in leases:
            end = await self._call("ZSCORE", self._prefix + "leases", worker)
            if end is None or worker not in about:
                continue
            lease = int(float(end)) - self.now()
            if lease > 0:
                status = msgspec.msgpack.decode(about[worker], type=WorkerStatus)
                status.lease = lease
                found.append(status)
        return found

    def consumer(
        self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int
    ) -> RedisConsumer:
        return RedisConsumer(
            self._server,
            self._prefix,
            worker,
            visibility_timeout=visibility_timeout,
            dead_letters_max_length=dead_letters_max_length,
            offset=lambda: self._shift,
        )

    async def _check_server(self) -> None:
        """Refuse what cannot work, and remember what may go wrong."""
        info: bytes = await self._call("INFO")
        fields: dict[str, str] = {}
        for line in _text(info).splitlines():
            field, _, value = line.partition(":")
            fields[field] = value
        name = fields.get("server_name", "redis")
        version = fields.get("valkey_version") or fields.get("redis_version", "0")
        self.version = f"{name} {version}"
        major, minor = (int(part) for part in [*re.findall(r"\d+", version), "0", "0"][:2])
        if (major, minor) < ((7, 2) if name == "valkey" else (7, 0)):
            raise ConfigurationError(
                f"{self._label} is {self.version}; aioqueue needs Redis 7.0 or Valkey 7.2, or later."
            )
        policy = fields.get("maxmemory_policy", "noeviction")
        if policy != "noeviction" and fields.get("maxmemory", "0") != "0":
            self.warnings.append(
                f"{self._label} evicts keys when its memory is full (maxmemory-policy {policy}): tasks can be lost. "
                "Set maxmemory-policy noeviction."
            )
        time_now: list[bytes] = await self._call("TIME")
        self._skew = int(time_now[0]) * 1000 + int(time_now[1]) // 1000 - int(time() * 1000)

    async def _call(self, *arguments: Argument) -> Any:
        return await self._attempt(lambda timeout: self._link.call(*arguments, timeout=timeout))

    async def _run(self, name: str, *arguments: Argument, within: float | None = None) -> Any:
        return await self._attempt(
            lambda timeout: self._link.run(script(name), self._prefix, *arguments, timeout=timeout), within
        )

    async def _run_once(self, name: str, *arguments: Argument) -> bytes:
        """Run a script whose answer would be another one the second time: numbered, and one under way at a time."""
        async with self._one_by_one:
            self._number += 1
            return await self._run(name, f"{self._client}:c", self._number, *arguments)

    async def _attempt(self, call: Callable[[float], Awaitable[_T]], within: float | None = None) -> _T:
        """What is repeated changes nothing the second time, or has a number (`_run_once`)."""
        loop = asyncio.get_running_loop()
        timeout = self._timeout if within is None else within
        deadline = loop.time() + timeout
        backoff = Backoff()
        while True:
            remaining = deadline - loop.time()
            try:
                return await call(max(0.05, remaining if backoff.failures else remaining / 2))
            except (RedisError, OSError) as error:
                if isinstance(error, NotTrusted):
                    raise BrokerUnavailable(f"{self._label}: {error}.") from None
                if isinstance(error, AuthenticationError | AuthorizationError):
                    raise BrokerUnavailable(
                        f"{self._label} does not let us in: {error}. Check the user and the password in the URL."
                    ) from None
                if not is_transient(error):
                    raise AioQueueError(f"{self._label} answered: {error}") from error
                if loop.time() >= deadline:
                    raise BrokerUnavailable(
                        f"No answer from {self._label} in {timeout:g} s ({error}). Is the server running?"
                    ) from None
            await backoff.wait()


def _told(step: Step | None) -> tuple[bytes, bytes, bytes]:
    """What those hear that come after a task which was ended from outside."""
    return (step.value or b"", step.upstream, step.chord) if step is not None else (b"", b"", b"")


def _text(info: Any) -> str:
    return info.decode(errors="replace") if isinstance(info, bytes) else str(info)


def _pairs(reply: Any) -> dict[bytes, Any]:
    """A map, as RESP3 sends it or flat as RESP2 does."""
    if isinstance(reply, dict):
        return reply  # pyright: ignore[reportUnknownVariableType]
    return dict(zip(reply[::2], reply[1::2], strict=True))
