"""aioqueue with its default settings, logging at warning."""

from __future__ import annotations

import asyncio
import sys
import time

from aioqueue import AioQueue, TaskContext, chain, chord, every, group
from benchmarks.peers import given, starts, tally

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


@app.task
async def spin() -> int:
    """Takes the processor for a fifth of a millisecond."""
    until = time.perf_counter_ns() + 200_000
    while time.perf_counter_ns() < until:
        pass
    tally.ran()
    return 1


@app.task
async def step(x: int) -> int:
    tally.ran()
    return x + 1


@app.task
async def collect(numbers: list[int]) -> int:
    tally.ran()
    return len(numbers)


@app.task(bind=True)
async def tick(ctx: TaskContext) -> None:
    starts.began(ctx.due_at.timestamp() if ctx.due_at else None)


if given.BEAT:
    # Anchored, so that it is due with each whole second, as those of the others are.
    app.periodic(every(1, anchor="2026-01-01T00:00Z"))(tick)


def _chain(steps: int) -> chain[int]:
    return chain([step.s(0), *(step.s() for _ in range(steps - 1))])


CANVASES = {
    "chain": _chain,
    "chains": lambda count: group(_chain(100) for _ in range(count // 100)),
    "chord": lambda count: chord((step.s(x) for x in range(count - 1)), collect.s()),
}
TASKS = {"noop": noop, "sleep": sleep, "spin": spin}


def worker_command() -> list[str]:
    words = [sys.executable, "-m", "aioqueue", "worker", "benchmarks.peers.aioqueue:app", "--loglevel", "warning"]
    if given.PROCESSES > 1:
        words += ["--processes", str(given.PROCESSES)]
    if given.VARIANT == "beat":
        words += ["--beat"]
    return [*words, "--concurrency", str(given.AT_ONCE)] if given.AT_ONCE else words


def scheduler_command() -> list[str] | None:
    if given.VARIANT == "beat":
        return None
    return [sys.executable, "-m", "aioqueue", "beat", "benchmarks.peers.aioqueue:app", "--loglevel", "warning"]


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
        if task in CANVASES:
            await CANVASES[task](count).send()
            return
        await app.send_many([TASKS[task].s() for _ in range(count)])

    async def round_trip(self) -> int:
        return await (await noop.send()).get(timeout=10)
