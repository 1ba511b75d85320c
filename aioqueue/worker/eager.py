"""Running a task where it is sent, for those who insist (`task_always_eager`)."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from aioqueue.brokers.protocol import Delivery
from aioqueue.context import Line, TaskContext, current
from aioqueue.message import Record, State, decode_message, decode_record
from aioqueue.result import AsyncResult
from aioqueue.sending import outgoing
from aioqueue.worker.admission import admit
from aioqueue.worker.outcome import Rules
from aioqueue.worker.run import Run

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
            settlement = rules.success(run, value, 0)
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
