"""dramatiq on Redis with the results middleware: one process of eight threads, its default number."""

from __future__ import annotations

import sys
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.peers import given, tally

# The pool of redis-py ends at 100 connections, and raises beyond; each thread takes one.
URL = f"{given.URL}?max_connections=2000"
broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL), store_results=True))
dramatiq.set_broker(broker)


@dramatiq.actor
def noop() -> int:
    tally.ran()
    return 1


@dramatiq.actor
def sleep() -> int:
    tally.starts()
    time.sleep(given.SLEEP)
    tally.stops()
    return 1


TASKS = {"noop": noop, "sleep": sleep}


def worker_command() -> list[str]:
    words = [sys.executable, "-m", "dramatiq", "benchmarks.peers.dramatiq", "--processes", "1"]
    return [*words, "--threads", str(given.AT_ONCE or 8)]


class Sender:
    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self) -> str:
        return noop.send().options["redis_message_id"]

    def one_by_one(self, count: int) -> None:
        for _ in range(count):
            noop.send()

    def many(self, task: str, count: int) -> None:
        for start in range(0, count, 1000):
            dramatiq.group(TASKS[task].message() for _ in range(start, min(count, start + 1000))).run()

    def round_trip(self) -> int:
        return noop.send().get_result(block=True, timeout=10_000)
