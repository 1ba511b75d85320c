"""A namespace in which innocent tasks run, and somebody who writes into it what he likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import redis
from support import waiting

from aioqueue import AioQueue, AsyncResult, TaskContext
from aioqueue.brokers.redis import keys
from aioqueue.message import Message, encode_message

PATIENCE = 20.0
until = partial(waiting.until, seconds=PATIENCE)
PREFIX = keys.prefix("hostile")
LAST_ID = f"{2**64 - 1}-{2**64 - 1}"


class World:
    """An app, its tasks, and a client that may write anything.

    Attributes:
        ran: what has run, by the mark that it was sent with.
    """

    def __init__(self, url: str, **settings: Any) -> None:
        self.app = AioQueue("hostile", broker=url, **{"visibility_timeout": 1.0, "send_timeout": 5.0, **settings})
        self.client = redis.Redis.from_url(url)
        self.ran: list[str] = []
        app = self.app

        @app.task(name="add")
        async def add(x: int, y: int) -> int:
            return x + y

        @app.task(name="total")
        async def total(numbers: list[int]) -> int:
            return sum(numbers)

        @app.task(name="mark", queue="other")
        async def mark(name: str) -> str:
            self.ran.append(name)
            return name

        @app.task(name="again", bind=True, max_retries=5)
        async def again(ctx: TaskContext, times: int) -> int:
            if ctx.retries < times:
                raise ctx.retry(countdown=0.05)
            return ctx.retries

        @app.task(name="slow")
        async def slow(seconds: float) -> None:
            await asyncio.sleep(seconds)

        self.add, self.total, self.mark, self.again, self.slow = add, total, mark, again, slow

    def key(self, name: str) -> str:
        """A key of the namespace."""
        return PREFIX + name

    def forge(self, stream: str = "q:default:0", *, id: str | bytes = "forged", **about: Any) -> None:
        """An entry of a stream that nobody has sent."""
        message = Message(task="add", body=msgspec.msgpack.encode([[1, 1], {}]))
        self.client.xadd(self.key(stream), {"i": id, "m": encode_message(msgspec.structs.replace(message, **about))})

    def exhaust(self, stream: str) -> None:
        """A stream whose ids have come to an end. What does not hold anything is made anew by the next who adds."""
        with self.client.pipeline() as both:
            both.xadd(self.key(stream), {"x": "y"}, id=LAST_ID)
            both.xdel(self.key(stream), LAST_ID)
            both.execute(raise_on_error=False)  # it may be at its end already

    @asynccontextmanager
    async def working(self, **options: Any) -> AsyncIterator[None]:
        """With a worker of both queues."""
        async with self.app, self.app.worker(**{"queues": ["default", "other"], "shutdown_timeout": 0.5, **options}):
            yield

    async def letters(self, count: int) -> list[Any]:
        """The dead letters, when there are so many."""
        return await until(lambda: self._letters(count))

    async def _letters(self, count: int) -> list[Any] | None:
        found = await self.app.dead_letters.list()
        return found if len(found) >= count else None


async def outcomes(results: list[AsyncResult[Any]], seconds: float = PATIENCE) -> list[Any]:
    """What each gave, or raised; none may hang."""
    return await asyncio.gather(*[result.get(timeout=seconds) for result in results], return_exceptions=True)


def workflow_of(result: AsyncResult[Any]) -> str:
    """The id of its workflow."""
    return result.id.partition(".")[0]
