"""How a client asks the server: over one connection, and again until its time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.exceptions import AuthenticationError, AuthorizationError, RedisError

from aioqueue.brokers.redis.keys import Keys
from aioqueue.brokers.redis.link import Argument, Backoff, Link, is_transient
from aioqueue.brokers.redis.scripts import script
from aioqueue.brokers.redis.server import NotTrusted, Server
from aioqueue.clock import BrokerClock
from aioqueue.exceptions import AioQueueError, BrokerUnavailable
from aioqueue.ids import short_id

_T = TypeVar("_T")


class Requests:
    """Commands and scripts, each tried for a time.

    Args:
        server: where it is.
        keys: the namespace.
        label: what people are shown instead of the URL.
        timeout: for how long each is tried, in seconds.
    """

    def __init__(self, server: Server, keys: Keys, label: str, timeout: float) -> None:
        self._server = server
        self._keys = keys
        self._label = label
        self._timeout = timeout
        self._clock = BrokerClock()
        self.now: Callable[[], int] = self._clock.now  # no call stands in between: each task asks several times

    def _new_client(self) -> None:
        """A new client, whose requests are numbered from 1 again; in the event loop that it is for."""
        self._client = short_id()
        self._number: int = 0
        self._one_by_one = asyncio.Lock()
        self._link = Link(self._server, self._clock)

    def _offset(self) -> int:
        return self._clock.shift

    async def _call(self, *arguments: Argument) -> Any:
        return await self._attempt(lambda timeout: self._link.call(*arguments, timeout=timeout))

    async def _run(self, name: str, *arguments: Argument, within: float | None = None) -> Any:
        return await self._attempt(
            lambda timeout: self._link.run(script(name), self._keys.prefix, *arguments, timeout=timeout), within
        )

    async def _run_once(self, name: str, *arguments: Argument) -> bytes:
        """Run a script whose answer would be another one the second time: numbered, and one under way at a time."""
        async with self._one_by_one:
            self._number += 1
            return await self._run(name, f"{self._client}:c", self._number, *arguments)

    async def _attempt(self, call: Callable[[float], Awaitable[_T]], within: float | None = None) -> _T:
        """What is repeated changes nothing the second time, or has a number (`_run_once`)."""
        loop = asyncio.get_running_loop()
        timeout = self._timeout if within is None else within
        deadline = loop.time() + timeout
        backoff = Backoff()
        while True:
            remaining = deadline - loop.time()
            try:
                return await call(max(0.05, remaining if backoff.failures else remaining / 2))
            except (RedisError, OSError) as error:
                why = str(error).rstrip(".")
                if isinstance(error, NotTrusted):
                    raise BrokerUnavailable(f"{self._label}: {error}.") from None
                if isinstance(error, AuthenticationError | AuthorizationError):
                    raise BrokerUnavailable(
                        f"{self._label} does not let us in: {why}. Check the user and the password in the URL."
                    ) from None
                if not is_transient(error):
                    raise AioQueueError(f"{self._label} answered: {error}") from error
                if loop.time() >= deadline:
                    away = BrokerUnavailable(
                        f"No answer from {self._label} in {timeout:g} s ({why}). Is the server running?"
                    )
                    away.is_away = True
                    raise away from None
            await backoff.wait()
