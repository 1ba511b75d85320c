"""RQ with its SimpleWorker, which runs jobs in its own process in place of a fork for each."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import redis
import rq

from benchmarks.peers import given, tally


def noop() -> int:
    tally.ran()
    return 1


def sleep() -> int:
    tally.starts()
    time.sleep(given.SLEEP)
    tally.stops()
    return 1


TASKS = {"noop": "benchmarks.peers.rq.noop", "sleep": "benchmarks.peers.rq.sleep"}


def worker_command() -> list[str]:
    command = str(Path(sys.executable).parent / "rq")
    return [
        sys.executable,
        command,
        "worker",
        "--url",
        given.URL,
        "--worker-class",
        "rq.worker.SimpleWorker",
        "--quiet",
    ]


class Sender:
    def __enter__(self) -> Sender:
        self.client = redis.Redis.from_url(given.URL)
        self.queue = rq.Queue(connection=self.client)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def submit(self) -> str:
        return self.queue.enqueue(TASKS["noop"]).id

    def one_by_one(self, count: int) -> None:
        for _ in range(count):
            self.queue.enqueue(TASKS["noop"])

    def many(self, task: str, count: int) -> None:
        for start in range(0, count, 1000):
            calls = [rq.Queue.prepare_data(TASKS[task]) for _ in range(start, min(count, start + 1000))]
            self.queue.enqueue_many(calls)

    def round_trip(self) -> int:
        result = self.queue.enqueue(TASKS["noop"]).latest_result(timeout=10)
        assert result is not None
        return result.return_value
