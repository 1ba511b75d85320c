"""aioqueue with one thing around its no-op; which one, says the variant. For `python -m benchmarks.around`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from aioqueue import AioQueue, Depends, Middleware, Queue, Task, TaskEvent
from benchmarks.peers import given, tally

TEXT = "a line of some text that compresses as text does. " * 40
"""Two KB, for what costs by the byte."""

app = AioQueue("bench", broker=given.URL)
options: dict[str, Any] = {}
arguments: tuple[Any, ...] = ()


async def noop() -> int:
    tally.ran()
    return 1


function: Callable[..., Any] = noop


class AroundTask(Middleware):
    """Passes each run on."""

    async def around_task(self, ctx: Any, next: Any) -> Any:
        return await next(ctx)


class AroundSend(Middleware):
    """Passes each message on."""

    async def around_send(self, message: Any, next: Any) -> Any:
        return await next(message)


class Hooked(Task[..., Any]):
    """Hears of its successes."""

    async def on_success(self, *about: Any) -> None: ...


async def session() -> AsyncIterator[int]:
    yield 1


async def depends(s: int = Depends(session)) -> int:
    tally.ran()
    return s


async def takes(text: str) -> int:
    tally.ran()
    return 1


async def hears(event: TaskEvent) -> None: ...


def hears_in_a_thread(event: TaskEvent) -> None: ...


match given.VARIANT:
    case "around_task":
        app.add_middleware(AroundTask())
    case "around_send":
        app.add_middleware(AroundSend())
    case "dependency":
        function = depends
    case "class":
        options["base"] = Hooked
    case "signal":
        app.on("task_success")(hears)
    case "thread":
        app.on("task_success")(hears_in_a_thread)
    case "routes":
        app.conf.task_routes = {"other.*": "other", "bench.*": "default"}
    case "topic":
        app.conf.task_queues = [Queue("default", topic="a.#")]
        app.conf.task_routes = {"bench.*": {"routing_key": "a.b"}}
    case "concurrency":
        app.conf.task_queues = [Queue("default", concurrency=100)]
    case "text":
        function, arguments = takes, (TEXT,)
    case "compression":
        function, arguments = takes, (TEXT,)
        options["compression"] = "zlib"

task: Any = app.task(name="bench.noop", **options)(function)


def worker_command() -> list[str]:
    return [sys.executable, "-m", "aioqueue", "worker", "benchmarks.peers.around:app", "--loglevel", "warning"]


class Sender:
    async def __aenter__(self) -> Sender:
        await app.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await app.close()

    async def one_by_one(self, count: int) -> None:
        for _ in range(count):
            await task.send(*arguments)

    async def many(self, _: str, count: int) -> None:
        await app.send_many([task.s(*arguments) for _ in range(count)])
