"""huey on Redis: one process of eight threads; who waits for a result is told when it is there."""

from __future__ import annotations

import sys
import time

from huey import RedisHuey

from benchmarks.peers import given, tally

# The pool of redis-py ends at 100 connections, and raises beyond; each thread takes one.
queue = RedisHuey("bench", url=f"{given.URL}?max_connections=2000", notify_result=True)


@queue.task()
def noop() -> int:
    tally.ran()
    return 1


@queue.task()
def sleep() -> int:
    tally.starts()
    time.sleep(given.SLEEP)
    tally.stops()
    return 1


TASKS = {"noop": noop, "sleep": sleep}


def worker_command() -> list[str]:
    words = [sys.executable, "-m", "huey.bin.huey_consumer", "benchmarks.peers.huey.queue", "--quiet"]
    return [*words, "--worker-type", "thread", "--workers", str(given.AT_ONCE or 8)]


class Sender:
    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self) -> str:
        return noop().id

    def one_by_one(self, count: int) -> None:
        for _ in range(count):
            noop()

    def many(self, task: str, count: int) -> None:
        # There is no call for many.
        for _ in range(count):
            TASKS[task]()

    def round_trip(self) -> int:
        return noop().get(blocking=True, timeout=10)
