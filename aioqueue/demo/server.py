"""Where the demo's tasks are kept: the embedded server, or a broker that is named."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from time import monotonic
from typing import Any

from redis import asyncio as aioredis
from redis.exceptions import ResponseError

from aioqueue.brokers.private import embedded_name, is_embedded, is_memory
from aioqueue.brokers.protocol import Broker
from aioqueue.brokers.redis import keys
from aioqueue.demo.tasks import app
from aioqueue.embedded import EmbeddedServer, acquire_async, status
from aioqueue.exceptions import AioQueueError, ConfigurationError

_LOOK_AGAIN = 0.02
_STOP_TIMEOUT = 5.0


class DemoServer:
    """The server of a run, from its start to its end.

    Attributes:
        started_in: seconds; None if it ran already, or is not ours to start.
        end: "stopped" or "stays", once it is closed; "" for a broker that is not embedded.
        used_by_others: it stays because it has other users, or is kept by `aioqueue server start`.
    """

    def __init__(self) -> None:
        self.started_in: float | None = None
        self.end = ""
        self.used_by_others = False
        self._server: EmbeddedServer | None = None
        self._description = ""
        self._open = False

    @property
    def description(self) -> str:
        """What and where."""
        return self._description

    async def open(self) -> Broker:
        """Start or join the server, and connect.

        Raises:
            ConfigurationError: workers in other processes cannot meet there.
            BrokerUnavailable: there is no answer.
        """
        if sys.platform == "win32":
            raise ConfigurationError("The demo stops and kills processes as only POSIX systems can. Use WSL.")
        url = app.conf.broker
        if is_memory(url):
            raise ConfigurationError(
                "The demo's workers are processes of their own, and memory:// is a broker inside of one. Leave the "
                "broker out, or name a Redis server: aioqueue demo --broker redis://localhost:6379/0."
            )
        if is_embedded(url):
            self._server = await acquire_async(embedded_name(url) or app.name)
            self.started_in = self._server.start_seconds
        broker = await app.open()
        self._open = True
        self._description = broker.description if self._server else f"{broker.version} at {broker.description}"
        return broker

    async def close(self) -> None:
        """Disconnect, and see the embedded server stop, if nobody else uses it."""
        if self._open:
            await app.close()
            self._open = False
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        deadline = monotonic() + _STOP_TIMEOUT
        self.end = "stays"
        while monotonic() < deadline:
            now = await asyncio.to_thread(status, server.name)
            if not now.running:
                self.end = "stopped"
                return
            if now.kept or (now.users or 0) > 0:
                self.used_by_others = True
                return
            await asyncio.sleep(_LOOK_AGAIN)

    async def clean(self, broker: Broker) -> None:
        """Drop everything that an earlier run has left.

        Raises:
            AioQueueError: another demo is at work there.
        """
        # A worker that was killed a moment ago has a lease that is about to end.
        deadline = monotonic() + app.conf.visibility_timeout + 1
        while workers := await broker.workers():
            if monotonic() > deadline:
                names = ", ".join(f"{worker.name} (process {worker.pid} on {worker.host})" for worker in workers)
                raise AioQueueError(
                    f"Another demo is at work at {self.description}: {names}. Nothing was sent; wait for its end, or "
                    "stop it."
                )
            await asyncio.sleep(_LOOK_AGAIN)
        url = self._server.url if self._server is not None else app.conf.broker or ""
        redis: Any = aioredis.Redis
        client = redis.from_url(url)
        try:
            # The namespace is the demo's alone.
            batch: list[bytes] = []
            async for key in client.scan_iter(match=keys.prefix(app.namespace) + "*", count=5000):
                batch.append(key)
                if len(batch) >= 1000:
                    await client.unlink(*batch)
                    batch = []
            if batch:
                await client.unlink(*batch)
            if self._server is not None:
                # What is gone need not be read at the next start. It may be doing that already, which is as good.
                with suppress(ResponseError):
                    await client.bgrewriteaof()
        finally:
            await client.aclose()
