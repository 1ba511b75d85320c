"""aioqueue against the floor, side by side: `python benchmarks/compare.py [--tasks N] [--rounds N] [--json FILE]`.

The two take turns on one server, in one process each time, and each round gives a ratio; what is printed are the
medians. A ratio holds while the machine's speed drifts, an absolute figure does not.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import floor
import redis as redis_py
import uvloop
from redis import asyncio as aioredis
from server import server

import aioqueue
from aioqueue import AioQueue

logging.basicConfig(level=logging.WARNING)


async def noop() -> None:
    """The task."""


class Ours:
    """aioqueue with its default settings."""

    def __init__(self, url: str) -> None:
        self.app = AioQueue("bench", broker=url)
        self.task = self.app.task(noop)

    async def send_many(self, count: int) -> None:
        await self.app.send_many([self.task.s() for _ in range(count)])

    async def send_one_by_one(self, count: int) -> None:
        for _ in range(count):
            await self.task.send()

    async def drain(self, count: int) -> None:
        await self.app.worker(burst=True).run(install_signals=False)


class Floor:
    """The hand-written loop."""

    def __init__(self, url: str) -> None:
        self.client = aioredis.Redis.from_url(url)

    async def send_many(self, count: int) -> None:
        await floor.send_many(self.client, count)

    async def send_one_by_one(self, count: int) -> None:
        await floor.send_one_by_one(self.client, count)

    async def drain(self, count: int) -> None:
        await floor.drain(self.client, count)


async def measure(action: Callable[[int], Awaitable[None]], count: int) -> tuple[float, float]:
    """Tasks a second, and the µs of this process's CPU for each."""
    started, cpu = time.perf_counter(), time.process_time()
    await action(count)
    return count / (time.perf_counter() - started), (time.process_time() - cpu) / count * 1e6


async def one_round(url: str, tasks: int, singles: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Each scenario once for both."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    async with aioredis.Redis.from_url(url) as admin:
        for name in ("floor", "aioqueue"):
            await admin.flushall()
            side: Ours | Floor = Ours(url) if name == "aioqueue" else Floor(url)
            if isinstance(side, Floor):
                await floor.prepare(side.client)
            else:
                await side.app.open()
            results = found[name] = {}
            results["send many"] = await measure(side.send_many, tasks)
            await admin.config_resetstat()
            results["drain no-op"] = await measure(side.drain, tasks)
            stats = await admin.info("commandstats")
            commands = sum(stat["calls"] for command, stat in stats.items() if "evalsha" not in command)
            results["commands per task"] = (commands / tasks, 0.0)
            results["send one by one"] = await measure(side.send_one_by_one, singles)
            if isinstance(side, Floor):
                await side.client.aclose()
            else:
                await side.app.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=50_000)
    parser.add_argument("--singles", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rounds: list[dict[str, dict[str, tuple[float, float]]]] = []
    with server() as url:
        for number in range(options.rounds):
            rounds.append(uvloop.run(one_round(url, options.tasks, options.singles)))
            print(f"round {number + 1} of {options.rounds}", flush=True)
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, redis-py {redis_py.__version__}"
    print(
        f"\naioqueue {aioqueue.__version__}, {machine}; {options.tasks:,} tasks, medians of {options.rounds} rounds\n"
    )
    print("| | aioqueue | floor | ratio | spread of the ratio | CPU/task, ratio |")
    print("|---|---|---|---|---|---|")
    summary: dict[str, dict[str, float]] = {}
    for scenario in rounds[0]["floor"]:
        ours = [found["aioqueue"][scenario] for found in rounds]
        theirs = [found["floor"][scenario] for found in rounds]
        ratios = [a[0] / b[0] for a, b in zip(ours, theirs, strict=True)]
        cpu = [a[1] / b[1] if b[1] else 0.0 for a, b in zip(ours, theirs, strict=True)]
        row = {
            "aioqueue": statistics.median(a[0] for a in ours),
            "floor": statistics.median(b[0] for b in theirs),
            "ratio": statistics.median(ratios),
            "cpu_ratio": statistics.median(cpu),
        }
        summary[scenario] = row
        unit = "" if scenario == "commands per task" else "/s"
        digits = 2 if not unit else 0
        figures = f"{row['aioqueue']:,.{digits}f}{unit} | {row['floor']:,.{digits}f}{unit} | {row['ratio']:.2f}"
        print(f"| {scenario} | {figures} | {min(ratios):.2f} to {max(ratios):.2f} | {row['cpu_ratio']:.2f} |")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rounds": rounds, "medians": summary}, indent=2))


if __name__ == "__main__":
    main()
