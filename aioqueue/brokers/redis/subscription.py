"""Listening to a channel."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from typing import Any, cast

from redis.exceptions import ConnectionError

from aioqueue.brokers.redis.link import CONNECT_TIMEOUT, Server, pack

# A connection on which nothing comes may be dead: ask after so long, and wait so long for the answer.
_SILENCE = 10.0
_ANSWER = 5.0


async def listen(server: Server, channel: str) -> AsyncGenerator[bytes | None]:
    """What is published on a channel; None first, when the subscription stands.

    Raises:
        redis.exceptions.RedisError: the connection failed; what was published since may be lost.
    """
    connection: Any = server.pool.make_connection()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await connection.connect()
            await connection.send_packed_command(pack("SUBSCRIBE", channel), check_health=False)
        asked = False
        while True:
            try:
                async with asyncio.timeout(_ANSWER if asked else _SILENCE):
                    # A read that the timeout ends loses nothing, so it must not close the connection.
                    reply: Any = await connection.read_response(
                        disable_decoding=True, timeout=math.inf, push_request=True, disconnect_on_error=False
                    )
            except TimeoutError:
                if asked:
                    raise ConnectionError(f"{server} has been silent for {_SILENCE + _ANSWER:g} s") from None
                asked = True
                await connection.send_packed_command(pack("PING"), check_health=False)
                continue
            asked = False
            if isinstance(reply, list) and len(cast("list[Any]", reply)) == 3:
                if reply[0] == b"subscribe":
                    yield None
                elif reply[0] == b"message":
                    yield reply[2]
    finally:
        await connection.disconnect(nowait=True)
