"""Listening to channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, NamedTuple, cast

from redis.exceptions import ConnectionError

from aioqueue.brokers.redis.link import pack, text
from aioqueue.brokers.redis.server import CONNECT_TIMEOUT, Server
from aioqueue.brokers.redis.wire import Alarm, Wire

# A connection on which nothing comes may be dead: ask after so long, and wait so long for the answer.
_SILENCE = 10.0
_ANSWER = 5.0


class News(NamedTuple):
    """What was published, and on which channel."""

    channel: str
    data: bytes


async def listen(server: Server, *channels: str) -> AsyncGenerator[News | None]:
    """What is published on channels; None first, when the subscription stands.

    Raises:
        redis.exceptions.RedisError: the connection failed; what was published since may be lost.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT):
        wire = Wire(await server.connect())
    loop = asyncio.get_running_loop()
    ask = Alarm(partial(wire.write, pack("PING")))
    try:
        wire.write(pack("SUBSCRIBE", *channels))
        while True:
            now = loop.time()
            ask.set(now + _SILENCE)
            try:
                came = await wire.received(now + _SILENCE + _ANSWER)
            except TimeoutError:
                raise ConnectionError(f"{server} has been silent for {_SILENCE + _ANSWER:g} s") from None
            for reply in came:
                if not isinstance(reply, list) or len(cast("list[Any]", reply)) != 3:
                    continue
                word, channel, data = cast("tuple[bytes, bytes, Any]", reply)
                if word == b"subscribe" and data == len(channels):
                    yield None
                elif word == b"message":
                    yield News(text(channel), data)
    finally:
        ask.cancel()
        await wire.close()
