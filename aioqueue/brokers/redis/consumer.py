"""The Redis broker, as a worker sees it."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Callable, Sequence
from time import monotonic
from typing import Any, cast

import msgspec
from redis.exceptions import NoPermissionError, NoScriptError, ReadOnlyError, RedisError, ResponseError

from aioqueue.brokers.protocol import Delivery, Notice, Settlement, Verdict, WorkerStatus
from aioqueue.brokers.redis import keys, values
from aioqueue.brokers.redis.link import Argument, Backoff, Link, is_transient, pack
from aioqueue.brokers.redis.outbox import rows
from aioqueue.brokers.redis.scripts import script
from aioqueue.brokers.redis.server import Server
from aioqueue.brokers.redis.subscription import listen
from aioqueue.exceptions import LeaseLost
from aioqueue.logs import logger
from aioqueue.workflow import DONE, FAILED, REVOKED, Step, Value, encode_node

_TIMEOUT = 10.0
# Lua unpacks so many values into one command's arguments, and no script should take longer than 5 ms.
_MOST_SETTLEMENTS = 1000
_TAKE_OVER_AT_ONCE = 200
_AUDIT_EVERY = 120.0
_MANY = 20
# How many entries a worker may hold in one stream is not limited by this, only one look-up's answer.
_ALL = 100_000

# Refused whatever is settled, until somebody mends it: wait, and lose nothing.
_NOT_THE_DATA = (NoPermissionError, NoScriptError)
# What a script is not allowed to do is an ERR, not a NOPERM.
_NO_RIGHTS = re.compile("ACL failure in script|The user executing the script")
_VERDICTS = {verdict.value: verdict for verdict in Verdict}


class Handle(msgspec.Struct, frozen=True, gc=False):
    """An entry of a stream, and its place among all that this consumer has read."""

    stream: str
    entry: str
    serial: int


class RedisConsumer:
    """A worker's connections: one that blocks, one for everything else, and one for the thread that renews."""

    def __init__(
        self,
        server: Server,
        prefix: str,
        worker: WorkerStatus,
        *,
        visibility_timeout: float,
        dead_letters_max_length: int,
        offset: Callable[[], int],
    ) -> None:
        self._server = server
        self._prefix = prefix
        self._worker = worker
        self._lease = int(visibility_timeout * 1000)
        self._most_dead = dead_letters_max_length
        self._offset = offset
        self._streams = keys.streams(worker.queues)
        self._queues = [keys.queue_of(stream) for stream in self._streams]
        self._reader = Link(server)
        self._commands = Link(server)
        self._settler = Link(server)
        self._renewals: Any = None
        self._serial = 0
        self._number = 0
        self._idle = False
        self._steady = False
        self._lease_end = 0
        self._audit_at = monotonic() + random.uniform(0.1, 1.0) * _AUDIT_EVERY

    @property
    def id(self) -> str:
        return self._worker.id

    async def join(self) -> None:
        about = msgspec.msgpack.encode(self._worker)
        now: int = await self._run(
            "join", self.id, self._lease, self._offset(), about, *self._streams, "", *self._worker.queues
        )
        self._lease_end = now + self._lease

    # Fetching

    async def fetch(self, limit: int, *, wait: float) -> list[Delivery]:
        # A script reads exactly as many as there is room for, in the order of priorities. When it finds nothing, a
        # blocking read of all streams waits, and after one that found little the next: an idle worker costs little,
        # and one that has little to do answers soon. While one stream alone gives many messages at once, it is read
        # without the script, which takes as long for each message as everything else that the server does for it.
        limit = min(limit, _MOST_SETTLEMENTS)
        if not self._idle or wait <= 0:
            deliveries = await (self._plain_read(limit, limit) if self._steady else self._read(limit))
            if deliveries or wait <= 0:
                return deliveries
        self._idle = self._steady = False
        # COUNT is for each stream, so all of them together stay within the limit (or one each).
        count = max(1, limit // len(self._streams))
        # A worker that is frozen while it waits must not be lent anything after its lease has ended.
        deliveries = await self._plain_read(limit, count, min(wait, self._lease / 2000))
        self._idle = len(deliveries) < limit // len(self._streams)
        return deliveries

    async def _read(self, limit: int) -> list[Delivery]:
        reply = await self._reader.run(script("fetch"), self._prefix, self.id, limit, *self._streams, timeout=_TIMEOUT)
        if reply == b"lost":
            raise LeaseLost(self._lease_lost)
        deliveries: list[Delivery] = []
        for position, entries in reply[0]:
            self._collect(position - 1, entries, deliveries)
        self._mark(deliveries, {id.decode(errors="replace") for id in reply[1]})
        self._steady = len(reply[0]) == 1 and len(deliveries) >= _MANY
        return deliveries

    async def _plain_read(self, limit: int, count: int, wait: float = 0) -> list[Delivery]:
        """Read so many of each stream, and wait for them if there are none; more than the limit goes back."""
        names = [self._prefix + stream for stream in self._streams]
        block: tuple[Argument, ...] = ("BLOCK", max(1, int(wait * 1000))) if wait > 0 else ()
        read: tuple[Argument, ...] = (
            *("XREADGROUP", "GROUP", keys.GROUP, self.id, "COUNT", count, *block),
            *("STREAMS", *names, *(">" for _ in names)),
        )
        try:
            reply, revoked, lease = await self._reader.calls(
                (
                    read,
                    ("ZCARD", self._prefix + "revoked"),
                    ("ZSCORE", self._prefix + "leases", self.id),
                ),
                timeout=wait + 5.0,
            )
        except ResponseError as error:
            if "NOGROUP" in str(error) or "UNBLOCKED" in str(error):
                return await self._read(limit)  # makes the groups again
            raise
        if lease is None:
            await self.leave()  # what was read just now belongs to a worker that nobody watches
            raise LeaseLost(self._lease_lost)
        if not reply:
            return []
        deliveries: list[Delivery] = []
        streams = cast("Any", reply).items() if isinstance(reply, dict) else reply
        for name, entries in streams:
            position = self._streams.index(name.decode()[len(self._prefix) :])
            self._collect(position, entries, deliveries)
        if len(deliveries) > limit:  # several streams had something at once; the last read are the least urgent
            await self._hand_back("these", *self._streams, "", *_names(deliveries[limit:]))
            del deliveries[limit:]
        self._steady = len(streams) == 1 and len(deliveries) >= _MANY
        if revoked:
            ids = [delivery.id for delivery in deliveries]
            flags = await self.revoked(ids)
            self._mark(deliveries, {id for id, flag in zip(ids, flags, strict=True) if flag})
        return deliveries

    @property
    def _lease_lost(self) -> str:
        return f"Worker {self._worker.name} ({self.id}) was silent for longer than its lease."

    def _collect(self, position: int, entries: Any, deliveries: list[Delivery]) -> None:
        stream, queue = self._streams[position], self._queues[position]
        serial = self._serial
        for entry, fields in entries:
            serial += 1
            handle = Handle(stream, entry.decode(), serial)
            if fields and len(fields) == 4 and fields[0] == b"i" and fields[2] == b"m":
                deliveries.append(Delivery(handle, fields[1].decode(errors="replace"), fields[3], queue))
            elif fields and len(fields) == 6 and fields[0] == b"i" and fields[2] == b"m" and fields[4] == b"v":
                delivery = Delivery(handle, fields[1].decode(errors="replace"), fields[3], queue, value=fields[5])
                deliveries.append(delivery)
            else:
                deliveries.append(_unusual(handle, fields, queue))
        self._serial = serial

    @staticmethod
    def _mark(deliveries: list[Delivery], revoked: set[str]) -> None:
        if revoked:
            for delivery in deliveries:
                delivery.revoked = delivery.id in revoked

    # Settling

    async def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for start in range(0, len(settlements), _MOST_SETTLEMENTS):
            verdicts += await self._settle(settlements[start : start + _MOST_SETTLEMENTS])
        return verdicts

    async def _settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        self._number += 1
        try:
            alone = len(settlements) == 1 and _is_plain(settlements[0])
            arguments = self._single(settlements[0]) if alone else self._plan(settlements)
        except Exception as error:  # one that cannot be encoded must not hold up the others
            return await self._settle_apart(settlements, error)
        applied = script("settle_one" if alone else "settle")
        backoff = Backoff()
        while True:
            try:
                letters: bytes = await self._settler.run(applied, self._prefix, *arguments, timeout=_TIMEOUT)
                return [_VERDICTS[letter] for letter in letters.decode()]
            except (RedisError, OSError) as error:
                if (
                    isinstance(error, ResponseError)
                    and not isinstance(error, _NOT_THE_DATA)
                    and not _NO_RIGHTS.search(str(error))
                    and not is_transient(error)
                ):
                    return await self._settle_apart(settlements, error)
                if backoff.failures in (1, 5) or backoff.failures % 20 == 19:
                    logger.warning(
                        "The ends of %d tasks wait for the broker: %s. They are kept, and tried again.",
                        len(settlements),
                        error,
                    )
                await backoff.wait()

    async def _settle_apart(self, settlements: Sequence[Settlement], error: Exception) -> list[Verdict]:
        """One of them is refused, and must not hold up the others."""
        if len(settlements) > 1:
            middle = len(settlements) // 2
            return await self._settle(settlements[:middle]) + await self._settle(settlements[middle:])
        logger.error(
            "The broker refuses the end of task %s: %s. Its message stays in the queue %r, and is delivered again "
            "when this worker stops.",
            settlements[0].delivery.id,
            error,
            settlements[0].delivery.queue,
        )
        return [Verdict.FENCED]

    def _single(self, settlement: Settlement) -> list[Argument]:
        """ARGV of the script for a plain one: see settle_one.lua."""
        handle: Handle = settlement.delivery.handle
        arguments: list[Argument] = [self.id, self._number, self._offset(), handle.stream, handle.entry]
        return [*arguments, settlement.delivery.id, settlement.expires, _stored(settlement)]

    def _plan(self, settlements: Sequence[Settlement]) -> list[Argument]:
        """ARGV of the script: see settle.lua."""
        data: list[Argument] = []
        positions: dict[str, int] = {}
        first: list[Handle] = []
        last: list[Handle] = []
        table: list[tuple[Any, ...]] = []
        for settlement in settlements:
            handle: Handle = settlement.delivery.handle
            position = 0
            if settlement.guarded:
                position = positions.get(handle.stream, 0)
                if not position:
                    position = positions[handle.stream] = len(positions) + 1
                    first.append(handle)
                    last.append(handle)
                elif handle.serial < first[position - 1].serial:
                    first[position - 1] = handle
                elif handle.serial > last[position - 1].serial:
                    last[position - 1] = handle
            record = dead = 0
            if settlement.record is not None:
                data.append(_stored(settlement))
                record = len(data) + 1
            if settlement.dead is not None:
                data.append(settlement.dead)
                dead = len(data) + 1
            step = _step(settlement.step, data) if settlement.step is not None else 0
            row = (
                position,
                handle.entry,
                settlement.delivery.id,
                1 if settlement.acknowledge else 0,
                record,
                1 if settlement.final else 0,
                settlement.expires,
                step,
            )
            if settlement.sends or dead or settlement.if_revoked:
                row += (rows(settlement.sends, data), dead, 1 if settlement.if_revoked else 0)
            table.append(row)
        streams = [
            (stream, first[position - 1].entry, last[position - 1].entry, _ALL)
            for stream, position in positions.items()
        ]
        plan = (self.id, self._number, self._offset(), self._most_dead, streams, table)
        return [msgspec.msgpack.encode(plan), *data]

    # Leases

    def renew(self) -> bool:
        text = script("renew")
        arguments = (self._prefix, self.id, self._lease, self._offset())
        try:
            reply = self._renew_call("EVALSHA", text.sha, 1, *arguments)
        except NoScriptError:
            reply = self._renew_call("EVAL", text.text, 1, *arguments)
        if reply:
            self._lease_end = reply + self._lease
        return bool(reply)

    def _renew_call(self, *arguments: Argument) -> Any:
        """A call from the renewer's thread, over a connection that only it uses."""
        if self._renewals is None:
            self._renewals = self._server.blocking_connection(timeout=max(0.5, self._lease / 4000))
        try:
            self._renewals.send_packed_command([pack(*arguments)], check_health=False)
            return self._renewals.read_response()
        except ResponseError as error:
            if isinstance(error, ReadOnlyError):  # a primary that was demoted: connect again, maybe elsewhere
                self._end_renewals()
            raise
        except BaseException:
            self._end_renewals()
            raise

    def _end_renewals(self) -> None:
        if self._renewals is not None:
            self._renewals.disconnect()
            self._renewals = None

    async def take_over(self) -> float:
        audit = monotonic() >= self._audit_at
        if audit:
            self._audit_at = monotonic() + random.uniform(0.8, 1.2) * _AUDIT_EVERY
        moved, more, next_end = await self._run(
            "take_over", self.id, self._lease, self._offset(), _TAKE_OVER_AT_ONCE, int(audit), self._lease_end
        )
        if moved:
            logger.warning("Took over %d tasks of workers that have been silent for longer than their lease.", moved)
        if more:
            return 0.0
        # A lease that is taken out from now on ends no earlier than the shortest there is. Apart, so that not all
        # workers ask in the same moment.
        in_ms = next_end if 0 <= next_end < self._lease else self._lease
        return in_ms / 1000 + random.uniform(0.01, 0.25)

    async def hand_back(self, held: Sequence[Delivery]) -> int:
        return await self._hand_back("keep", *self._streams, "", *_names(held))

    async def leave(self) -> int:
        return await self._hand_back("leave", *self._streams, "")

    async def _hand_back(self, mode: str, *arguments: Argument) -> int:
        total, more = 0, 1
        while more:
            moved, more = await self._run("hand_back", self.id, _TAKE_OVER_AT_ONCE, mode, *arguments)
            total += moved
        return total

    # Time, news

    async def promote(self) -> float | None:
        moved, next_due = await self._run("promote", self._offset(), _TAKE_OVER_AT_ONCE)
        if moved >= _TAKE_OVER_AT_ONCE:
            return 0.0
        return next_due / 1000 if next_due >= 0 else None

    async def notices(self) -> AsyncIterator[Notice]:
        backoff = Backoff()
        while True:
            try:
                async for news in listen(self._server, self._prefix + "notices"):
                    backoff.reset()
                    yield _notice(news)
            except (RedisError, OSError):
                await backoff.wait()

    async def revoked(self, ids: Sequence[str]) -> list[bool]:
        flags: list[bool] = []
        for start in range(0, len(ids), _MOST_SETTLEMENTS):
            part = ids[start : start + _MOST_SETTLEMENTS]
            scores: list[Any] = await self._commands.call("ZMSCORE", self._prefix + "revoked", *part, timeout=_TIMEOUT)
            flags += [score is not None for score in scores]
        return flags

    async def stamps(self) -> list[tuple[bytes, int]]:
        found: list[Any] = await self._commands.call(
            "ZRANGE", self._prefix + "revoked:stamps", 0, -1, "WITHSCORES", timeout=_TIMEOUT
        )
        # RESP3 answers with pairs.
        flat = [part for pair in found for part in pair] if found and isinstance(found[0], list) else found
        return [(stamp, int(float(score))) for stamp, score in zip(flat[::2], flat[1::2], strict=True)]

    async def value(self, workflow: str, node: int) -> Value | None:
        return await values.load(self._values_call, self._prefix, workflow, str(node))

    async def handled(self, workflow: str, subject: str) -> Value | None:
        return await values.load_failure(self._values_call, self._prefix, workflow, subject)

    async def _values_call(self, *arguments: Argument) -> Any:
        return await self._commands.call(*arguments, timeout=_TIMEOUT)

    async def close(self) -> None:
        await self._reader.close()
        await self._commands.close()
        await self._settler.close()
        self._end_renewals()

    async def _run(self, name: str, *arguments: Argument) -> Any:
        return await self._commands.run(script(name), self._prefix, *arguments, timeout=_TIMEOUT)


def _is_plain(settlement: Settlement) -> bool:
    """Whether it acknowledges a message and keeps a record, and that is all."""
    usual = settlement.guarded and settlement.acknowledge and settlement.final and not settlement.if_revoked
    more = settlement.sends or settlement.step is not None or settlement.dead is not None
    return usual and not more and settlement.record is not None and settlement.expires >= 0


def _stored(settlement: Settlement) -> bytes:
    """A record as it is stored, which says first whether it is the end."""
    return (b"1" if settlement.final else b"0") + (settlement.record or b"")


def _step(step: Step, data: list[Argument]) -> tuple[Any, ...]:
    """A step as settle.lua takes it; its data are added to `data`."""

    def index(part: bytes) -> int:
        data.append(part)
        return len(data) + 1

    value = index(step.value) if step.value is not None else 0
    if step.state == DONE and not step.additions:
        return step.workflow, step.node, DONE, value
    bad = step.state in (FAILED, REVOKED)
    after, chord = (index(step.upstream), index(step.chord)) if bad else (0, 0)
    additions = [
        (addition.workflow, addition.group[0], str(addition.group[1]), index(encode_node(addition.node)))
        for addition in step.additions
    ]
    return step.workflow, step.node, step.state, value, after, chord, step.graft, additions


def _names(deliveries: Sequence[Delivery]) -> list[str]:
    return [f"{delivery.handle.stream}\0{delivery.handle.entry}" for delivery in deliveries]


def _unusual(handle: Handle, fields: list[bytes] | None, queue: str) -> Delivery:
    """An entry that was handed back, or that somebody else wrote: then it may lack an id, or count without end."""
    values = dict(zip(fields[::2], fields[1::2], strict=False)) if fields else {}
    before = values.get(b"d", b"0")[:9]
    return Delivery(
        handle,
        values.get(b"i", b"").decode(errors="replace") or f"unnamed-{handle.entry}",
        values.get(b"m", b""),
        queue,
        int(before) + 1 if before.isdigit() else 1,
    )


def _notice(news: bytes | None) -> Notice:
    if news is None:
        return Notice("connected")
    if news == b"due":
        return Notice("due")
    kind, ids, terminate = msgspec.msgpack.decode(news, type=tuple[str, tuple[str, ...], bool])
    return Notice(kind, ids, terminate)
