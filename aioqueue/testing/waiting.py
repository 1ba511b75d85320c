"""Results that nobody is going to give: in a test, waiting for one is an error that says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from time import monotonic

from aioqueue.brokers.memory.inbox import call_in
from aioqueue.brokers.protocol import Broker, Watch
from aioqueue.context import current
from aioqueue.exceptions import TimeoutError

PATIENCE = 1.0
"""Seconds for which nothing must run tasks before one who waits is told. A waiter may well come before `drain`."""
_A_MOMENT = 0.02


class Waiting:
    """Who waits for tasks, and whether anything runs them.

    Args:
        describe: what is known of a task, from its id, and from whether nothing waits or runs any more.
    """

    def __init__(self, describe: Callable[[str, bool], str]) -> None:
        self._describe = describe
        self._loop = asyncio.get_running_loop()
        self._busy = 0
        self._quiet_since = float("-inf")
        self._blocked: Counter[str] = Counter()
        self.wanted = asyncio.Event()
        """Set when a running task waits for another one."""

    @contextmanager
    def working(self) -> Generator[None]:
        """Tasks are being run."""
        if not self._busy:
            self.wanted.clear()
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._quiet_since = monotonic()

    @asynccontextmanager
    async def watch(
        self, broker: Broker, watch: AbstractAsyncContextManager[Watch], id: str
    ) -> AsyncGenerator[_PatientWatch]:
        """A watch that ends with an error when nothing runs tasks."""
        async with watch as records:
            yield _PatientWatch(self, broker, records, id)

    @contextmanager
    def blocked(self) -> Generator[None]:
        """A task that runs, if this is one, waits for another."""
        context = current.get()
        if context is None or not context.id:
            yield
            return
        self._blocked[context.id] += 1
        call_in(self._loop, self.wanted.set)
        try:
            yield
        finally:
            self._blocked[context.id] -= 1
            self._blocked += Counter()

    async def check(self, broker: Broker, id: str) -> None:
        """Somebody has waited for a while.

        Raises:
            TimeoutError: and will wait for ever.
        """
        if self._busy:
            queues = await broker.queues()
            # What waits in a queue will be run, and what comes of the tasks that go on is not known.
            goes_on = any(queue.waiting for queue in queues) or sum(q.running for q in queues) > len(self._blocked)
            if self._blocked and not goes_on:
                known = self._describe(id, False)
                raise TimeoutError(f"{known} The tasks that run wait for it, and nothing else goes on.")
            return
        if await broker.workers():
            return
        if monotonic() - self._quiet_since < PATIENCE:
            return
        known = self._describe(id, await broker.idle())
        raise TimeoutError(
            f"{known} In app.testing() tasks are run by `await t.drain()`, `await t.clock.advance(...)` "
            "and `await t.run(task, ...)`, or by a worker of the test's own (`async with app.worker():`)."
        )


class _PatientWatch:
    def __init__(self, waiting: Waiting, broker: Broker, watch: Watch, id: str) -> None:
        self._waiting = waiting
        self._broker = broker
        self._watch = watch
        self._id = id

    async def next(self) -> bytes:
        """The next record.

        Raises:
            TimeoutError: there is not going to be one.
        """
        news = asyncio.ensure_future(self._watch.next())
        try:
            await asyncio.wait({news}, timeout=_A_MOMENT)
            if not news.done():
                with self._waiting.blocked():
                    await self._wait_for(news)
            return news.result()
        finally:
            news.cancel()

    async def _wait_for(self, news: asyncio.Future[bytes]) -> None:
        while not (await asyncio.wait({news}, timeout=PATIENCE))[0]:
            try:
                await self._waiting.check(self._broker, self._id)
            except TimeoutError:
                # It may have ended in this moment.
                if not (await asyncio.wait({news}, timeout=_A_MOMENT))[0]:
                    raise
