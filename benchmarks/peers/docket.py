"""docket: its own worker command, `add_many`, `get_result`."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from docket import Docket

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
    command = str(Path(sys.executable).parent / "docket")
    words = [sys.executable, command, "worker", "--url", URL, "--docket", "bench"]
    words += ["--tasks", "benchmarks.peers.docket:tasks", "--logging-level", "WARNING"]
    return [*words, "--concurrency", str(given.AT_ONCE or 100)]


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
