"""The floor: the least that could be done with the same libraries (redis-py, hiredis, msgspec, uvloop).

Late acknowledgement, results stored with a TTL, one script per batch. No limits, context, retries, leases, priorities,
fence, logging or configuration: what a queue adds to this is what its features cost.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from redis import asyncio as aioredis

STREAM, GROUP, ME = "floor", "workers", "me"
BATCH = 500

_FINISH = """
local ids = {}
for i = 1, #ARGV, 3 do
  ids[#ids + 1] = ARGV[i]
  redis.call('SET', KEYS[2] .. ARGV[i + 1], ARGV[i + 2], 'PX', 86400000)
end
redis.call('XACK', KEYS[1], 'workers', unpack(ids))
redis.call('XDEL', KEYS[1], unpack(ids))
return #ids
"""


class Task(msgspec.Struct):
    """A message."""

    id: str
    name: str
    args: list[Any]
    kwargs: dict[str, Any]


async def noop() -> None:
    """The task."""


encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Task).decode


async def prepare(client: aioredis.Redis) -> None:
    """Make the stream and its group."""
    await client.xgroup_create(STREAM, GROUP, "0", mkstream=True)


async def send_many(client: aioredis.Redis, count: int) -> None:
    """Pipelines of a thousand XADDs."""
    for start in range(0, count, 1000):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, min(count, start + 1000)):
            pipeline.xadd(STREAM, {"m": encode(Task(f"id-{number:032d}", "noop", [], {}))})
        await pipeline.execute()


async def send_one_by_one(client: aioredis.Redis, count: int) -> None:
    """One awaited XADD after the other."""
    for number in range(count):
        await client.xadd(STREAM, {"m": encode(Task(f"id-{number:032d}", "noop", [], {}))})


async def drain(client: aioredis.Redis, count: int) -> None:
    """Read in batches, run, finish each batch with one script."""
    finish = client.register_script(_FINISH)
    done = 0
    while done < count:
        for _, messages in _streams(await client.xreadgroup(GROUP, ME, {STREAM: ">"}, count=BATCH, block=1000)):
            arguments: list[Any] = []
            for entry, fields in messages:
                task = decode(fields[b"m"])
                result = await noop(*task.args, **task.kwargs)
                arguments += [entry, task.id, encode((time.time(), result))]
            await finish(keys=[STREAM, "floor:r:"], args=arguments)
            done += len(messages)


def _streams(reply: Any) -> Any:
    """RESP3 gives a map with a list of lists, RESP2 a list."""
    if isinstance(reply, dict):
        return [(name, [message for part in parts for message in part]) for name, parts in reply.items()]
    return reply
