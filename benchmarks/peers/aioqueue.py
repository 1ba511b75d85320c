"""aioqueue with its default settings, logging at warning."""

from __future__ import annotations

import asyncio
import sys

from aioqueue import AioQueue
from benchmarks.peers import given, tally

app = AioQueue("bench", broker=given.URL)


@app.task
async def noop() -> int:
    tally.ran()
    return 1


@app.task
async def sleep() -> int:
    tally.starts()
    await asyncio.sleep(given.SLEEP)
    tally.stops()
    return 1


TASKS = {"noop": noop, "sleep": sleep}


def worker_command() -> list[str]:
    words = [sys.executable, "-m", "aioqueue", "worker", "benchmarks.peers.aioqueue:app", "--loglevel", "warning"]
    return [*words, "--concurrency", str(given.AT_ONCE)] if given.AT_ONCE else words


class Sender:
    async def __aenter__(self) -> Sender:
        await app.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await app.close()

    async def submit(self) -> str:
        return (await noop.send()).id

    async def one_by_one(self, count: int) -> None:
        for _ in range(count):
            await noop.send()

    async def many(self, task: str, count: int) -> None:
        await app.send_many([TASKS[task].s() for _ in range(count)])

    async def round_trip(self) -> int:
        return await (await noop.send()).get(timeout=10)
