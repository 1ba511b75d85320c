"""The Redis broker, as a client sees it: sending, records, revoking, dead letters, queues."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from redis.exceptions import RedisError

from aioqueue.brokers.protocol import (
    UNBEGUN_FOR,
    Capabilities,
    Outgoing,
    QueueStatus,
    StoredLetter,
    WorkerStatus,
    WorkflowStatus,
)
from aioqueue.brokers.redis import keys, plans
from aioqueue.brokers.redis.consumer import RedisConsumer
from aioqueue.brokers.redis.link import Argument, Link, text
from aioqueue.brokers.redis.notices import of_stamp
from aioqueue.brokers.redis.outbox import Outbox
from aioqueue.brokers.redis.schedules import RedisSchedules
from aioqueue.brokers.redis.server import Server
from aioqueue.brokers.redis.watches import RedisWatch, Watches
from aioqueue.brokers.shares import shares
from aioqueue.exceptions import AioQueueError, BrokerUnavailable, ConfigurationError, DuplicateTask, QueueFull
from aioqueue.workflow import (
    JOIN,
    LENIENT,
    PAGE,
    QUEUED,
    TASK,
    UNTOLD,
    Node,
    Part,
    Start,
    Told,
    decode_node,
    encode_node,
)

# For how long a revoked id is remembered when its message is not met; then it would run after all.
_REMEMBER_REVOKED = 30 * 24 * 3600 * 1000
_PAGE_FIELD = re.compile(r"^(\d+)([<>])(\d+)$")
_TIMEOUT = 5.0
_ASK_TIME_EVERY = 60.0
_PAGE = 500
_LAST_ID = b"%d-%d" % (2**64 - 1, 2**64 - 1)
# A lease without an end, which nobody of ours takes out.
_FOR_EVER = 2**53

_ALL = Capabilities()


class RedisBroker(RedisSchedules):
    """A namespace on a Redis or Valkey server.

    Args:
        url: see `Server`.
        namespace: the prefix of all keys.
        label: what people are shown instead of the URL.
        timeout: for how long calls other than `send` try, in seconds.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        label: str | None = None,
        timeout: float = _TIMEOUT,
        is_first: bool = False,
        revive: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        server = Server(url, revive)
        super().__init__(server, keys.Keys(namespace), label or str(server), timeout)
        self._is_first = is_first
        self._background: list[asyncio.Task[None]] = []
        self.version = ""
        self.warnings: list[str] = []

    @property
    def description(self) -> str:
        return self._label

    @property
    def capabilities(self) -> Capabilities:
        return _ALL

    async def open(self) -> None:
        self._begin()
        self._outbox_link = Link(self._server, self._clock)
        self._outbox = Outbox(self._outbox_link, self._keys.prefix, self._client, self._label, lambda: self._shift)
        self._watches = Watches(self._server, self._keys, self._client, lambda: self._shift)
        await self._check_server()
        if self._is_first:
            await self._run("begin")
        loops = (self._outbox.run(), self._watches.run(), self._keep_time())
        self._background = [asyncio.create_task(loop) for loop in loops]

    async def close(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._background = []
        self._watches.close()
        self._outbox.close()
        await self._outbox_link.close()
        await self._link.close()

    async def _keep_time(self) -> None:
        """Ask for the broker's time now and then: a client that stays connected for weeks would drift away from it."""
        while True:
            await asyncio.sleep(_ASK_TIME_EVERY)
            try:
                await self._link.learn_time(timeout=_TIMEOUT)
            except (RedisError, OSError):  # with the next connection it is asked for again
                pass

    def shift_clock(self, milliseconds: int) -> None:
        self._shift += milliseconds
        if self._background:
            # Who waits is noted under the minute in which he came.
            self._background[0].get_loop().call_soon_threadsafe(self._watches.register_all)

    async def postpone_leases(self, milliseconds: int) -> None:
        """Let the leases end later, for tests: when the clock is moved as much, the workers stay alive."""
        for leases in (self._keys.leases, self._keys.schedulers):
            for one in await self._call("ZRANGE", leases, 0, -1):
                await self._call("ZADD", leases, "XX", "INCR", milliseconds, one)

    async def erase(self) -> None:
        """Drop everything in the namespace, for tests; the server must be no cluster."""
        pattern, cursor = re.sub(r"([\[\]*?\\])", r"\\\1", self._keys.prefix) + "*", b"0"
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
    ) -> str:
        fields: list[Argument] = []
        for number, node in part.nodes:
            fields += (number, encode_node(node))
        for sign, pages in ((">", part.to), ("<", part.members)):
            for number, page, numbers in pages:
                fields += (f"{number}{sign}{page}", msgspec.msgpack.encode(numbers))
        begin = 0 if start is None else _begin(start, max_length)
        counts = [plans.Count(join, ends) for join, ends in part.counts]
        async with self._one_by_one:
            self._number += 1
            client, hold = f"{self._client}:c", UNBEGUN_FOR
            plan = plans.Store(client, self._number, self._shift, workflow, hold, counts, begin)
            answer: bytes = await self._run("store", msgspec.msgpack.encode(plan), *fields, within=timeout)
        if answer[:1] == b"d":
            raise DuplicateTask.of(answer[1:].decode())
        if answer == b"f":
            names = ", ".join(map(repr, start.queues if start is not None else ()))
            raise QueueFull(
                f"The queue {names} is full: the first tasks of this workflow do not fit into its "
                f"queue_max_length={max_length}. Nothing was sent. Send later, start more workers, or set "
                "queue_full='wait'."
            )
        return answer[1:].decode() if answer[:1] == b"s" else workflow

    async def discard(self, workflow: str) -> None:
        await self._call("UNLINK", self._keys.nodes(workflow), self._keys.states(workflow))

    async def workflow(self, workflow: str) -> WorkflowStatus | None:
        key, states = self._keys.nodes(workflow), self._keys.states(workflow)
        end: bytes | None = await self._call("HGET", key, "end")
        if end is None:
            return None
        status = WorkflowStatus(id=workflow, end=_number(end) or 0, nodes={}, members={}, to={}, states={})
        pages: list[tuple[str, int, int, list[int]]] = []
        async for field, value in self._fields(key):
            if field.isdigit():
                status.nodes[int(field)] = _node(f"{workflow}.{field}", value)
            elif match := _PAGE_FIELD.match(field):
                pages.append((match[2], int(match[1]), int(match[3]), _numbers(value)))
        for sign, number, _, numbers in sorted(pages, key=lambda page: page[2]):
            (status.to if sign == ">" else status.members).setdefault(number, []).extend(numbers)
        for number, node in status.nodes.items():
            if node.to:
                status.to[number] = list(node.to)
        async for field, value in self._fields(states):
            if field.isdigit():
                # More than that it is queued is of use to the scripts only.
                status.states[int(field)] = QUEUED if value.startswith(QUEUED.encode()) else text(value)
            elif field[:1] == "g" and field[1:].isdigit():
                status.grafts[int(field[1:])] = text(value)
            elif field[:1].isdigit():
                status.calls[field] = text(value)
        # It takes several commands: what has expired between them was read in part.
        return status if await self._call("EXISTS", key, states) == 2 else None

    async def _fields(self, key: str) -> AsyncIterator[tuple[str, bytes]]:
        cursor: bytes = b"0"
        seen: set[bytes] = set()
        while True:
            cursor, found = await self._call("HSCAN", key, cursor, "COUNT", _PAGE)
            for field, value in _pairs(found).items():
                if field not in seen:
                    seen.add(field)
                    yield text(field), value
            if cursor == b"0":
                return

    async def place(self, id: str) -> tuple[str, int] | None:
        name: bytes | None = await self._call("HGET", self._keys.names, id)
        if name is None:
            name = await self._call("GET", self._keys.past_place(id))
        if name is None:
            return None
        workflow, _, node = text(name).partition(".")
        return (workflow, int(node)) if node.isdecimal() and node.isascii() else None

    async def members(self, workflow: str, node: int) -> list[Node] | None:
        key = self._keys.nodes(workflow)
        packed: bytes | None = await self._call("HGET", key, node)
        join = _node("", packed) if packed is not None else None
        if join is None or join.kind not in (JOIN, LENIENT):
            return None
        found: list[Node] = []
        for page in range(-(-join.members // PAGE)):
            numbers: bytes | None = await self._call("HGET", key, f"{node}<{page}")
            asked = _numbers(numbers) if numbers is not None else []
            nodes: list[bytes | None] = await self._call("HMGET", key, *asked) if asked else []
            found += [
                _node(f"{workflow}.{number}", one) for number, one in zip(asked, nodes, strict=True) if one is not None
            ]
        # It takes several commands: what has expired between them was read in part.
        return found if await self._call("EXISTS", key) else None

    async def resume(self, workflow: str, node: int | None = None) -> int:
        while True:
            count = int(await self._run_once("resume", self._shift, workflow, "" if node is None else str(node)))
            if count >= 0:
                return count
            if problem := await self._work():
                raise AioQueueError(
                    f"The workflow {workflow} cannot be resumed yet: what workflows have left over is not done "
                    f"({problem}). Nothing was changed."
                )

    async def revoke_stamp(self, stamp: bytes, *, expires: int, terminate: bool) -> None:
        now = self.now()
        await self._call("ZREMRANGEBYSCORE", self._keys.revoked_stamps, "-inf", now - expires)
        await self._call("ZADD", self._keys.revoked_stamps, now, stamp)
        await self._call("PEXPIRE", self._keys.revoked_stamps, expires)
        await self._call("PUBLISH", self._keys.notices, of_stamp(terminate))

    async def records(self, ids: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for start in range(0, len(ids), _PAGE):
            names = [self._keys.record(id) for id in ids[start : start + _PAGE]]
            values: list[bytes | None] = await self._call("MGET", *names)
            found += [value[1:] if value is not None else None for value in values]
        return found

    def watch(self, id: str) -> AbstractAsyncContextManager[RedisWatch]:
        return self._watches.watch(id)

    async def revoke(
        self, ids: Sequence[str], record: bytes, *, expires: int, terminate: bool, told: Told = UNTOLD
    ) -> list[bool]:
        revoked: list[bool] = []
        hear = (told.failure, told.upstream, told.chord)
        about = (self._shift, record, expires, _REMEMBER_REVOKED, int(terminate), *hear)
        problems: list[AioQueueError] = []
        for start in range(0, len(ids), _PAGE):
            revoked += await self._revoke(ids[start : start + _PAGE], about, problems)
        await self._work()
        if problems:
            raise problems[0]
        return revoked

    async def _revoke(
        self, ids: Sequence[str], about: tuple[Argument, ...], problems: list[AioQueueError]
    ) -> list[bool]:
        """Revoke them; one whose workflow is broken is no reason for the others to run."""
        try:
            letters = await self._run_once("revoke", *about, *ids)
        except AioQueueError as error:
            if "REFUSED" not in str(error):
                raise
            if len(ids) == 1:
                problems.append(
                    AioQueueError(f"Task {ids[0]} cannot be revoked, for its workflow cannot be read: {error}")
                )
                return [False]
            middle = len(ids) // 2
            return await self._revoke(ids[:middle], about, problems) + await self._revoke(ids[middle:], about, problems)
        return [letter == "1" for letter in letters.decode()]

    async def _work(self) -> str:
        """Do what workflows have left over, so that nobody has to wait for a worker. Returns what it could not do."""
        while await self._call("EXISTS", self._keys.work):
            _, _, junk, _, problem = await self._run("promote", self._shift, _PAGE)
            if junk or problem:  # a worker sets it aside, or goes on trying
                return problem.decode(errors="backslashreplace") or "something in it cannot be read"
        return ""

    async def forget(self, ids: Sequence[str]) -> list[bool]:
        wholes: list[bool] = []
        for start in range(0, len(ids), _PAGE):
            letters: bytes = await self._run("forget", self._shift, *ids[start : start + _PAGE])
            wholes += [letter == "w" for letter in letters.decode()]
        if any(wholes):
            await self._work()
        return wholes

    async def dead_letters(self, *, limit: int, id: str | None = None) -> list[StoredLetter]:
        ids: list[bytes] = (
            [id.encode(errors="surrogateescape")]
            if id is not None
            else await self._call("ZREVRANGE", self._keys.dead, 0, limit - 1)
        )
        letters: list[StoredLetter] = []
        for start in range(0, len(ids), _PAGE):
            part = ids[start : start + _PAGE]
            values: list[bytes | None] = await self._call("HMGET", self._keys.dead_data, *part)
            if id is not None and values == [None] and await self._call("ZSCORE", self._keys.dead, *part) is None:
                return []
            letters += [StoredLetter(text(name), value or b"") for name, value in zip(part, values, strict=True)]
        return letters

    async def requeue_dead(self, message: Outgoing) -> bool:
        stream = keys.stream(message.queue, message.priority)
        own = (message.call, message.queue) if message.once else ()
        answer = await self._run_once("requeue_dead", message.id, stream, message.data, *own)
        if answer == b"d":
            raise DuplicateTask.of(message.id)
        return answer == b"1"

    async def remove_dead(self, ids: Sequence[str]) -> int:
        removed = 0
        for start in range(0, len(ids), _PAGE):
            removed += int(await self._run_once("remove_dead", *ids[start : start + _PAGE]))
        return removed

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
            delayed = _pairs(await self._call("HGETALL", self._keys.delayed_counts))
        except BrokerUnavailable:
            raise
        except AioQueueError as error:  # it is something else
            delayed, problem = {}, str(error)
        else:
            problem = ""
        return [await self._queue(text(name), delayed.get(name, b"0"), problem) for name in sorted({*names, *delayed})]

    async def _queue(self, name: str, delayed: bytes, problem: str) -> QueueStatus:
        found = QueueStatus(name=name, waiting=0, running=0, delayed=_number(delayed) or 0, problem=problem)
        if _number(delayed) is None:
            found = _replace(found, problem=f"how many are delayed is {delayed[:50]!r}")
        for stream in keys.streams([name]):
            try:
                found = await self._look_at(self._keys.stream(stream), found)
            except BrokerUnavailable:
                raise
            except AioQueueError as error:  # it is no stream
                found = _replace(found, problem=f"{stream}: {error}")
        return found

    async def _look_at(self, key: str, queue: QueueStatus) -> QueueStatus:
        """What is known of a queue, and of one more of its streams."""
        length = int(await self._call("XLEN", key))
        if not length:
            return queue
        groups: list[Any] = await self._call("XINFO", "GROUPS", key)
        none: dict[bytes, Any] = {}
        about = next((one for one in map(_pairs, groups) if one.get(b"name") == keys.GROUP.encode()), none)
        pending = int(about.get(b"pending", 0))
        last: bytes = about.get(b"last-delivered-id", b"0-0")
        first: list[Any] = await self._call("XRANGE", key, b"(" + last, "+", "COUNT", 1) if last != _LAST_ID else []
        oldest = queue.oldest
        if first:
            moment = int(first[0][0].partition(b"-")[0])
            oldest = moment if oldest is None else min(oldest, moment)
        return _replace(
            queue, waiting=queue.waiting + max(0, length - pending), running=queue.running + pending, oldest=oldest
        )

    async def purge(self, queue: str, record: bytes = b"", *, expires: int = 0, told: Told = UNTOLD) -> int:
        hear = (told.failure, told.upstream, told.chord)
        total = 0
        for stream in keys.streams([queue]):
            while dropped := int(await self._run("purge", stream, _PAGE, self._shift, record, expires, *hear)):
                total += dropped
        await self._work()
        return total

    async def workers(self) -> list[WorkerStatus]:
        about: dict[bytes, Any] = {}
        problem = "it says nothing of itself"
        try:
            about = _pairs(await self._call("HGETALL", self._keys.workers))
        except BrokerUnavailable:
            raise
        except AioQueueError as error:  # it is something else; the leases say at least who there is
            problem = str(error)
        leases: list[bytes] = await self._call("ZRANGE", self._keys.leases, 0, -1)
        found: list[WorkerStatus] = []
        for worker in leases:
            end = _number(await self._call("ZSCORE", self._keys.leases, worker) or b"0")
            lease = (_FOR_EVER if end is None else end) - self.now()
            if lease > 0:
                status = _worker_status(worker, about.get(worker), problem)
                status.lease = lease
                found.append(status)
        return found

    def consumer(
        self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int
    ) -> RedisConsumer:
        return RedisConsumer(
            self._server,
            self._keys,
            worker,
            visibility_timeout=visibility_timeout,
            dead_letters_max_length=dead_letters_max_length,
            offset=lambda: self._shift,
            broker_clock=self._clock,
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


def _begin(start: Start, max_length: int | None) -> plans.Start:
    """What is said of the whole of a workflow, as store.lua takes it."""
    return plans.Start(
        finish=str(start.end),
        total=start.total,
        open=start.open,
        keep=start.keep,
        names=start.names,
        held=int(start.held),
        queues=start.queues,
        most=max_length or 0,
        claims=start.claims,
        call=start.call,
    )


def _node(id: str, packed: bytes) -> Node:
    """A node without its message; where that cannot be read, a task of that id of which nothing is known."""
    try:
        node = decode_node(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError):
        return Node(kind=TASK, id=id, task="(cannot be read)")
    node.data = b""
    return node


def _numbers(packed: bytes) -> list[int]:
    """A page of nodes' numbers; none where it cannot be read."""
    try:
        return msgspec.msgpack.decode(packed, type=list[int])
    except (msgspec.MsgspecError, RecursionError):
        return []


def _worker_status(worker: bytes, said: bytes | None, problem: str) -> WorkerStatus:
    """What a worker says of itself; or that it cannot be read, or why there is nothing."""
    if said is not None:
        try:
            return msgspec.msgpack.decode(said, type=WorkerStatus)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            problem = f"what it says of itself cannot be read ({error}): {said[:100]!r}"
    id = text(worker)
    return WorkerStatus(id=id, name=id, host="", pid=0, queues=[], concurrency=0, started=0, problem=problem)


def _number(data: Any) -> int | None:
    """A whole number as Redis has it; None if it is none."""
    try:
        return int(float(data))
    except (ValueError, OverflowError):
        return None


_replace = msgspec.structs.replace


def _text(info: Any) -> str:
    return info.decode(errors="replace") if isinstance(info, bytes) else str(info)


def _pairs(reply: Any) -> dict[bytes, Any]:
    """A map, as RESP3 sends it or flat as RESP2 does."""
    if isinstance(reply, dict):
        return reply  # pyright: ignore[reportUnknownVariableType]
    return dict(zip(reply[::2], reply[1::2], strict=True))
