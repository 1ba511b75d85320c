"""The floor: the least that could be done with the same libraries (redis-py, hiredis, msgspec, uvloop).

Late acknowledgement, results stored with a TTL, one script per batch. No limits, context, retries, leases, priorities,
fence, logging or configuration: what a queue adds to this is what its features cost.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import msgspec
import redis
import uvloop
from redis import asyncio as aioredis

from benchmarks.peers import given, starts, tally

STREAM, GROUP, ME = "floor", "workers", "me"

_FINISH = """
local ids = {}
for i = 1, #ARGV, 4 do
  ids[#ids + 1] = ARGV[i]
  redis.call('SET', KEYS[2] .. ARGV[i + 1], ARGV[i + 2], 'PX', 86400000)
  if ARGV[i + 3] ~= '' then redis.call('RPUSH', ARGV[i + 3], ARGV[i + 2]) end
end
redis.call('XACK', KEYS[1], 'workers', unpack(ids))
redis.call('XDEL', KEYS[1], unpack(ids))
return #ids
"""


class Task(msgspec.Struct):
    """A message; who waits for its result names the list to push it to."""

    id: str
    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    reply: str = ""


async def noop() -> int:
    tally.ran()
    return 1


async def sleep() -> int:
    tally.starts()
    await asyncio.sleep(given.SLEEP)
    tally.stops()
    return 1


async def tick(due: float) -> None:
    starts.began(due)


TASKS = {"noop": noop, "sleep": sleep, "tick": tick}
encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Task).decode


def worker_command() -> list[str]:
    return [sys.executable, "-m", "benchmarks.peers.floor"]


def scheduler_command() -> list[str]:
    return [sys.executable, "-m", "benchmarks.peers.floor", "beat"]


class Sender:
    """XADD, one awaited after the other, or in pipelines of a thousand."""

    async def __aenter__(self) -> Sender:
        self.client = aioredis.Redis.from_url(given.URL)
        self.number = time.monotonic_ns()
        await prepare(self.client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    def message(self, task: str, reply: str = "") -> dict[Any, Any]:
        self.number += 1
        return {"m": encode(Task(f"id-{self.number:032d}", task, [], {}, reply))}

    async def submit(self) -> str:
        await self.client.xadd(STREAM, self.message("noop"))
        return f"id-{self.number:032d}"

    async def one_by_one(self, count: int) -> None:
        for _ in range(count):
            await self.client.xadd(STREAM, self.message("noop"))

    async def many(self, task: str, count: int) -> None:
        for start in range(0, count, 1000):
            pipeline = self.client.pipeline(transaction=False)
            for _ in range(start, min(count, start + 1000)):
                pipeline.xadd(STREAM, self.message(task))
            await pipeline.execute()

    async def round_trip(self) -> int:
        await self.client.xadd(STREAM, self.message("noop", reply="reply"))
        _, value = await self.client.blpop("reply")  # type: ignore[misc]
        return msgspec.msgpack.decode(value)[1]


async def prepare(client: aioredis.Redis) -> None:
    """Make the stream and its group."""
    try:
        await client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    except redis.ResponseError:
        pass


async def beat() -> None:
    """Sleep until each second, and send."""
    client = aioredis.Redis.from_url(given.URL)
    await prepare(client)
    while True:
        now = time.time()
        due = float(int(now) + 1)
        await asyncio.sleep(due - now)
        await client.xadd(STREAM, {"m": encode(Task(f"tick:{due}", "tick", [due], {}))})


async def work() -> None:
    """Read in batches, run, finish each batch with one script."""
    client = aioredis.Redis.from_url(given.URL, socket_timeout=None)
    await prepare(client)
    finish = client.register_script(_FINISH)
    while True:
        for _, messages in _streams(await client.xreadgroup(GROUP, ME, {STREAM: ">"}, count=500, block=5000)):
            tasks = [decode(fields[b"m"]) for _, fields in messages]
            calls = [TASKS[task.name](*task.args, **task.kwargs) for task in tasks]
            results = await asyncio.gather(*calls) if given.AT_ONCE else [await call for call in calls]
            arguments: list[Any] = []
            for (entry, _), task, result in zip(messages, tasks, results, strict=True):
                arguments += [entry, task.id, encode((time.time(), result)), task.reply]
            await finish(keys=[STREAM, "floor:r:"], args=arguments)


def _streams(reply: Any) -> Any:
    """RESP3 gives a map with a list of lists, RESP2 a list."""
    if isinstance(reply, dict):
        return [(name, [message for part in parts for message in part]) for name, parts in reply.items()]
    return reply


if __name__ == "__main__":
    uvloop.run(beat() if sys.argv[1:] == ["beat"] else work())
