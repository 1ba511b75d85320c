"""streaq: its own worker command on uvloop, `enqueue_many`."""

from __future__ import annotations

import asyncio
import sys

import streaq

from benchmarks.peers import given, tally

worker = streaq.Worker(
    redis_url=given.URL, concurrency=given.AT_ONCE or 32, anyio_backend="asyncio", anyio_kwargs={"use_uvloop": True}
)


@worker.task(silent=True)
async def noop() -> int:
    tally.ran()
    return 1


@worker.task(silent=True)
async def sleep() -> int:
    tally.starts()
    await asyncio.sleep(given.SLEEP)
    tally.stops()
    return 1


TASKS = {"noop": noop, "sleep": sleep}


def worker_command() -> list[str]:
    return [sys.executable, "-m", "streaq", "run", "benchmarks.peers.streaq:worker"]


class Sender:
    async def __aenter__(self) -> Sender:
        await worker.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await worker.__aexit__(*error)  # type: ignore[arg-type]

    async def submit(self) -> str:
        return (await noop.enqueue()).id

    async def one_by_one(self, count: int) -> None:
        for _ in range(count):
            await noop.enqueue()

    async def many(self, task: str, count: int) -> None:
        for start in range(0, count, 1000):
            await worker.enqueue_many([TASKS[task].enqueue() for _ in range(start, min(count, start + 1000))])

    async def round_trip(self) -> int:
        return (await (await noop.enqueue()).result(timeout=10)).result
