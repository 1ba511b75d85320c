"""The Redis broker, as a worker sees it."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from operator import attrgetter
from time import monotonic, time
from typing import Any, TypeVar, cast

import msgspec
from redis.exceptions import NoPermissionError, NoScriptError, ReadOnlyError, RedisError, ResponseError

from aioqueue import clock
from aioqueue.brokers.protocol import UNUSED_FOR, Delivery, Left, Notice, Settlement, Verdict, WorkerStatus
from aioqueue.brokers.redis import plans, values
from aioqueue.brokers.redis.keys import GROUP, Keys, queue_of, streams
from aioqueue.brokers.redis.link import Argument, Backoff, Link, is_transient, pack, text
from aioqueue.brokers.redis.notices import notices
from aioqueue.brokers.redis.outbox import rows, weight_of
from aioqueue.brokers.redis.scripts import Script, script
from aioqueue.brokers.redis.server import Server
from aioqueue.brokers.shares import shares
from aioqueue.clock import BrokerClock
from aioqueue.exceptions import LeaseLost, PayloadError
from aioqueue.logs import logger
from aioqueue.message import Record, State, encode_record
from aioqueue.payload.failure import Failure
from aioqueue.shortcuts import nothing_beside
from aioqueue.workflow import FAILED, KEEP_BROKEN, REVOKED, WRECKED, FailedCall, NoValue, Step, Value, encode_node, told

_TIMEOUT = 10.0
_T = TypeVar("_T")

# Lua unpacks so many values into one command's arguments, and no script should take longer than 5 ms.
_MOST_SETTLEMENTS = 1000
_TAKE_OVER_AT_ONCE = 200
_PAGE = 200
_QUEUES_AT_ONCE = 20
_AUDIT_EVERY = 120.0
_MANY = 20
# What is broken is looked at so often, and told of so often.
_LOOK_AGAIN = 1.0
_POLL = 0.1
_SAY_AGAIN = 60.0
# How many entries a worker may hold in one stream is not limited by this, only one look-up's answer.
_ALL = 100_000

# For how long an end waits for a stream that takes no more; then it is refused, so that its worker is free of it.
_BLOCKED_FOR = 10.0

# Refused whatever is settled, until somebody mends it: wait, and lose nothing.
_NOT_THE_DATA = (NoPermissionError, NoScriptError)
# What a script is not allowed to do is an ERR, not a NOPERM.
_NO_RIGHTS = re.compile("ACL failure in script|The user executing the script")
_VERDICTS = {verdict.value: verdict for verdict in Verdict}
_serial = attrgetter("serial")


class Handle(msgspec.Struct, frozen=True, gc=False):
    """An entry of a stream, and which it is of all that this consumer has read."""

    stream: str
    entry: str
    serial: int


class RedisConsumer:
    """A worker's connections: one that blocks, one for everything else, and one for the thread that renews."""

    def __init__(
        self,
        server: Server,
        keys: Keys,
        worker: WorkerStatus,
        *,
        visibility_timeout: float,
        dead_letters_max_length: int,
        offset: Callable[[], int],
        broker_clock: BrokerClock,
    ) -> None:
        self._server = server
        self._keys = keys
        self._worker = worker
        self._lease = int(visibility_timeout * 1000)
        self._most_dead = dead_letters_max_length
        self._offset = offset
        self._clock = broker_clock
        self._streams = streams(worker.queues)
        self._stream_keys = [keys.stream(stream) for stream in self._streams]
        self._queues = [queue_of(stream) for stream in self._streams]
        self._reader = Link(server)
        self._commands = Link(server)
        self._settler = Link(server)
        self._renewals: Any = None
        self._serial = 0
        self._number = 0
        self._idle = False
        self._steady = False
        self._has_damage = False
        self._complaints = Complaints()
        self._lease_end = 0
        self._audit_at = monotonic() + random.uniform(0.1, 1.0) * _AUDIT_EVERY

    @property
    def id(self) -> str:
        return self._worker.id

    async def join(self) -> None:
        about = msgspec.msgpack.encode(self._worker)
        asked, offset = clock.seconds(), self._offset()
        now: int = await self._run(
            "join", self.id, self._lease, offset, about, *self._streams, "", *self._worker.queues
        )
        self._clock.learn(now - offset, asked)
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
        reply = await self._reader.run(
            script("fetch"), self._keys.prefix, self.id, limit, *self._streams, timeout=_TIMEOUT
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
                _shown(reply[2]),
            )
        return deliveries

    async def _plain_read(self, limit: int, count: int, wait: float = 0) -> list[Delivery]:
        """Read so many of each stream, and wait for them if there are none; more than the limit goes back."""
        block: tuple[Argument, ...] = ("BLOCK", max(1, int(wait * 1000))) if wait > 0 else ()
        read: tuple[Argument, ...] = (
            *("XREADGROUP", "GROUP", GROUP, self.id, "COUNT", count, *block),
            *("STREAMS", *self._stream_keys, *(">" for _ in self._stream_keys)),
        )
        try:
            reply, revoked, lease = await self._reader.calls(
                (
                    read,
                    ("ZCARD", self._keys.revoked),
                    ("ZSCORE", self._keys.leases, self.id),
                ),
                timeout=wait + 5.0,
            )
        except ResponseError as error:
            if any(word in str(error) for word in ("NOGROUP", "UNBLOCKED", "WRONGTYPE")):
                return await self._read(limit)  # makes the groups again, and goes without what is no stream
            raise
        if lease is None:
            await self.leave()  # what was read just now belongs to a worker that nobody watches
            raise LeaseLost(self._lease_lost)
        if not reply:
            return []
        deliveries: list[Delivery] = []
        streams = cast("Any", reply).items() if isinstance(reply, dict) else reply
        for name, entries in streams:
            position = self._stream_keys.index(name.decode())
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
        for share in shares(settlements, _weight):
            verdicts += await self._settle(share)
        return verdicts

    async def _settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        self._number += 1
        try:
            applied, arguments = self._request(settlements)
        except Exception as error:  # one that cannot be encoded must not hold up the others
            return await self._settle_apart(settlements, error)
        backoff = Backoff()
        while True:
            try:
                letters: bytes = await self._settler.run(applied, self._keys.prefix, *arguments, timeout=_TIMEOUT)
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
                        str(error).rstrip("."),
                    )
                await backoff.wait()

    async def _settle_apart(self, settlements: Sequence[Settlement], error: Exception) -> list[Verdict]:
        """One of them cannot be applied, and must not hold up the others."""
        if len(settlements) > 1:
            middle = len(settlements) // 2
            return await self._settle(settlements[:middle]) + await self._settle(settlements[middle:])
        [settlement] = settlements
        settlement.problem = _problem(error)
        return [self._judged(settlement, error)]

    def _judged(self, settlement: Settlement, error: Exception) -> Verdict:
        """Whether one that was not applied can be, later."""
        about = str(error)
        if not isinstance(error, RedisError) or about.startswith("REFUSED"):
            return Verdict.REFUSED
        now = monotonic()
        if settlement.blocked is None:
            settlement.blocked = now
        if about.startswith("BLOCKED") and now - settlement.blocked > _BLOCKED_FOR:
            return Verdict.REFUSED
        self._complaints.tell(
            "The end of task %s waits for the broker: %s. It is kept, and tried again.",
            settlement.delivery.id,
            settlement.problem,
        )
        return Verdict.BLOCKED

    def _request(self, settlements: Sequence[Settlement]) -> tuple[Script, list[Argument]]:
        """What applies them, and its arguments."""
        if len(settlements) == 1 and _is_plain(settlements[0]):
            return script("settle_one"), self._single(settlements[0])
        return script("settle"), self._plan(settlements)

    def _single(self, settlement: Settlement) -> list[Argument]:
        """ARGV of the script for a plain one: see settle_one.lua."""
        handle: Handle = settlement.delivery.handle
        arguments: list[Argument] = [self.id, self._number, self._offset(), handle.stream, handle.entry]
        return [*arguments, settlement.delivery.id, settlement.expires, _stored(settlement)]

    def _plan(self, settlements: Sequence[Settlement]) -> list[Argument]:
        """ARGV of the script: see settle.lua."""
        data: list[Argument] = []
        streams: dict[str, tuple[int, list[Handle]]] = {}
        ends: list[plans.End] = []
        for settlement in settlements:
            handle: Handle = settlement.delivery.handle
            found = streams.get(handle.stream)
            if found is None:
                found = streams[handle.stream] = (len(streams) + 1, [])
            position, handles = found
            handles.append(handle)
            record = dead = 0
            if settlement.record is not None:
                data.append(_stored(settlement))
                record = len(data) + 1
            if settlement.dead is not None:
                data.append(settlement.dead)
                dead = len(data) + 1
            step = _step(settlement.step, data) if settlement.step is not None else 0
            end = plans.End(
                position,
                handle.entry,
                settlement.delivery.id,
                1 if settlement.acknowledge else 0,
                record,
                1 if settlement.final else 0,
                settlement.expires,
                step,
            )
            if not _is_short(settlement):
                end = plans.WholeEnd(
                    *msgspec.structs.astuple(end),
                    sends=rows(settlement.sends, data),
                    letter=dead,
                    if_revoked=int(settlement.if_revoked),
                    own=int(settlement.own_id),
                    early=int(settlement.early),
                )
            ends.append(end)
        spans = [
            plans.Stream(stream, min(handles, key=_serial).entry, max(handles, key=_serial).entry, _ALL)
            for stream, (_, handles) in streams.items()
        ]
        plan = plans.Settle(self.id, self._number, self._offset(), self._most_dead, spans, ends)
        return [msgspec.msgpack.encode(plan), *data]

    # Leases

    def renew(self) -> bool:
        text = script("renew")
        asked, offset = clock.seconds(), self._offset()
        arguments = (self._keys.prefix, self.id, self._lease, offset)
        try:
            reply = self._renew_call("EVALSHA", text.sha, 1, *arguments)
        except NoScriptError:
            reply = self._renew_call("EVAL", text.text, 1, *arguments)
        if reply:
            self._clock.learn(reply - offset, asked)
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
        moved, more, next_end, problem = await self._run(
            *("take_over", self.id, self._lease, self._offset(), _TAKE_OVER_AT_ONCE, int(audit), self._lease_end),
            *self._worker.queues,
        )
        if moved:
            logger.warning("Took over %d tasks of workers that have been silent for longer than their lease.", moved)
        if problem:
            self._complaints.tell(
                "What a dead worker held cannot be queued again: %s. It stays where it is, and is tried again.",
                _shown(problem),
            )
            return _LOOK_AGAIN
        if more:
            return 0.0
        # A lease that is taken out from now on ends no earlier than the shortest there is. Apart, so that not all
        # workers ask in the same moment.
        in_ms = next_end if 0 <= next_end < self._lease else self._lease
        return in_ms / 1000 + random.uniform(0.01, 0.25)

    async def tidy(self) -> int:
        return await self._run("tidy", self._offset(), UNUSED_FOR, _QUEUES_AT_ONCE)

    async def hand_back(self, held: Sequence[Delivery]) -> int:
        return await self._hand_back("keep", *self._streams, "", *_names(held))

    async def leave(self) -> int:
        return await self._hand_back("leave", *self._streams, "")

    async def _hand_back(self, mode: str, *arguments: Argument) -> int:
        total, more = 0, 1
        while more:
            moved, more, problem = await self._run("hand_back", self.id, _TAKE_OVER_AT_ONCE, mode, *arguments)
            total += moved
            if problem:
                self._complaints.tell("Worker %s cannot hand back all: %s", self._worker.name, _shown(problem))
                if not moved:  # nor will it at once
                    break
        return total

    # Time, news

    async def promote(self) -> float | None:
        reply = await self._run("promote", self._offset(), _TAKE_OVER_AT_ONCE)
        if reply[2]:
            reply = await self._run("promote", self._offset(), _TAKE_OVER_AT_ONCE, *self._for_aside())
        moved, next_due, _, set_aside, problem = reply
        for id, why in set_aside:
            logger.error("%s was set aside, see the dead letters: %s", _shown(id), _shown(why))
        if problem:
            self._complaints.tell("What is due cannot be queued: %s. It waits, and is tried again.", _shown(problem))
            return min(_LOOK_AGAIN, next_due / 1000) if next_due > 0 else _LOOK_AGAIN
        if moved >= _TAKE_OVER_AT_ONCE:
            return 0.0
        return next_due / 1000 if next_due >= 0 else None

    def _for_aside(self) -> list[Argument]:
        """What a script has to know to set something aside: see aside.lua."""
        now = int(time() * 1000) + self._offset()
        error = PayloadError("What the broker held of this task cannot be read. It was moved to the dead letters.")
        failed = FailedCall(id="", task="", failure=Failure.of(error))
        hear = told(failed, now=now)
        record = Record(
            state=State.FAILURE,
            failure=failed.failure,
            reason=failed.failure.message,
            worker=self._worker.name,
            ended=now,
            dead=True,
        )
        encode = msgspec.msgpack.encode
        head = [
            *("queue", "", "deliveries", 0, "died_at", now, "worker", self._worker.name, "raw"),
        ]
        start = bytes([0x80 + 6]) + b"".join(map(encode, head))
        return [encode_record(record), KEEP_BROKEN, hear.failure, hear.upstream, hear.chord, start]

    async def left(self) -> Left:
        held, *pairs = await self._run("left", self.id, *self._streams)
        holders = {text(worker): int(float(end)) for worker, end in zip(pairs[::2], pairs[1::2], strict=True)}
        looked_at = retries = others = 0
        due = -1
        while True:
            last = looked_at + _PAGE - 1
            count, more, first, rest = await self._run(
                "left_delayed", self._offset(), looked_at, last, *dict.fromkeys(self._worker.queues)
            )
            looked_at, retries, others = looked_at + count, retries + more, others + rest
            due = first if due < 0 else due
            if count < _PAGE:
                break
        return Left(retries=retries, due=max(0, due) / 1000, delayed=others, holders=holders, held=held)

    def notices(self) -> AsyncIterator[Notice]:
        return notices(self._server, self._keys.notices)

    async def revoked(self, ids: Sequence[str]) -> list[bool]:
        flags: list[bool] = []
        for start in range(0, len(ids), _MOST_SETTLEMENTS):
            part = ids[start : start + _MOST_SETTLEMENTS]
            scores: list[Any] = await self._commands.call("ZMSCORE", self._keys.revoked, *part, timeout=_TIMEOUT)
            flags += [score is not None for score in scores]
        return flags

    async def queued(self, ids: Sequence[str]) -> list[bool]:
        flags: list[bool] = []
        for start in range(0, len(ids), _MOST_SETTLEMENTS):
            part = ids[start : start + _MOST_SETTLEMENTS]
            flags += map(bool, await self._run("queued", len(self._streams), *self._streams, *part))
        return flags

    async def stamps(self) -> list[tuple[bytes, int]]:
        found: list[Any] = await self._commands.call(
            "ZRANGE", self._keys.revoked_stamps, 0, -1, "WITHSCORES", timeout=_TIMEOUT
        )
        # RESP3 answers with pairs.
        flat = [part for pair in found for part in pair] if found and isinstance(found[0], list) else found
        return [(stamp, int(float(score))) for stamp, score in zip(flat[::2], flat[1::2], strict=True)]

    async def value(self, workflow: str, node: int) -> Value | None:
        return await self._value(values.load, workflow, str(node))

    async def failure(self, workflow: str, subject: str) -> NoValue | None:
        return await self._value(values.load_failure, workflow, subject)

    async def _value(self, load: Callable[..., Awaitable[_T | None]], workflow: str, node: str) -> _T | None:
        """What is loaded of a workflow, whose keys may be broken for a while, or for good."""
        until = monotonic() + _BLOCKED_FOR
        while True:
            try:
                return await load(self._values_call, self._keys, workflow, node)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError) as error:
                raise _unreadable(workflow, error) from None
            except ResponseError as error:
                if is_transient(error) or isinstance(error, _NOT_THE_DATA):
                    raise
                if monotonic() > until:
                    raise _unreadable(workflow, error) from None
                await asyncio.sleep(_LOOK_AGAIN)

    async def _values_call(self, *arguments: Argument) -> Any:
        return await self._commands.call(*arguments, timeout=_TIMEOUT)

    async def close(self) -> None:
        await self._reader.close()
        await self._commands.close()
        await self._settler.close()
        self._end_renewals()

    async def _run(self, name: str, *arguments: Argument) -> Any:
        return await self._commands.run(script(name), self._keys.prefix, *arguments, timeout=_TIMEOUT)


def _weight(settlement: Settlement) -> int:
    """How many bytes go to the broker with it, all but."""
    step = settlement.step
    size = len(settlement.record or b"") + len(settlement.dead or b"")
    if step is not None:
        told = step.told
        size += len(step.value or b"") + len(told.failure) + len(told.upstream) + len(told.chord)
    return size + sum(map(weight_of, settlement.sends)) if settlement.sends else size


# What the broker notes of a settlement itself is not a part of it.
_NOTES = ("problem", "blocked")
# Whether what settle_one.lua takes is all there is of a settlement.
_is_end_alone = nothing_beside(Settlement, "delivery", "record", "expires", *_NOTES, final=True)
# Whether the first eight parts of a row of settle.lua are.
_is_short = nothing_beside(Settlement, "delivery", "acknowledge", "record", "final", "expires", "step", *_NOTES)
# Whether a step says of its task only that it has ended well.
_is_done = nothing_beside(Step, "workflow", "node", "value")


def _is_plain(settlement: Settlement) -> bool:
    """Whether it acknowledges a message and keeps a record, and that is all."""
    return settlement.record is not None and settlement.expires >= 0 and _is_end_alone(settlement)


def _stored(settlement: Settlement) -> bytes:
    """A record as it is stored, which says first whether it is the end."""
    return (b"1" if settlement.final else b"0") + (settlement.record or b"")


def _step(step: Step, data: list[Argument]) -> plans.Done:
    """A step as settle.lua takes it; its data are added to `data`."""

    def index(part: bytes) -> int:
        data.append(part)
        return len(data) + 1

    after = chord = 0
    if step.state in (FAILED, REVOKED, WRECKED):
        value, after, chord = index(step.told.failure), index(step.told.upstream), index(step.told.chord)
    else:
        value = index(step.value) if step.value is not None else 0
        if _is_done(step):
            return plans.Done(step.workflow, step.node, step.state, value)
    additions = [
        plans.Addition(addition.workflow, addition.group[0], str(addition.group[1]), index(encode_node(addition.node)))
        for addition in step.additions
    ]
    return plans.Step(step.workflow, step.node, step.state, value, after, chord, step.graft, additions)


def _names(deliveries: Sequence[Delivery]) -> list[str]:
    return [f"{delivery.handle.stream}\0{delivery.handle.entry}" for delivery in deliveries]


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


def _unreadable(workflow: str, error: Exception) -> PayloadError:
    return PayloadError(
        f"What comes before the arguments cannot be read, for the workflow {_shown(workflow[:36])} is broken "
        f"({_problem(error)}). The task was moved to the dead letters."
    )


class Complaints:
    """Says what does not go away by itself: at once, and then now and again."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def tell(self, text: str, *arguments: object) -> None:
        """Say it, unless something of the kind has just been said."""
        now = monotonic()
        if now - self._told.get(text, float("-inf")) >= _SAY_AGAIN:
            self._told[text] = now
            logger.warning(text, *arguments)


_CALL_SITE = re.compile(r",? ?(on @user_script:\d+|script: [0-9a-f]+,?)\.?")


def _problem(error: Exception) -> str:
    """What a script says of what is wrong, without its own code."""
    about = str(error)
    for word in ("REFUSED ", "BLOCKED "):
        about = about.removeprefix(word)
    return _shown(re.sub(r"^(\w+:\d+:|user_script:\d+:) ?", "", _CALL_SITE.sub("", about)))


def _shown(text: bytes | str) -> str:
    """A text from elsewhere, fit for a log."""
    shown = text.decode(errors="backslashreplace") if isinstance(text, bytes) else text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in shown)[:500]
