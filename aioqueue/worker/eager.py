"""Running a task where it is sent, for those who insist (`task_always_eager`)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aioqueue.brokers.protocol import Broker, QueueStatus
from aioqueue.canvas import Canvas
from aioqueue.dispatch import BareCall, Dispatch, Posting, postings
from aioqueue.exceptions import ConfigurationError
from aioqueue.ids import new_id
from aioqueue.message import Record, State, decode_record
from aioqueue.result import AsyncResult
from aioqueue.waiting import A_MOMENT, OutOfTime, within
from aioqueue.worker.consuming import Together
from aioqueue.worker.worker import Worker

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.task import Task

Options = Mapping[str, Any]

_AT_ONCE = 100  # at least, for tasks that run wait for those that they have sent


class EagerResult(AsyncResult[Any]):
    """The result of a task that has been run already."""

    def __init__(self, app: Core, id: str, record: Record) -> None:
        super().__init__(app, id, name=record.task)
        self._ended = record

    async def _end(self) -> Record:
        return self._without_a_record() if self._forgotten else self._ended

    async def _record(self) -> Record | None:
        return None if self._forgotten else self._ended


class Eager(Dispatch):
    """A way out that leads to the app's broker in memory, beside which work is done until all of it has ended."""

    in_batches = False

    async def send_single(self, call: BareCall) -> AsyncResult[Any]:
        """Run a single task: whatever it returns is kept, and whoever asks is told at once. One of which only the name
        is given is sent.

        Raises:
            ConfigurationError: the app has been opened before it was made eager, so that others see what is sent.
        """
        target, args, kwargs, options = call
        if isinstance(target, str):
            return await super().send_single(call)
        app = self._app
        broker = await _broker(app)
        batch = _postings(app, broker, target, args, kwargs, options)
        await self._send(broker, batch)
        result = await _ended(app, app, broker, batch[0].message.id)
        if not app.conf.task_store_eager_result:
            await broker.forget([result.id])
        if app.conf.task_eager_propagates:
            await result.get()
        return result

    async def send_canvas(
        self, canvas: Canvas[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        """Run a canvas.

        Raises:
            ConfigurationError: as `send`.
        """
        broker = await _broker(self._app)
        result = await super().send_canvas(canvas, args, kwargs)
        await _work(self._app, broker)
        if self._app.conf.task_eager_propagates:
            await result.get()
        return result


async def run_in_place(
    app: Core, apart: Core, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
) -> AsyncResult[Any]:
    """Run a task that is not sent.

    Args:
        app: the task's.
        apart: the same on a broker of its own, where nothing else waits.
        task, args, kwargs, options: the call.

    Raises:
        ConfigurationError: it has links.
    """
    if options.keys() & {"link", "link_error"}:
        raise ConfigurationError(f"apply() runs {task.name} alone, and calls no link: send it. Nothing was run.")
    async with apart:
        broker = await apart.broker()
        (first, *_) = batch = _postings(apart, broker, task, args, kwargs, options)
        await broker.send([posting.message for posting in batch], timeout=app.conf.send_timeout)
        return await _ended(app, apart, broker, first.message.id)


def _postings(
    app: Core, broker: Broker, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
) -> tuple[Posting, ...]:
    # With an id of its sender's own the broker knows whether it goes on.
    own = {"task_id": options.get("task_id") or new_id(), "countdown": None, "eta": None}
    return postings(app, task, args, kwargs, {**options, **own}, broker.now())


async def _ended(app: Core, apart: Core, broker: Broker, id: str) -> EagerResult:
    """Run what waits in the broker, and give the result of that task."""
    await _work(apart, broker)
    # A worker that runs the one who sends it may have it.
    async with broker.watch(id) as watch:
        while (await broker.going_on([id]))[0]:
            with suppress(OutOfTime):
                await within(A_MOMENT, watch.next())
    # One that raised Ignore has left no record, nor one that is to be ignored and returned what cannot be sent.
    (data,) = await broker.records([id])
    return EagerResult(app, id, Record(state=State.SUCCESS) if data is None else decode_record(data))


async def _broker(app: Core) -> Broker:
    broker = await app.broker()
    if broker.capabilities.shared:
        raise ConfigurationError(
            "task_always_eager was set when the app was open already: its tasks are run in memory then, so set it "
            "before. Nothing was sent."
        )
    return broker


async def _work(app: Core, broker: Broker) -> None:
    """Run all that waits; again while something does, for a replacement may go to a queue that there was not before."""
    while queues := _worked_on(await broker.queues()):
        worker = Worker(
            app,
            queues=Together(queues),
            concurrency=max(_AT_ONCE, app.conf.worker_concurrency),
            burst="now",
            retry_now=True,
            is_eager=True,
            hostname="eager",
        )
        await worker.run(install_signals=False)


def _worked_on(queues: list[QueueStatus]) -> list[str]:
    return [status.name for status in queues] if any(status.waiting for status in queues) else []
