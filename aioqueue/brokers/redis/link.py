"""One connection to Redis, and what can go wrong with it.

redis-py makes the connection (authentication, TLS, RESP2 or 3, name resolution); the commands go over its streams, see
`wire`. That costs a third of what its client objects cost, and it means that nothing is repeated behind our back:
redis-py's own retries would turn one XADD into two when only the reply was lost.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import hiredis
import redis
from redis import asyncio as aioredis
from redis import exceptions as redis_errors
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry as BlockingRetry

from aioqueue.brokers.redis.scripts import Script
from aioqueue.brokers.redis.wire import Wire
from aioqueue.brokers.url import masked
from aioqueue.exceptions import ConfigurationError

Argument = str | bytes | int | float

CONNECT_TIMEOUT = 5.0
_pack: Any = cast("Any", hiredis).pack_command
_KEEPALIVE = {"socket_keepalive": True}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")

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


class NotTrusted(redis_errors.AuthenticationError):
    """The server's certificate is not accepted. Says what to do."""


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


class Server:
    """Where Redis is, and how connections to it are made."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._options: dict[str, Any] = {
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }
        if not url.startswith("unix:"):
            self._options |= _KEEPALIVE
        try:
            self.pool = cast("Any", aioredis.ConnectionPool).from_url(url, **self._options)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                f"The broker's URL {masked(url)} cannot be used: {error}. "
                "It looks like redis://[user:password@]host[:6379][/0], rediss://… with TLS, or unix:///path."
            ) from None
        for option in _FILES:
            file = self.pool.connection_kwargs.get(option)
            if file is not None and not Path(file).is_file():
                raise ConfigurationError(f"{option}={file} in the broker's URL {masked(url)} is no file.")
        # A socket timeout in the URL would end a blocking read; each call has its own deadline instead.
        self.pool.connection_kwargs["socket_timeout"] = None

    def __str__(self) -> str:
        return masked(self.url)

    def link(self) -> Link:
        """A new connection, not opened yet."""
        return Link(self)

    def blocking_connection(self, *, timeout: float) -> Any:
        """A connection for a thread, not opened yet; `timeout` in seconds for each answer."""
        options = self._options | {"socket_connect_timeout": timeout, "retry": BlockingRetry(NoBackoff(), 0)}
        options["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
        pool = cast("Any", redis.ConnectionPool).from_url(self.url, **options)
        pool.connection_kwargs["socket_timeout"] = timeout
        return pool.make_connection()


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
        connection = self._server.pool.make_connection()
        try:
            async with asyncio.timeout(timeout):
                await connection.connect()
        except BaseException as error:
            await connection.disconnect(nowait=True)
            if isinstance(cause := error.__context__, ssl.SSLCertVerificationError):
                raise NotTrusted(
                    f"its certificate is not accepted ({cause.verify_message}). Connect by a name that is in it, and "
                    "give the file of the authority that made it, as ?ssl_ca_certs=/path/to/ca.pem in the URL"
                ) from None
            raise
        self._wire = wire = Wire(connection)
        return wire

    async def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()
