"""The Redis broker, as a worker sees it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from time import monotonic, time
from typing import Any, TypeVar

import msgspec
from redis.exceptions import ResponseError

from aioqueue import clock
from aioqueue.brokers.protocol import UNUSED_FOR, Answer, Delivery, Left, Notice, Proxy, WorkerStatus
from aioqueue.brokers.redis import link, values
from aioqueue.brokers.redis.complaints import Complaints, problem_of, shown
from aioqueue.brokers.redis.keys import Keys, streams
from aioqueue.brokers.redis.link import Argument, Link, is_transient, text
from aioqueue.brokers.redis.neighbours import Neighbours
from aioqueue.brokers.redis.notices import notices
from aioqueue.brokers.redis.reader import Reader
from aioqueue.brokers.redis.renewals import Renewals
from aioqueue.brokers.redis.scripts import script
from aioqueue.brokers.redis.server import Server
from aioqueue.brokers.redis.settler import NOT_THE_DATA, Settler
from aioqueue.clock import BrokerClock
from aioqueue.exceptions import PayloadError
from aioqueue.logs import logger
from aioqueue.message import Record, State, encode_record
from aioqueue.payload.failure import Failure
from aioqueue.wording import counted
from aioqueue.workflow import KEEP_BROKEN, FailedCall, NoValue, Value, told

_T = TypeVar("_T")

# Lua unpacks so many values into one command's arguments.
_IDS_AT_ONCE = 1000
# No script should take longer than 5 ms.
_MOVED_AT_ONCE = 200
_PAGE = 200
_QUEUES_AT_ONCE = 20
_AUDIT_EVERY = 120.0
# What is broken is looked at so often.
_LOOK_AGAIN = 1.0
# For how long a value that cannot be read is waited for.
_BLOCKED_FOR = 10.0


class RedisConsumer:
    """A worker's connections: one that reads and may block, one that settles, one for everything else, one for the
    thread that renews, and one that listens."""

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
        neighbours: Neighbours | None = None,
    ) -> None:
        self._server = server
        self._keys = keys
        self._worker = worker
        self._lease = int(visibility_timeout * 1000)
        self._offset = offset
        self._clock = broker_clock
        self._neighbours = neighbours
        self._streams = streams(worker.queues)
        self._commands = Link(server)
        self._complaints = Complaints()
        self._renewals = Renewals(server, timeout=max(0.5, visibility_timeout / 4))
        self._settler = Settler(server, keys, worker.id, dead_letters_max_length, offset, self._complaints)
        self._reader = Reader(
            server,
            keys,
            worker,
            self._lease,
            self._complaints,
            leave=self.leave,
            give_back=self.give_back,
            revoked=self.revoked,
        )
        # These two are asked all the time, and need nothing else of it.
        self.fetch = self._reader.fetch
        self.settle = self._settler.settle
        self._lease_end = 0
        self._look_at = 0.0
        self._audit_at = monotonic() + random.uniform(0.1, 1.0) * _AUDIT_EVERY

    @property
    def id(self) -> str:
        return self._worker.id

    async def join(self) -> None:
        if self._neighbours is not None:
            self._neighbours.hold(self.id)
        about = msgspec.msgpack.encode(self._worker)
        asked, offset = clock.seconds(), self._offset()
        now: int = await self._run(
            "join", self.id, self._lease, offset, about, *self._streams, "", *self._worker.queues
        )
        self._clock.learn(now - offset, asked)
        self._lease_end = now + self._lease
        if self._neighbours is not None and self._neighbours.gone():
            await self.take_over()  # before the first look into the queues, which may be the only one

    # Leases

    def renew(self) -> bool:
        asked, offset = clock.seconds(), self._offset()
        reply = self._renewals.renew(self._keys.prefix, self.id, self._lease, offset)
        if reply:
            self._clock.learn(reply - offset, asked)
            self._lease_end = reply + self._lease
        return bool(reply)

    def proxy(self) -> Proxy:
        return self._renewals.proxy(self._keys.prefix, self.id, self._lease, self._offset())

    async def take_over(self) -> float:
        if self._neighbours is None:
            return await self._take_over()
        gone = self._neighbours.gone()
        if gone:
            await self._run("bury", *gone)
            self._neighbours.forget(gone)
        # The files are looked at each second, the server when there is something to be seen there.
        if gone or monotonic() >= self._look_at:
            self._look_at = monotonic() + await self._take_over()
        return min(_LOOK_AGAIN, max(0.0, self._look_at - monotonic()))

    async def _take_over(self) -> float:
        audit = monotonic() >= self._audit_at
        if audit:
            self._audit_at = monotonic() + random.uniform(0.8, 1.2) * _AUDIT_EVERY
        moved, more, next_end, problem = await self._run(
            *("take_over", self.id, self._lease, self._offset(), _MOVED_AT_ONCE, int(audit), self._lease_end),
            *self._worker.queues,
        )
        if moved:
            tasks = counted(moved, "task")
            logger.warning("Took over %s of workers that are gone, or silent for longer than their lease.", tasks)
        if problem:
            self._complaints.tell(
                "What a dead worker held cannot be queued again: %s. It stays where it is, and is tried again.",
                shown(problem),
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

    def withdraw(self, held: Sequence[Delivery]) -> int:
        return self._renewals.hand_back(self._keys.prefix, self.id, self._streams, set(_names(held)), _MOVED_AT_ONCE)

    async def give_back(self, deliveries: Sequence[Delivery]) -> int:
        return await self._hand_back("these", *self._streams, "", *_names(deliveries))

    async def leave(self) -> int:
        total = await self._hand_back("leave", *self._streams, "")
        if self._neighbours is not None:
            self._neighbours.end(self.id)
            self._neighbours.forget([self.id])
        return total

    async def _hand_back(self, mode: str, *arguments: Argument) -> int:
        total, more = 0, 1
        while more:
            moved, more, problem = await self._run("hand_back", self.id, _MOVED_AT_ONCE, mode, *arguments)
            total += moved
            if problem:
                self._complaints.tell("Worker %s cannot hand back all: %s", self._worker.name, shown(problem))
                if not moved:  # nor will it at once
                    break
        return total

    # Time, news

    async def promote(self) -> float | None:
        reply = await self._run("promote", self._offset(), _MOVED_AT_ONCE)
        if reply[2]:
            reply = await self._run("promote", self._offset(), _MOVED_AT_ONCE, *self._for_aside())
        moved, next_due, _, set_aside, problem = reply
        for id, why in set_aside:
            logger.error("%s was set aside, see the dead letters: %s", shown(id), shown(why))
        if problem:
            self._complaints.tell("What is due cannot be queued: %s. It waits, and is tried again.", shown(problem))
            return min(_LOOK_AGAIN, next_due / 1000) if next_due > 0 else _LOOK_AGAIN
        if moved >= _MOVED_AT_ONCE:
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
        return notices(self._server, self._keys)

    async def answer(self, question: str, answer: Answer) -> None:
        data = msgspec.msgpack.encode(answer)
        await self._commands.call("PUBLISH", self._keys.answers(question), data, timeout=link.ANSWER_WITHIN)

    async def revoked(self, ids: Sequence[str]) -> list[bool]:
        flags: list[bool] = []
        for start in range(0, len(ids), _IDS_AT_ONCE):
            part = ids[start : start + _IDS_AT_ONCE]
            scores: list[Any] = await self._commands.call(
                "ZMSCORE", self._keys.revoked, *part, timeout=link.ANSWER_WITHIN
            )
            flags += [score is not None for score in scores]
        return flags

    async def queued(self, ids: Sequence[str], queue: str | None = None) -> list[bool]:
        flags: list[bool] = []
        names = self._streams if queue is None else streams([queue])
        for start in range(0, len(ids), _IDS_AT_ONCE):
            part = ids[start : start + _IDS_AT_ONCE]
            flags += map(bool, await self._run("queued", len(names), *names, *part))
        return flags

    async def stamps(self) -> list[tuple[bytes, int]]:
        found: list[Any] = await self._commands.call(
            "ZRANGE", self._keys.revoked_stamps, 0, -1, "WITHSCORES", timeout=link.ANSWER_WITHIN
        )
        # RESP3 answers with pairs.
        flat = [part for pair in found for part in pair] if found and isinstance(found[0], list) else found
        return [(stamp, int(float(score))) for stamp, score in zip(flat[::2], flat[1::2], strict=True)]

    async def paused(self) -> list[str]:
        try:
            names: list[bytes] = await self._commands.call("SMEMBERS", self._keys.paused, timeout=link.ANSWER_WITHIN)
        except ResponseError as error:
            if is_transient(error):
                raise
            self._complaints.tell("Which queues are paused cannot be read: %s. All are taken for open.", error)
            return []
        return [text(name) for name in names]

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
                if is_transient(error) or isinstance(error, NOT_THE_DATA):
                    raise
                if monotonic() > until:
                    raise _unreadable(workflow, error) from None
                await asyncio.sleep(_LOOK_AGAIN)

    async def _values_call(self, *arguments: Argument) -> Any:
        return await self._commands.call(*arguments, timeout=link.ANSWER_WITHIN)

    async def close(self) -> None:
        await self._reader.close()
        await self._commands.close()
        await self._settler.close()
        self._renewals.close()
        if self._neighbours is not None:
            self._neighbours.end(self.id)

    async def _run(self, name: str, *arguments: Argument) -> Any:
        return await self._commands.run(script(name), self._keys.prefix, *arguments, timeout=link.ANSWER_WITHIN)


def _names(deliveries: Sequence[Delivery]) -> list[str]:
    return [f"{delivery.handle.stream}\0{delivery.handle.entry}" for delivery in deliveries]


def _unreadable(workflow: str, error: Exception) -> PayloadError:
    return PayloadError(
        f"What comes before the arguments cannot be read, for the workflow {shown(workflow[:36])} is broken "
        f"({problem_of(error)}). The task was moved to the dead letters."
    )
