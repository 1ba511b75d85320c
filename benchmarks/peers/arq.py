"""arq: its own worker command, `enqueue_job`, `Job.result`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from arq import create_pool, cron
from arq.connections import RedisSettings

from benchmarks.peers import given, starts, tally


async def noop(context: dict[str, Any]) -> int:
    tally.ran()
    return 1


async def sleep(context: dict[str, Any]) -> int:
    tally.starts()
    await asyncio.sleep(given.SLEEP)
    tally.stops()
    return 1


async def tick(context: dict[str, Any]) -> None:
    starts.began(context["score"] / 1000)


class WorkerSettings:
    """With its default of 10 at once and 100 read each half second, arq is bound to 200 tasks a second."""

    functions = (noop, sleep)
    redis_settings = RedisSettings.from_dsn(given.URL)
    max_jobs = given.AT_ONCE or 100
    queue_read_limit = 10_000
    log_results = False
    # By default it is due 0.123456 s after the second.
    cron_jobs = [cron(tick, second=set(range(60)), microsecond=0)] if given.BEAT else None


def worker_command() -> list[str]:
    command = str(Path(sys.executable).parent / "arq")
    return [
        sys.executable,
        command,
        "benchmarks.peers.arq.WorkerSettings",
        "--custom-log-dict",
        "benchmarks.peers.arq.LOGGING",
    ]


def scheduler_command() -> None:
    """The worker has it."""


LOGGING = {"version": 1, "disable_existing_loggers": False, "loggers": {"arq": {"level": "WARNING"}}}


class Sender:
    async def __aenter__(self) -> Sender:
        self.pool = await create_pool(WorkerSettings.redis_settings)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.aclose()

    async def submit(self) -> str:
        job = await self.pool.enqueue_job("noop")
        assert job is not None
        return job.job_id

    async def one_by_one(self, count: int) -> None:
        for _ in range(count):
            await self.pool.enqueue_job("noop")

    async def many(self, task: str, count: int) -> None:
        # There is no call for many. Each takes a connection: fifty at once is where it stops getting faster.
        for start in range(0, count, 50):
            await asyncio.gather(*(self.pool.enqueue_job(task) for _ in range(start, min(count, start + 50))))

    async def round_trip(self) -> int:
        job = await self.pool.enqueue_job("noop")
        assert job is not None
        return await job.result(timeout=10)
