"""A print shop: all that can stand around a task, together. tests/examples/test_print_shop.py kills one of its workers.

- a dependency: the till, opened before a task and closed after it, told if it fails
- a middleware: each order travels with the name of its customer, and runs under it
- a signal: the shop hears of what goes wrong
- a route: orders find the queues of the printers that can do them, by topic
- a class of tasks: jobs count what they have earned, once for each order

$ python examples/print_shop.py                                   # a few orders, with a worker inside
$ cd examples && aioqueue worker print_shop:app -Q colour,plain   # a printer
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from aioqueue import AioQueue, Depends, Middleware, OutgoingMessage, Queue, Task, TaskContext, TaskEvent

app = AioQueue(
    "print-shop",
    task_queues=[Queue("colour", topic="print.colour.#"), Queue("plain", topic="print.*.page")],
    task_routes={"print_shop.poster": {"routing_key": "print.colour.poster"}, "print_shop.p*": {"queue": "plain"}},
)
customer: ContextVar[str] = ContextVar("customer", default="nobody")


def note(*words: object) -> None:
    """One line in the shop's book; the file is opened anew, so that a killed worker leaves whole lines."""
    with Path(os.environ.get("PRINT_SHOP_BOOK", os.devnull)).open("a") as book:
        book.write(" ".join(map(str, [os.getpid(), *words])) + "\n")


class Customers(Middleware):
    async def around_send(self, message: OutgoingMessage, next: Any) -> Any:
        message.headers["customer"] = customer.get()
        return await next(message)

    async def around_task(self, ctx: TaskContext, next: Any) -> Any:
        customer.set(ctx.headers["customer"])
        return await next(ctx)


app.add_middleware(Customers())


class Till:
    def __init__(self) -> None:
        self.taken = 0


async def till(ctx: TaskContext) -> AsyncIterator[Till]:
    note("open", ctx.id)
    try:
        yield Till()
    except BaseException as error:
        note("failed", ctx.id, type(error).__name__)
        raise
    finally:
        note("close", ctx.id)


class Job(Task[..., Any]):
    abstract = True
    max_retries = 2

    async def on_success(self, result: Any, task_id: str, args: Any, kwargs: Any) -> None:
        note("earned", task_id, result)


@app.on("task_failure")
async def complain(event: TaskEvent) -> None:
    note("complaint", event.task_id, event.task, event.exception)


@app.task(base=Job)
async def page(words: str, seconds: float = 0.01, till: Till = Depends(till)) -> str:
    await asyncio.sleep(seconds)
    till.taken += len(words)
    return f"{till.taken} cents from {customer.get()}"


@app.task(base=Job, bind=True)
def poster(ctx: TaskContext, words: str, till: Till = Depends(till)) -> str:
    """A plain function: it runs in a thread, with the same customer and the same till."""
    if not words:
        raise ValueError("an empty poster")
    till.taken += 10 * len(words)
    return f"{till.taken} cents from {customer.get()}"


@asynccontextmanager
async def ordering(name: str) -> AsyncIterator[None]:
    token = customer.set(name)
    try:
        yield
    finally:
        customer.reset(token)


async def main() -> None:
    async with app.worker(queues=["colour", "plain"]):
        async with ordering("Ada"):
            first, second = await page.send("a letter"), await poster.send("Engines!")
        async with ordering("Bob"):
            third = await page.options(routing_key="print.colour.page").send("in colour, and plain")
            broken = await poster.send("")
        for result in (first, second, third):
            print(await result.get(timeout=10))
        try:
            await broken.get(timeout=10)
        except ValueError as error:
            print(f"no poster: {error}", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())
