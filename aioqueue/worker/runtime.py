"""From a running task to those who run it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from aioqueue.around.scopes import WorkerScope
from aioqueue.awaiting import Done
from aioqueue.context import Runtime
from aioqueue.family import result_of
from aioqueue.threads import CallInLoop
from aioqueue.worker.acks import Acknowledgements
from aioqueue.worker.grafting import put_addition
from aioqueue.worker.interrupting import interrupted
from aioqueue.worker.process import Process
from aioqueue.worker.run import Run
from aioqueue.worker.standstill import Standstill

if TYPE_CHECKING:
    from aioqueue.canvas import Canvas
    from aioqueue.core import Core
    from aioqueue.result import AsyncResult

_T = TypeVar("_T")


class Hands(NamedTuple):
    """What a task's words reach: the same for all runs of a worker."""

    app: Core
    acks: Acknowledgements
    standstill: Standstill
    loop: asyncio.AbstractEventLoop
    process: Process


class WorkerRuntime(Runtime):
    """What a run in a worker reaches."""

    _hands: Hands
    _run: Run

    async def report(self, state: str, meta: Any) -> None:
        await self._hands.acks.report(self._run, state, meta)

    async def acknowledge(self) -> None:
        await self._hands.acks.by_hand(self._run)

    def waits(self, subject: str, begins: bool) -> None:
        mark: Callable[[Run, str, bool], None] = self._hands.standstill.mark
        if asyncio._get_running_loop() is self._hands.loop:
            mark(self._run, subject, begins)
        else:
            with suppress(RuntimeError):  # the worker has gone
                self._hands.loop.call_soon_threadsafe(mark, self._run, subject, begins)

    def thread(self) -> int | None:
        job = self._run.job
        return None if job is None else job.thread

    async def add_to_group(self, canvas: Canvas[_T]) -> AsyncResult[_T]:
        shape, addition = await put_addition(self._hands.app, self._run, canvas)
        run = self._run
        run.additions = [*(run.additions or ()), addition]
        return result_of(self._hands.app, shape)

    def ended(self) -> Runtime:
        return EndedRuntime(self._hands, self._run)

    @property
    def scope(self) -> WorkerScope | None:
        hands = self._hands
        return hands.process.scope if asyncio._get_running_loop() is hands.loop else None

    async def in_thread(self, call: Callable[[], Any], variables: contextvars.Context) -> Any:
        run = self._run
        run.job = self._hands.process.threads.start(call, variables)
        try:
            return await run.job.future
        except asyncio.CancelledError:
            await interrupted(run)
            raise
        finally:
            run.job = None
            if run.soft_due and run.coroutine is not None:  # it fell due when the function had just returned
                run.coroutine.cancel()

    def perform(self, action: Coroutine[Any, Any, _T]) -> Awaitable[_T]:
        call = self._run.job
        if isinstance(call, CallInLoop) and call.thread == threading.get_ident():
            return call.begin(action)
        # Where the caller is decides, not what the task's function is: a plain one may return a coroutine, a coroutine
        # may go into a thread, and a thread may have an event loop of its own.
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            return Done(asyncio.run_coroutine_threadsafe(action, self._hands.loop).result())
        if here is self._hands.loop:
            return action
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(action, self._hands.loop))


class EndedRuntime(WorkerRuntime):
    """What is reached by those who are called when it is settled how a run has ended: all but that."""

    @property
    def is_over(self) -> bool:
        return True

    def waits(self, subject: str, begins: bool) -> None:
        """Who waits now holds up nobody."""
