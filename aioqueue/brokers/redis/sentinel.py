"""Redis Sentinel: several processes that know which server is the primary.

`redis+sentinel://user:password@host:26379,host:26379/name/0`: the user and the password are those of the server; the
Sentinels' own are `?sentinel_username=…&sentinel_password=…`. With `rediss+sentinel://` both speak TLS.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry as BlockingRetry

from aioqueue.url import SENTINEL

_PORT = 26379
# One that does not answer must not keep the others from being asked.
_TIMEOUT = 0.5


class Addresses(NamedTuple):
    """Which Sentinels to ask, and for what.

    Attributes:
        hosts: names and ports.
        name: of the primary.
        options: their user and password.
    """

    hosts: list[tuple[str, int]]
    name: str
    options: dict[str, str]


def split(url: str) -> tuple[str, Addresses | None]:
    """A URL as it would be if the primary's host were known, and who knows it; None when it names the server itself.
    The URL is one that `check_address` has seen.
    """
    parts = urlsplit(url)
    if parts.scheme not in SENTINEL:
        return url, None
    user, at, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.lstrip("/").partition("/")
    addresses: list[tuple[str, int]] = []
    for host in hosts.split(","):
        place = urlsplit(f"//{host}")
        addresses.append((place.hostname or "", place.port or _PORT))
    options = parse_qsl(parts.query, keep_blank_values=True)
    theirs = {name.removeprefix("sentinel_"): value for name, value in options if name.startswith("sentinel_")}
    query = urlencode([(name, value) for name, value in options if not name.startswith("sentinel_")])
    scheme = parts.scheme.partition("+")[0]
    address = f"{scheme}://{user}{at}the-primary/{database}{'?' + query if query else ''}"
    return address, Addresses(addresses, unquote(name), theirs)


class Sentinels:
    """Asks them who the primary is. They are connected to for each question: it is a rare one."""

    def __init__(self, addresses: Addresses, tls: dict[str, Any]) -> None:
        self._hosts = list(addresses.hosts)
        self._name = addresses.name
        self._options: dict[str, Any] = {
            **addresses.options,
            **tls,
            "socket_timeout": _TIMEOUT,
            "socket_connect_timeout": _TIMEOUT,
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }

    async def primary(self) -> tuple[str, int]:
        """Where the primary is.

        Raises:
            redis.exceptions.ConnectionError: none of them knows.
        """
        silent: list[str] = []
        for host in self._hosts:
            client: Any = aioredis.Redis(host=host[0], port=host[1], retry=Retry(NoBackoff(), 0), **self._options)
            try:
                return self._found(host, await client.sentinel_masters())
            except (RedisError, OSError) as error:
                silent.append(_reason(host, error))
            finally:
                await client.aclose()
        raise self._nobody(silent)

    def primary_blocking(self) -> tuple[str, int]:
        """The same, for a thread."""
        silent: list[str] = []
        for host in self._hosts:
            client: Any = redis.Redis(host=host[0], port=host[1], retry=BlockingRetry(NoBackoff(), 0), **self._options)
            try:
                return self._found(host, client.sentinel_masters())
            except (RedisError, OSError) as error:
                silent.append(_reason(host, error))
            finally:
                client.close()
        raise self._nobody(silent)

    def _found(self, host: tuple[str, int], known: dict[str, Any]) -> tuple[str, int]:
        """Where one of them says the primary is."""
        state = known.get(self._name)
        if state is None:
            raise ConnectionError(f"it knows no {self._name!r}")
        if not state["is_master"] or state["is_sdown"] or state["is_odown"]:
            raise ConnectionError("it is down")
        # The one that answered is asked first the next time. (Not sorted in its place: a thread may be reading it.)
        self._hosts = sorted(self._hosts, key=lambda other: other != host)
        return state["ip"], state["port"]

    def _nobody(self, silent: list[str]) -> ConnectionError:
        return ConnectionError(f"the Sentinels name no healthy primary {self._name!r}: {'; '.join(silent)}")


def _reason(host: tuple[str, int], error: Exception) -> str:
    """Why one of them was of no help."""
    return f"{host[0]}:{host[1]} ({str(error).rstrip('.')})"
