"""Running a task where it is sent, for those who insist (`task_always_eager`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aioqueue.brokers.protocol import Broker, QueueStatus
from aioqueue.canvas import Canvas
from aioqueue.dispatch import BareCall, Dispatch, postings
from aioqueue.exceptions import ConfigurationError
from aioqueue.message import Record, State, decode_record
from aioqueue.result import AsyncResult
from aioqueue.worker.consuming import Together
from aioqueue.worker.worker import Worker

if TYPE_CHECKING:
    from aioqueue.core import Core


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
        batch = postings(app, target, args, kwargs, {**options, "countdown": None, "eta": None}, broker.now())
        await self._send(broker, batch)
        await _work(app, broker)
        # One that raised Ignore has left no record, nor one that is to be ignored and returned what cannot be sent.
        id = batch[0].message.id
        (data,) = await broker.records([id])
        result = EagerResult(app, id, Record(state=State.SUCCESS) if data is None else decode_record(data))
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
        worker = Worker(app, queues=Together(queues), burst="now", retry_now=True, is_eager=True, hostname="eager")
        await worker.run(install_signals=False)


def _worked_on(queues: list[QueueStatus]) -> list[str]:
    return [status.name for status in queues] if any(status.waiting for status in queues) else []
