"""Celery on Redis with results in Redis: the prefork pool, or the thread pool."""

from __future__ import annotations

import sys
import time

import celery

from benchmarks.peers import given, starts, tally

app = celery.Celery("bench", broker=given.URL, backend=given.URL)
app.conf.update(
    worker_prefetch_multiplier=64,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop() -> int:
    tally.ran()
    return 1


@app.task(name="sleep")
def sleep() -> int:
    tally.starts()
    time.sleep(given.SLEEP)
    tally.stops()
    return 1


@app.task(name="tick")
def tick() -> None:
    starts.began()


if given.BEAT:
    # A crontab has minutes. Relative: it is due with the whole second, and not one second after it was last sent.
    app.conf.beat_schedule = {"tick": {"task": "tick", "schedule": 1.0, "relative": True}}


TASKS = {"noop": noop, "sleep": sleep}


def worker_command() -> list[str]:
    words = [sys.executable, "-m", "celery", "--app", "benchmarks.peers.celery:app", "worker", "--loglevel", "WARNING"]
    words += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    # Each of many workers on one machine needs a name of its own.
    words += ["--hostname", f"worker-{time.monotonic_ns()}@%h", "--pool", given.VARIANT]
    return [*words, "--concurrency", str(given.AT_ONCE or 2)]


def scheduler_command() -> list[str]:
    return [sys.executable, "-m", "celery", "--app", "benchmarks.peers.celery:app", "beat", "--loglevel", "WARNING"]


class Sender:
    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self) -> str:
        return noop.delay().id

    def one_by_one(self, count: int) -> None:
        for _ in range(count):
            noop.delay()

    def many(self, task: str, count: int) -> None:
        for start in range(0, count, 1000):
            celery.group(TASKS[task].s() for _ in range(start, min(count, start + 1000))).apply_async()

    def round_trip(self) -> int:
        return noop.delay().get(timeout=10)
