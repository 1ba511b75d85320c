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

from aioqueue.brokers.redis.scripts import Script
from aioqueue.brokers.redis.server import Server
from aioqueue.brokers.redis.wire import Wire

Argument = str | bytes | int | float

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
    """A command as it goes over the wire."""
    return _pack(arguments)


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
    """

    def __init__(self, server: Server) -> None:
        self._server = server
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
        return (await self._exchange(_pack(arguments), 1, timeout))[0]

    async def calls(self, commands: Sequence[tuple[Argument, ...]], *, timeout: float) -> list[Any]:
        """Send several commands at once; the first error among the replies is raised after all were read."""
        return await self._exchange(b"".join([_pack(command) for command in commands]), len(commands), timeout)

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

    async def close(self) -> None:
        """Close the connection; a later call would open it again."""
        await self._drop()

    async def _connect(self, timeout: float) -> Wire:
        await self._drop()
        async with asyncio.timeout(timeout):
            connection = await self._server.connect()
        self._wire = wire = Wire(connection)
        return wire

    async def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()
