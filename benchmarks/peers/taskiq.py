"""taskiq with taskiq-redis: streams, late acknowledgement, results in Redis."""

from __future__ import annotations

import asyncio
import sys

from taskiq import TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.peers import given, starts, tally

broker = (
    RedisStreamBroker(given.URL, xread_count=100)
    .with_result_backend(RedisAsyncResultBackend(given.URL, result_ex_time=86400, serializer=ORJSONSerializer()))
    .with_serializer(ORJSONSerializer())
)


@broker.task(task_name="noop")
async def noop() -> int:
    tally.ran()
    return 1


@broker.task(task_name="sleep")
async def sleep() -> int:
    tally.starts()
    await asyncio.sleep(given.SLEEP)
    tally.stops()
    return 1


# A cron has minutes; this is the shortest interval. The scheduler looks at each whole second.
@broker.task(task_name="tick", schedule=[{"interval": 1}])
async def tick() -> None:
    starts.began()


scheduler = TaskiqScheduler(broker, [LabelScheduleSource(broker)])


TASKS = {"noop": noop, "sleep": sleep}


def worker_command() -> list[str]:
    words = [sys.executable, "-m", "taskiq", "worker", "benchmarks.peers.taskiq:broker", "--workers", "1"]
    at_once = given.AT_ONCE or 100
    return [*words, "--log-level", "WARNING", "--max-async-tasks", str(at_once), "--max-prefetch", str(at_once)]


def scheduler_command() -> list[str]:
    words = [sys.executable, "-m", "taskiq", "scheduler", "benchmarks.peers.taskiq:scheduler"]
    return [*words, "--log-level", "WARNING"]


class Sender:
    async def __aenter__(self) -> Sender:
        await broker.startup()
        return self

    async def __aexit__(self, *_: object) -> None:
        await broker.shutdown()

    async def submit(self) -> str:
        return (await noop.kiq()).task_id

    async def one_by_one(self, count: int) -> None:
        for _ in range(count):
            await noop.kiq()

    async def many(self, task: str, count: int) -> None:
        # There is no call for many; its connections are bounded by the pool.
        for start in range(0, count, 50):
            await asyncio.gather(*(TASKS[task].kiq() for _ in range(start, min(count, start + 50))))

    async def round_trip(self) -> int:
        return (await (await noop.kiq()).wait_result(timeout=10)).return_value
