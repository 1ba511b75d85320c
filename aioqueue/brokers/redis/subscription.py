"""Listening to a channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, cast

from redis.exceptions import ConnectionError

from aioqueue.brokers.redis.link import pack
from aioqueue.brokers.redis.server import CONNECT_TIMEOUT, Server
from aioqueue.brokers.redis.wire import Alarm, Wire

# A connection on which nothing comes may be dead: ask after so long, and wait so long for the answer.
_SILENCE = 10.0
_ANSWER = 5.0


async def listen(server: Server, channel: str) -> AsyncGenerator[bytes | None]:
    """What is published on a channel; None first, when the subscription stands.

    Raises:
        redis.exceptions.RedisError: the connection failed; what was published since may be lost.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT):
        wire = Wire(await server.connect())
    loop = asyncio.get_running_loop()
    ask = Alarm(partial(wire.write, pack("PING")))
    try:
        wire.write(pack("SUBSCRIBE", channel))
        while True:
            now = loop.time()
            ask.set(now + _SILENCE)
            try:
                came = await wire.received(now + _SILENCE + _ANSWER)
            except TimeoutError:
                raise ConnectionError(f"{server} has been silent for {_SILENCE + _ANSWER:g} s") from None
            for reply in came:
                if isinstance(reply, list) and len(cast("list[Any]", reply)) == 3:
                    if reply[0] == b"subscribe":
                        yield None
                    elif reply[0] == b"message":
                        yield reply[2]
    finally:
        ask.cancel()
        await wire.close()
