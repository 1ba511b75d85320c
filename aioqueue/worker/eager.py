"""Running a task where it is sent, for those who insist (`task_always_eager`)."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.protocol import Delivery, QueueStatus
from aioqueue.canvas import Canvas
from aioqueue.canvas.plan import At
from aioqueue.canvas.posting import store
from aioqueue.context import Line, TaskContext, current
from aioqueue.exceptions import ConfigurationError, Replace, Retry
from aioqueue.group_result import result_of
from aioqueue.message import Record, State, decode_message, decode_record
from aioqueue.result import AsyncResult
from aioqueue.sending import Place, outgoing
from aioqueue.worker.admission import admit
from aioqueue.worker.grafting import no_replacement
from aioqueue.worker.outcome import Rules, not_raised
from aioqueue.worker.run import Run
from aioqueue.worker.worker import Worker

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.task import Task


class EagerResult(AsyncResult[Any]):
    """The result of a task that has been run already."""

    def __init__(self, app: AioQueue, id: str, record: Record) -> None:
        super().__init__(app, id, name=record.task, sent=True)
        self._ended = record

    async def _end(self) -> Record:
        return self._ended

    async def _record(self) -> Record | None:
        return self._ended


async def run_canvas_eagerly(
    app: AioQueue, canvas: Canvas[Any], at: At, inherited: Place, *, instead_of: Run | None = None
) -> AsyncResult[Any]:
    """Send a canvas to the app's broker in memory, and work beside it until all of it has ended.

    Raises:
        ConfigurationError: the app has been opened before it was made eager, so that others see what is sent; or a
            task is replaced by nothing.
    """
    broker = await app.broker()
    if not isinstance(broker, MemoryBroker):
        raise ConfigurationError(
            "task_always_eager was set when the app was open already: canvases are run in memory then, so set it "
            "before. Nothing was sent."
        )
    plan = await store(app, canvas, at, inherited)
    if instead_of is not None and not any(plan.tasks):
        raise no_replacement(instead_of, canvas)
    result = result_of(app, plan, plan.end)
    # Again while something waits: a replacement may go to a queue that there was not before.
    while queues := _worked_on(await broker.queues()):
        worker = Worker(app, queues=queues, burst=True, retry_now=True, is_eager=True, hostname="eager")
        await worker.run(install_signals=False)
    if app.conf.task_eager_propagates:
        await result.get()
    return result


def _worked_on(queues: list[QueueStatus]) -> list[str]:
    return [status.name for status in queues] if any(status.waiting for status in queues) else []


async def run_eagerly(
    app: AioQueue, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]
) -> EagerResult:
    """Encode, decode and run, with the same rules as in a worker; delays and limits of time are not observed."""
    loop = asyncio.get_running_loop()
    sent = outgoing(app, task, args, kwargs, {**options, "countdown": None, "eta": None}, 0)
    rules = Rules(app, "eager", retry_now=True)
    data = sent.data
    while True:
        run = admit(app, Delivery(None, sent.id, data, sent.queue), 0, "eager")
        if not isinstance(run, Run):
            assert run.record is not None
            return EagerResult(app, sent.id, decode_record(run.record))
        run.ignore_result = False
        run.message = decode_message(data)
        run.context = TaskContext(
            task, sent.id, run.message, run.args, run.kwargs, line=Line(), hostname="eager", is_eager=True
        )
        token = current.set(run.context)
        try:
            call_args = (run.context, *run.args) if task.bind else run.args
            if task.is_coroutine:
                value = await task.function(*call_args, **run.kwargs)
            else:
                call = partial(contextvars.copy_context().run, task.function, *call_args, **run.kwargs)
                value = await loop.run_in_executor(None, call)
                value = await value if inspect.isawaitable(value) else value
            if isinstance(value, Replace | Retry):
                raise not_raised(task.name, value)
            settlement = rules.success(run, value, 0)
        except Replace as asked:
            place = Place(parent_id=sent.id, root_id=run.context.root_id, stamps=run.context.stamps)
            try:
                at = At(stamps=place.stamps)
                value = await (await run_canvas_eagerly(app, asked.canvas, at, place, instead_of=run)).get()
                settlement = rules.success(run, value, 0)
            except Exception as error:
                if app.conf.task_eager_propagates:
                    raise
                settlement = rules.failure(run, error, 0)
        except Exception as error:
            state, cause, settlement = rules.error(run, error, 0)
            if state == State.FAILURE and app.conf.task_eager_propagates:
                raise cause from None
        finally:
            current.reset(token)
        if settlement.sends:
            data = settlement.sends[0].data
            continue
        record = Record(state=State.SUCCESS) if settlement.record is None else decode_record(settlement.record)
        return EagerResult(app, sent.id, record)
