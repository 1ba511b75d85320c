"""Running what waits, when the test says so: with the worker that runs it elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from aioqueue.brokers.protocol import Broker, QueueStatus
from aioqueue.context import current
from aioqueue.exceptions import AioQueueError
from aioqueue.ids import new_id
from aioqueue.result import AsyncResult
from aioqueue.task import Task
from aioqueue.testing.stage import Stage
from aioqueue.testing.waiting import Waiting
from aioqueue.worker import Worker
from aioqueue.worker.consuming import Together

if TYPE_CHECKING:
    from aioqueue.core import Core

_LOOK_AGAIN = 0.005
_HOSTNAME = "testing"


class Runs:
    """What runs the tasks of a test."""

    def __init__(self, app: Core, broker: Broker, stage: Stage, waiting: Waiting) -> None:
        self._app = app
        self._broker = broker
        self._stage = stage
        self._waiting = waiting
        self._free: list[str] = []

    async def until_quiet(self, *, retry_now: bool) -> None:
        """Run what is due until nothing is, also in the hands of the test's own workers."""
        _refuse_inside_a_task()
        with self._waiting.working():
            while True:
                await self._alongside(self._burst(await self._queues(), retry_now), retry_now)
                if await self.is_quiet():
                    return

    async def is_quiet(self) -> bool:
        """Wait for what the test's own workers have in their hands; returns whether nothing waits then."""
        while True:
            queues = [queue for queue in await self._broker.queues() if queue.name not in self._alone]
            if any(queue.waiting for queue in queues):
                return False
            if not any(queue.running for queue in queues) or not await self._broker.workers():
                here = asyncio.get_running_loop()
                told = [one for one in self._app.signals.under_way if one.get_loop() is here]
                if not told:
                    return True
                await asyncio.wait(told)  # who listens may send something
            await asyncio.sleep(_LOOK_AGAIN)

    async def run(
        self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]
    ) -> Any:
        """Run one task to its end, and no other unless it waits for one.

        The task is sent to a queue of its own, so that neither what waits nor what it sends is run with it.
        """
        _refuse_inside_a_task()
        id = options.get("task_id") or new_id()
        queue = self._free.pop() if self._free else f"aioqueue-testing-{new_id()}"
        self._stage.alone[id] = queue
        try:
            # Whatever it returns is wanted here, and wanted now.
            options = {**options, "task_id": id, "ignore_result": False, "countdown": None, "eta": None}
            sent: Any = await self._app.out.send(task, args, kwargs, options)
            if not isinstance(sent, AsyncResult):  # a middleware has answered, and nothing was sent
                self._free.append(queue)
                return sent
            result = cast("AsyncResult[Any]", sent)
            with self._waiting.working():
                # A burst may end in the moment in which a retry comes into the queue.
                while True:
                    await self._alongside(self._burst([queue], True), True)
                    status = await self._status(queue)
                    if not status.waiting:
                        break
            # If it was replaced, its end is that of the others.
            if await self._broker.place(id) is not None and not await result.ready():
                await self.until_quiet(retry_now=True)
        finally:
            del self._stage.alone[id]
        if not status.running and not status.delayed:
            self._free.append(queue)
        return await self._value(result)

    async def _status(self, queue: str) -> QueueStatus:
        return next(status for status in await self._broker.queues() if status.name == queue)

    async def _value(self, result: AsyncResult[Any]) -> Any:
        # A task that raised `Ignore` has no end, and no value.
        return await result.get() if await result.ready() else None

    async def _alongside(self, run: Coroutine[Any, Any, None], retry_now: bool) -> None:
        """Run the other tasks beside it when one of those that run waits for one of them."""
        wanted = self._waiting.wanted
        async with _task(run) as running:
            while not running.done():
                async with _task(wanted.wait()) as waits:
                    await asyncio.wait({running, waits}, return_when=asyncio.FIRST_COMPLETED)
                if wanted.is_set() and not running.done():
                    wanted.clear()
                    await self._burst(await self._queues(), retry_now)
            await running

    async def _burst(self, queues: list[str], retry_now: bool) -> None:
        worker = Worker(self._app, queues=Together(queues), burst="now", retry_now=retry_now, hostname=_HOSTNAME)
        worker.life.silent = True  # one of a test's own, such as `app.worker()`, has one
        running = asyncio.create_task(worker.run(install_signals=False))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            worker.stop(now=True)  # gives back what it has
            await asyncio.wait({running})
            raise

    async def _queues(self) -> list[str]:
        used = [status.name for status in await self._broker.queues()]
        named = Worker(self._app).queues
        return [name for name in dict.fromkeys([*named, *used]) if name not in self._alone]

    @property
    def _alone(self) -> set[str]:
        return {*self._stage.alone.values(), *self._free}


def _refuse_inside_a_task() -> None:
    context = current.get()
    if context is not None and context.id:
        raise AioQueueError(
            f"The task {context.name} cannot run the other tasks of its test: that would wait for itself. Await the "
            "result that it needs (`await result`) instead."
        )


@asynccontextmanager
async def _task(coroutine: Coroutine[Any, Any, Any]) -> AsyncGenerator[asyncio.Task[Any]]:
    """An asyncio task that has ended when the block has."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
