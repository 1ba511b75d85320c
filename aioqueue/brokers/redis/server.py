"""Where Redis is, and how connections to it are made.

redis-py makes them: authentication, TLS, RESP2 or 3, name resolution, and asking Sentinel who the primary is.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, cast

import redis
from redis import asyncio as aioredis
from redis import exceptions as redis_errors
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry as BlockingRetry

from aioqueue._version import __version__
from aioqueue.brokers.redis.address import check_address
from aioqueue.brokers.redis.certificates import check_files
from aioqueue.brokers.redis.sentinel import Sentinels, split
from aioqueue.exceptions import ConfigurationError
from aioqueue.url import masked

CONNECT_TIMEOUT = 5.0
_REVIVE_AGAIN = 1.0
# What `CLIENT LIST` says of a connection. Made once: redis-py looks for its own version on the disk each time that it
# makes one, which takes longer than all else about a new connection.
_DRIVER = DriverInfo().add_upstream_driver("aioqueue", __version__)


class NotTrusted(redis_errors.AuthenticationError):
    """The server's certificate is not accepted. Says what to do."""


class Server:
    """A server, or the one of several that is the primary.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with redis-py's options; `redis+sentinel://` or `rediss+sentinel://`.

        revive: tries to start the server again, if that is this process's affair; returns whether it answers.

    Raises:
        ConfigurationError: the URL cannot be used.
    """

    def __init__(self, url: str, revive: Callable[[], Awaitable[bool]] | None = None) -> None:
        self.url = url
        self._revive = revive
        self._reviving: asyncio.Future[bool] | None = None
        self._tried_at = 0.0
        self._options: dict[str, Any] = {
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }
        if "lib_name=" not in url and "lib_version=" not in url:
            self._options["driver_info"] = _DRIVER
        check_address(url)
        self._address, sentinels = split(url)
        if not url.lower().startswith("unix:"):
            self._options["socket_keepalive"] = True
        try:
            self._pool = cast("Any", aioredis.ConnectionPool).from_url(self._address, **self._options)
            self._pool.make_connection()  # which connects to nothing yet, but knows the options
        except (ValueError, TypeError, redis_errors.RedisError) as error:
            raise ConfigurationError(f"The broker's URL {masked(url)} cannot be used: {error}.") from None
        check_files(url, self._pool.connection_kwargs)
        self._pool.connection_kwargs.pop("decode_responses", None)  # "false" is true to redis-py
        # A socket timeout in the URL would end a blocking read; each call has its own deadline instead.
        self._pool.connection_kwargs["socket_timeout"] = None
        self._sentinels = Sentinels(sentinels, self._tls()) if sentinels is not None else None

    def __str__(self) -> str:
        return masked(self.url)

    async def connect(self) -> Any:
        """A new connection, open.

        Raises:
            NotTrusted: the server's certificate is not accepted.
            redis.exceptions.RedisError: there is none to be had now.
        """
        if self._revive is None:
            return await self._connect()
        try:
            return await self._connect()
        except (redis_errors.ConnectionError, OSError):
            if not await self._revived():
                raise
            return await self._connect()

    async def _revived(self) -> bool:
        """Whether the server was started again; tried once for all who ask meanwhile, and not again and again."""
        assert self._revive is not None
        loop = asyncio.get_running_loop()
        if self._reviving is None or (self._reviving.done() and loop.time() - self._tried_at > _REVIVE_AGAIN):
            self._tried_at = loop.time()
            self._reviving = asyncio.ensure_future(self._revive())
        return await asyncio.shield(self._reviving)

    async def _connect(self) -> Any:
        if self._sentinels is not None:
            host, port = await self._sentinels.primary()
            self._pool.connection_kwargs.update(host=host, port=port)
        connection = self._pool.make_connection()
        try:
            await connection.connect()
        except BaseException as error:
            await connection.disconnect(nowait=True)
            if isinstance(cause := error.__context__, ssl.SSLCertVerificationError):
                raise NotTrusted(
                    f"its certificate is not accepted ({cause.verify_message}). Connect by a name that is in it, and "
                    "give the file of the authority that made it, as ?ssl_ca_certs=/path/to/ca.pem in the URL"
                ) from None
            raise
        return connection

    def blocking_connection(self, *, timeout: float) -> Any:
        """A connection for a thread, not opened yet; `timeout` in seconds for each answer."""
        options = self._options | {"socket_connect_timeout": timeout, "retry": BlockingRetry(NoBackoff(), 0)}
        options["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
        pool = cast("Any", redis.ConnectionPool).from_url(self._address, **options)
        pool.connection_kwargs.update(socket_timeout=timeout, socket_connect_timeout=timeout)
        pool.connection_kwargs.pop("decode_responses", None)
        if self._sentinels is not None:
            host, port = self._sentinels.primary_blocking()
            pool.connection_kwargs.update(host=host, port=port)
        return pool.make_connection()

    def _tls(self) -> dict[str, Any]:
        """The options that concern TLS, as redis-py's clients take them."""
        if not self._address.startswith("rediss:"):
            return {}
        given: dict[str, Any] = self._pool.connection_kwargs
        return {"ssl": True} | {name: value for name, value in given.items() if name.startswith("ssl_")}


def looked_over(info: Any, label: str) -> tuple[str, list[str]]:
    """What runs there, with its version, and what may go wrong with it, as it says of itself (`INFO`).

    Raises:
        ConfigurationError: it cannot work.
    """
    fields: dict[str, str] = {}
    for line in (info.decode(errors="replace") if isinstance(info, bytes) else str(info)).splitlines():
        field, _, value = line.partition(":")
        fields[field] = value
    name = fields.get("server_name", "redis")
    version = fields.get("valkey_version") or fields.get("redis_version", "0")
    program = f"{name} {version}"
    major, minor = (int(part) for part in [*re.findall(r"\d+", version), "0", "0"][:2])
    if (major, minor) < ((7, 2) if name == "valkey" else (7, 0)):
        raise ConfigurationError(f"{label} is {program}; aioqueue needs Redis 7.0 or Valkey 7.2, or later.")
    policy = fields.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or fields.get("maxmemory", "0") == "0":
        return program, []
    return program, [
        f"{label} evicts keys when its memory is full (maxmemory-policy {policy}): tasks can be lost. "
        "Set maxmemory-policy noeviction."
    ]
