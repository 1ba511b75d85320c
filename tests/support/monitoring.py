"""What a server is asked for, command by command."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as aioredis

from .waiting import LONG

_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')


@asynccontextmanager
async def monitored(redis_url: str) -> AsyncIterator[list[tuple[bool, list[bytes]]]]:
    """What the server is asked for: (inside of a script, the command's words), until the end of the block."""
    seen: list[tuple[bool, list[bytes]]] = []
    end = b"the end of what is monitored"
    async with aioredis.from_url(redis_url) as pool, aioredis.from_url(redis_url) as other:
        await other.ping()
        connection = await pool.connection_pool.get_connection()

        async def read() -> None:
            while True:
                line: bytes = await connection.read_response(disable_decoding=True)
                words = _ARGUMENT.findall(line)
                if end in words:
                    return
                if words[0].upper() not in (b"HELLO", b"CLIENT", b"SELECT", b"AUTH"):
                    seen.append((b" lua]" in line.partition(b'"')[0], words))

        await connection.send_command("MONITOR")
        assert await connection.read_response() in (b"OK", "OK")
        reading = asyncio.ensure_future(read())
        yield seen
        await other.echo(end)
        async with asyncio.timeout(LONG):
            await reading
        await connection.disconnect()


async def counts(client: Any) -> Counter[str]:
    """How often the server has run each command, those inside of scripts included. What is between two of them is
    their difference."""
    stats = await client.info("commandstats")
    counts = Counter({name.removeprefix("cmdstat_"): about["calls"] for name, about in stats.items()})
    del counts["info"], counts["config|resetstat"]  # those that ask for it
    return counts
