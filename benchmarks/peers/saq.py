"""saq: its own worker command, `enqueue`, `apply`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import saq

from benchmarks.peers import given, starts, tally

queue = saq.Queue.from_url(given.URL)


async def noop(context: dict[str, Any]) -> int:
    tally.ran()
    return 1


async def sleep(context: dict[str, Any]) -> int:
    tally.starts()
    await asyncio.sleep(given.SLEEP)
    tally.stops()
    return 1


async def tick(context: dict[str, Any]) -> None:
    starts.began(context["job"].scheduled)


settings: dict[str, Any] = {"queue": queue, "functions": [noop, sleep], "concurrency": given.AT_ONCE or 20}
if given.BEAT:
    # The sixth field is that of the seconds.
    settings["cron_jobs"] = [saq.CronJob(tick, cron="* * * * * */1")]


def worker_command() -> list[str]:
    return [sys.executable, "-m", "saq", "benchmarks.peers.saq.settings"]


def scheduler_command() -> None:
    """The worker has it."""


class Sender:
    async def __aenter__(self) -> Sender:
        await queue.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await queue.disconnect()

    async def submit(self) -> str:
        job = await queue.enqueue("noop")
        assert job is not None
        return job.key

    async def one_by_one(self, count: int) -> None:
        for _ in range(count):
            await queue.enqueue("noop")

    async def many(self, task: str, count: int) -> None:
        # There is no call for many; concurrent ones are what its `map` does.
        for start in range(0, count, 1000):
            await asyncio.gather(*(queue.enqueue(task) for _ in range(start, min(count, start + 1000))))

    async def round_trip(self) -> int:
        return await queue.apply("noop", timeout=10)
