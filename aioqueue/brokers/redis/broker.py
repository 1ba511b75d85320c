"""The Redis broker, as a client sees it: the connection, sending, records, revoking, dead letters."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from redis.exceptions import RedisError

from aioqueue.brokers.protocol import Capabilities, Lengths, Outgoing, StoredLetter, WorkerStatus
from aioqueue.brokers.redis import keys
from aioqueue.brokers.redis.asking import RedisAsking
from aioqueue.brokers.redis.consumer import RedisConsumer
from aioqueue.brokers.redis.events import RedisEvents
from aioqueue.brokers.redis.examining import RedisExamining
from aioqueue.brokers.redis.link import Argument, Link, text
from aioqueue.brokers.redis.looking import RedisLooking
from aioqueue.brokers.redis.neighbours import Neighbours
from aioqueue.brokers.redis.notices import PAUSED, of_stamp
from aioqueue.brokers.redis.outbox import Outbox
from aioqueue.brokers.redis.schedules import RedisSchedules
from aioqueue.brokers.redis.server import Server, looked_over
from aioqueue.brokers.redis.watches import RedisWatch, Watches
from aioqueue.brokers.redis.workflows import RedisWorkflows
from aioqueue.exceptions import AioQueueError, DuplicateTask
from aioqueue.workflow import UNTOLD, Told

# For how long a revoked id is remembered when its message is not met; then it would run after all.
_REMEMBER_REVOKED = 30 * 24 * 3600 * 1000
_TIMEOUT = 5.0
_ASK_TIME_EVERY = 60.0
_IDS_AT_ONCE = 500

_ALL = Capabilities()


class RedisBroker(RedisWorkflows, RedisSchedules, RedisLooking, RedisExamining, RedisAsking, RedisEvents):
    """A namespace on a Redis or Valkey server: the sum of its subjects, as `Broker` is. The larger ones have files.

    Args:
        url: see `Server`.
        namespace: the prefix of all keys.
        label: what people are shown instead of the URL.
        timeout: for how long calls other than `send` try, in seconds.
        neighbours: what is known of the other workers, where the server is one machine's alone.
        revive: starts the server again; see `Server`.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        label: str | None = None,
        timeout: float = _TIMEOUT,
        neighbours: Neighbours | None = None,
        revive: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        server = Server(url, revive)
        super().__init__(server, keys.Keys(namespace), label or str(server), timeout)
        self._neighbours = neighbours
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
        self._new_client()
        self._outbox_link = Link(self._server, self._clock)
        self._outbox = Outbox(self._outbox_link, self._keys.prefix, self._client, self._label, self._offset)
        self._watches = Watches(self._server, self._keys, self._client, self._offset)
        self.version, self.warnings = looked_over(await self._call("INFO"), self._label)
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

    # To the workers

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: Lengths | None = None) -> None:
        await self._outbox.send(messages, timeout=timeout, max_length=max_length)

    def consumer(
        self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int
    ) -> RedisConsumer:
        return RedisConsumer(
            self._server,
            self._keys,
            worker,
            visibility_timeout=visibility_timeout,
            dead_letters_max_length=dead_letters_max_length,
            offset=self._offset,
            broker_clock=self._clock,
            neighbours=self._neighbours,
        )

    async def workers(self) -> list[WorkerStatus]:
        found = await super().workers()
        gone = self._neighbours.gone() if self._neighbours is not None else ()
        return [worker for worker in found if worker.id not in gone]

    # Records

    async def records(self, ids: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for start in range(0, len(ids), _IDS_AT_ONCE):
            names = [self._keys.record(id) for id in ids[start : start + _IDS_AT_ONCE]]
            values: list[bytes | None] = await self._call("MGET", *names)
            found += [value[1:] if value is not None else None for value in values]
        return found

    def watch(self, id: str) -> AbstractAsyncContextManager[RedisWatch]:
        return self._watches.watch(id)

    async def forget(self, ids: Sequence[str]) -> list[bool]:
        wholes: list[bool] = []
        for start in range(0, len(ids), _IDS_AT_ONCE):
            letters: bytes = await self._run("forget", self._clock.shift, *ids[start : start + _IDS_AT_ONCE])
            wholes += [letter == "w" for letter in letters.decode()]
        if any(wholes):
            await self._work()
        return wholes

    # Ends that come from outside

    async def revoke(
        self, ids: Sequence[str], record: bytes, *, expires: int, terminate: bool, told: Told = UNTOLD
    ) -> list[bool]:
        revoked: list[bool] = []
        hear = (told.failure, told.upstream, told.chord)
        about = (self._clock.shift, record, expires, _REMEMBER_REVOKED, int(terminate), *hear)
        problems: list[AioQueueError] = []
        for start in range(0, len(ids), _IDS_AT_ONCE):
            revoked += await self._revoke(ids[start : start + _IDS_AT_ONCE], about, problems)
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

    async def revoke_stamp(self, stamp: bytes, *, expires: int, terminate: bool) -> None:
        now = self.now()
        await self._call("ZREMRANGEBYSCORE", self._keys.revoked_stamps, "-inf", now - expires)
        await self._call("ZADD", self._keys.revoked_stamps, now, stamp)
        await self._call("PEXPIRE", self._keys.revoked_stamps, expires)
        await self._call("PUBLISH", self._keys.notices, of_stamp(terminate))

    async def pause_queue(self, queue: str, paused: bool) -> bool:
        changed = await self._call("SADD" if paused else "SREM", self._keys.paused, queue)
        # Also if nothing has changed: the last attempt may have been cut off before it told anybody.
        await self._call("PUBLISH", self._keys.notices, PAUSED)
        return bool(changed)

    async def purge(self, queue: str, record: bytes = b"", *, expires: int = 0, told: Told = UNTOLD) -> int:
        hear = (told.failure, told.upstream, told.chord)
        total = 0
        for stream in keys.streams([queue]):
            while dropped := int(
                await self._run("purge", stream, _IDS_AT_ONCE, self._clock.shift, record, expires, *hear)
            ):
                total += dropped
        await self._work()
        return total

    # Dead letters

    async def dead_letters(self, *, limit: int, id: str | None = None) -> list[StoredLetter]:
        ids: list[bytes] = (
            [id.encode(errors="surrogateescape")]
            if id is not None
            else await self._call("ZREVRANGE", self._keys.dead, 0, limit - 1)
        )
        letters: list[StoredLetter] = []
        for start in range(0, len(ids), _IDS_AT_ONCE):
            part = ids[start : start + _IDS_AT_ONCE]
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
        for start in range(0, len(ids), _IDS_AT_ONCE):
            removed += int(await self._run_once("remove_dead", *ids[start : start + _IDS_AT_ONCE]))
        return removed

    # What tests have in their hands

    def shift_clock(self, milliseconds: int) -> None:
        self._clock.shift += milliseconds
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
            cursor, names = await self._call("SCAN", cursor, "MATCH", pattern, "COUNT", _IDS_AT_ONCE)
            if names:
                await self._call("UNLINK", *names)
            if cursor == b"0":
                return
