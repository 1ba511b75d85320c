"""An app whose tasks run in processes, which import this module."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from aioqueue import AioQueue, Depends, TaskContext
from aioqueue.exceptions import Reject, SoftTimeLimitExceeded
from aioqueue.middlewares import ContextPropagation

tenant: ContextVar[str | None] = ContextVar("tenant", default=None)
app = AioQueue("in-processes", broker="memory://", worker_process_concurrency=2, task_default_retry_delay=0)


app.add_middleware(ContextPropagation(tenant))


class Odd(Exception):
    pass


@dataclass
class Point:
    x: int
    y: int


def opened() -> Iterator[str]:
    yield f"opened in {os.getpid()}"


@app.task(pool="process")
def pid() -> int:
    return os.getpid()


@app.task
def plain() -> int:
    return os.getpid()


@app.task(pool="process", bind=True)
def move(ctx: TaskContext, point: Point, by: int = 1) -> Point:
    assert ctx.name.endswith("move") and ctx.args[0] == point
    return Point(point.x + by, point.y)


@app.task(pool="process")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(pool="process")
def depends(given: str = Depends(opened)) -> tuple[str, int]:
    return given, os.getpid()


@app.task(pool="process", autoretry_for=(Odd,), max_retries=2, bind=True)
def fails(ctx: TaskContext, kind: str) -> str:
    if kind == "odd":
        raise Odd("no", 5)
    if kind == "retry" and ctx.retries < 2:
        raise ctx.retry(countdown=0, queue="slow")
    if kind == "forgotten":
        ctx.retry(countdown=0)
    if kind == "reject":
        raise Reject("not this")
    if kind == "exit":
        raise SystemExit(3)
    return f"after {ctx.retries} in {ctx.queue}"


@app.task(pool="process", bind=True)
def speaks(ctx: TaskContext, file: str) -> str | None:
    logging.getLogger("shop").warning("half of %s", "it", extra={"colour": "red"})
    ctx.progress(1, 2)
    while not Path(file).exists():
        time.sleep(0.01)
    ctx.ack()
    return tenant.get()


@app.task(pool="process")
def unsendable() -> object:
    return object()


@app.task(pool="process")
def dies(how: str) -> None:
    if how == "exit":
        os._exit(7)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(pool="process", retry_on_worker_lost=True, max_retries=3)
def dies_once(file: str) -> str:
    path = Path(file)
    if not path.exists():
        path.touch()
        os._exit(1)
    return "the second time"


@app.task(pool="process", soft_time_limit=0.2)
def soft() -> str:
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded as error:
        return str(error)
    return "in time"


@app.task(pool="process", time_limit=0.2)
def hard(file: str) -> None:
    Path(file).write_text(str(os.getpid()))
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass


@app.task(pool="process")
def long(file: str) -> None:
    here = Path(file)
    here.with_suffix(".new").write_text(str(os.getpid()))
    here.with_suffix(".new").rename(here)
    time.sleep(120)


@app.task(pool="process")
def sends() -> None:
    pid.sync.send()


if __name__ == "__main__":  # a worker to be killed
    import asyncio
    import sys

    async def main() -> None:
        async with app, app.worker():
            await long.send(sys.argv[1])
            await asyncio.sleep(120)

    asyncio.run(main())
