"""docket: its worker on uvloop, `add_many`, `get_result`."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import uvloop
from docket import Docket, Worker

from benchmarks.peers import given, tally


async def noop() -> int:
    tally.ran()
    return 1


async def sleep() -> int:
    tally.starts()
    await asyncio.sleep(given.SLEEP)
    tally.stops()
    return 1


# The pool of redis-py ends at 100 connections; docket raises beyond that, and loses a task now and then.
URL = f"{given.URL}?max_connections=2000"
tasks = [noop, sleep]
TASKS = {"noop": noop, "sleep": sleep}


def worker_command() -> list[str]:
    return [sys.executable, "-m", "benchmarks.peers.docket"]


class Sender:
    async def __aenter__(self) -> Sender:
        self.docket = await Docket(name="bench", url=URL).__aenter__()
        for task in tasks:
            self.docket.register(task)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.docket.__aexit__(*error)  # type: ignore[arg-type]

    async def submit(self) -> str:
        return (await self.docket.add(noop)()).key

    async def one_by_one(self, count: int) -> None:
        for _ in range(count):
            await self.docket.add(noop)()

    async def many(self, task: str, count: int) -> None:
        await self.docket.add_many([self.docket.call(TASKS[task])() for _ in range(count)])

    async def round_trip(self) -> int:
        return await (await self.docket.add(noop)()).get_result(timeout=timedelta(seconds=10))


async def work() -> None:
    """A worker takes up to `concurrency` tasks each `minimum_check_interval`: with fewer, it would mostly wait."""
    async with Docket(name="bench", url=URL) as docket:
        for task in tasks:
            docket.register(task)
        interval = timedelta(milliseconds=100)
        async with Worker(docket, concurrency=given.AT_ONCE or 250, minimum_check_interval=interval) as worker:
            await worker.run_forever()


if __name__ == "__main__":
    uvloop.run(work())
