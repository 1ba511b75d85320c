"""One connection to Redis, and what can go wrong with it.

redis-py makes the connection, see `server`; the commands go over its streams, see `wire`. That costs a third of what
its client objects cost, and it means that nothing is repeated behind our back: redis-py's own retries would turn one
XADD into two when only the reply was lost.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, cast

import hiredis
from redis import exceptions as redis_errors

from aioqueue import clock
from aioqueue.brokers.redis.scripts import Script
from aioqueue.brokers.redis.server import Server
from aioqueue.brokers.redis.wire import Wire
from aioqueue.clock import BrokerClock

Argument = str | bytes | int | float

ANSWER_WITHIN = 10.0
"""Seconds that a worker waits for an answer. It has time: what it asks for is asked for again."""

_pack: Any = cast("Any", hiredis).pack_command

# Replies that say "not now": the same command may well succeed a moment later.
_TRANSIENT_PREFIXES = (
    "LOADING",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MISCONF",
    "OOM",
    "BUSY ",
    "UNBLOCKED",
    "NOREPLICAS",
)


def pack(*arguments: Argument) -> bytes:
    """A command as it goes over the wire. Text that was read from bytes which are no text goes back as those bytes."""
    try:
        return _pack(arguments)
    except UnicodeEncodeError:
        return _pack(tuple(one.encode(errors="surrogateescape") if isinstance(one, str) else one for one in arguments))


def text(data: bytes) -> str:
    """Bytes from the broker as text; what is no text stays what it is, and `pack` makes the same bytes of it again."""
    return data.decode(errors="surrogateescape")


def whole_number(data: Any) -> int | None:
    """A whole number as Redis has it; None if it is none."""
    try:
        return int(float(data))
    except (ValueError, OverflowError):
        return None


def pairs(reply: Any) -> dict[bytes, Any]:
    """A map, as RESP3 sends it or flat as RESP2 does."""
    if isinstance(reply, dict):
        return reply  # pyright: ignore[reportUnknownVariableType]
    return dict(zip(reply[::2], reply[1::2], strict=True))


def is_transient(error: BaseException) -> bool:
    """Whether to try again later is the right answer to `error`."""
    if isinstance(error, redis_errors.AuthenticationError | redis_errors.AuthorizationError):
        return False
    if isinstance(error, redis_errors.ConnectionError | redis_errors.TimeoutError | OSError | TimeoutError):
        return True
    if isinstance(error, redis_errors.ReadOnlyError | redis_errors.TryAgainError | redis_errors.MasterDownError):
        return True
    if isinstance(error, redis_errors.ClusterDownError | redis_errors.OutOfMemoryError):
        return True
    return isinstance(error, redis_errors.ResponseError) and any(text in str(error) for text in _TRANSIENT_PREFIXES)


class Backoff:
    """Waits between attempts: from 50 ms to 2 s, doubled each time, with full jitter."""

    def __init__(self) -> None:
        self.failures = 0

    async def wait(self) -> None:
        """Wait after a failure."""
        self.failures += 1
        await asyncio.sleep(random.uniform(0.01, min(2.0, 0.05 * 2 ** min(self.failures, 10))))

    def reset(self) -> None:
        """The last attempt succeeded."""
        self.failures = 0


class Link:
    """A connection that carries one call at a time.

    A call that does not get its reply (an error, a timeout, a cancellation) closes the connection: the reply may yet
    arrive, and must not be taken for that of the next call. The next call connects again.

    Args:
        server: where it connects.
        broker_clock: with each connection it learns what time the server has: that may be another one by then.
    """

    def __init__(self, server: Server, broker_clock: BrokerClock | None = None) -> None:
        self._server = server
        self._clock = broker_clock
        self._wire: Wire | None = None
        self._lock = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known here."""
        return self._wire is not None and not self._wire.ended

    async def call(self, *arguments: Argument, timeout: float) -> Any:
        """Send a command and return its reply, undecoded.

        Raises:
            redis.exceptions.RedisError: the server's error, or none of its replies within `timeout` seconds.
        """
        return (await self._exchange(pack(*arguments), 1, timeout))[0]

    async def calls(self, commands: Sequence[tuple[Argument, ...]], *, timeout: float) -> list[Any]:
        """Send several commands at once; the first error among the replies is raised after all were read."""
        return await self._exchange(b"".join([pack(*command) for command in commands]), len(commands), timeout)

    async def _exchange(self, packed: bytes, count: int, timeout: float) -> list[Any]:
        async with self._lock:
            try:
                deadline = asyncio.get_running_loop().time() + timeout
                wire = self._wire
                if wire is None or wire.ended:
                    wire = await self._connect(timeout)
                replies = await wire.exchange(packed, count, deadline)
            except TimeoutError:
                await self._drop()
                raise redis_errors.TimeoutError(f"no answer from {self._server} within {timeout:.1f} s") from None
            except BaseException:
                await self._drop()
                raise
            for reply in replies:
                if isinstance(reply, redis_errors.ResponseError):
                    if isinstance(reply, redis_errors.ReadOnlyError):
                        await self._drop()  # a master that was demoted: connect again, maybe elsewhere
                    raise reply
            return replies

    async def run(self, script: Script, key: str, *arguments: Argument, timeout: float) -> Any:
        """Run a script; with its text where the server does not know it (any more)."""
        try:
            return await self.call("EVALSHA", script.sha, 1, key, *arguments, timeout=timeout)
        except redis_errors.NoScriptError:
            return await self.call("EVAL", script.text, 1, key, *arguments, timeout=timeout)

    async def learn_time(self, *, timeout: float) -> None:
        """Ask what time the server has."""
        asked = clock.seconds()
        said = await self.call("TIME", timeout=timeout)
        if self._clock is not None:
            self._clock.learn(_milliseconds(said), asked)

    async def close(self) -> None:
        """Close the connection; a later call would open it again."""
        await self._drop()

    async def _connect(self, timeout: float) -> Wire:
        await self._drop()
        async with asyncio.timeout(timeout):
            connection = await self._server.connect()
        self._wire = wire = Wire(connection)
        if self._clock is not None:
            asked = clock.seconds()
            deadline = asyncio.get_running_loop().time() + timeout
            [said] = await wire.exchange(_pack(("TIME",)), 1, deadline)
            if isinstance(said, list):  # else the command itself hears of what is wrong
                self._clock.learn(_milliseconds(cast("list[bytes]", said)), asked)
        return wire

    async def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()


def _milliseconds(said: list[bytes]) -> int:
    """The answer to TIME."""
    return int(said[0]) * 1000 + int(said[1]) // 1000
