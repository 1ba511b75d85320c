"""Where a task's function is called: in the event loop, in a thread, or in another process.

Each way begins a call and gives what is awaited of it; one that runs elsewhere leaves a `Job` in `run.job`, by which it
can be interrupted.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from aioqueue.lending import lent_thread
from aioqueue.task import Task, cannot_cross
from aioqueue.threads import CallInLoop, Threads
from aioqueue.worker.interruptible import interruptible
from aioqueue.worker.interrupting import interrupted
from aioqueue.worker.run import Run

if TYPE_CHECKING:
    from aioqueue.core import Core


class Way(Protocol):
    """A way to call functions."""

    def start(
        self, run: Run, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        """Call the function of a run; awaiting it gives what that gives, and raises what that raises."""
        ...


class Calls:
    """Calls the function of each run in the way that it is made for."""

    def __init__(self, app: Core, hostname: str, begins: Callable[[Run], None]) -> None:
        self._app = app
        self._hostname = hostname
        self._begins = begins
        self._processes: InProcess | None = None
        self._has_processes = True
        self._all_in_processes = False
        self._threads = Threads("aioqueue-task", lent=lent_thread())
        self._inline: Way = Inline()
        self._in_thread: Way = InThread(self._threads)

    def in_the_loop(self) -> None:
        """Call plain functions in the thread of the event loop, from now on."""
        self._in_thread = InLoop()

    def in_processes(self) -> None:
        """Call plain functions in processes, from now on, as far as they can be called there."""
        self._all_in_processes = True

    def without_processes(self) -> None:
        """Call what is for processes in threads, from now on."""
        self._has_processes = False

    def is_elsewhere(self, task: Task[..., Any]) -> bool:
        """Whether the function of a task is called in another process."""
        if task.pool != "process" and not (self._all_in_processes and task.pool is None):
            return False
        if not self._has_processes or task.is_coroutine or (task.dependencies is not None and self._app.overrides):
            return False
        return task.pool == "process" or not cannot_cross(task)

    def start(self, run: Run, given: Mapping[str, Any] | None = None) -> Awaitable[Any]:
        """Call it, and what is `given` by keyword beside its arguments; awaiting what comes back gives its result."""
        task = run.task
        way = self._inline if task.is_coroutine else self._in_thread
        if (task.pool is not None or self._all_in_processes) and self.is_elsewhere(task):
            way = self._processes = self._processes or InProcess(self._app, self._hostname, self._begins)
        kwargs = {**run.kwargs, **given} if given else run.kwargs
        if task.is_wrapped:  # its class's __call__ is given the task itself, and that knows its context
            return way.start(run, partial(_whole, task) if task.is_coroutine else task, run.args, kwargs)
        return way.start(run, task.function, (run.context, *run.args) if task.bind else run.args, kwargs)

    async def end(self) -> None:
        """End the processes."""
        if self._processes is not None:
            await self._processes.pool.close()

    def close(self) -> None:
        """No more are called."""
        self._threads.close()


class Inline:
    """Coroutines, in the event loop."""

    def start(
        self, run: Run, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        coroutine: Coroutine[Any, Any, Any]
        coroutine = function(*args, **kwargs) if run.message.spread is None else _each_awaited(function, args, kwargs)
        return coroutine if run.soft_time_limit is None else interruptible(coroutine, run)


class InThread:
    """Plain functions, each in a thread while it runs."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def start(self, run: Run, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if run.message.spread is not None:
            function = partial(each, function)
            kwargs = {"kwargs": kwargs}
            args = (args,)
        run.job = self._threads.start(lambda: function(*args, **kwargs), contextvars.copy_context())
        try:
            value = await run.job.future
        except asyncio.CancelledError:
            await interrupted(run)
            raise
        if run.message.spread is None and not inspect.isawaitable(value):
            return value
        return await _whatever_it_gave(run, value)


class InProcess:
    """Plain functions, each in a process of a pool, which is there from the first one on."""

    def __init__(self, app: Core, hostname: str, begins: Callable[[Run], None]) -> None:
        from aioqueue.processes.pool import Pool  # which most workers do without

        self.pool = Pool(app, hostname, begins)

    async def start(self, run: Run, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        run.job = self.pool.call(run)
        try:
            return await run.job.future
        except asyncio.CancelledError:
            await interrupted(run)
            raise


class InLoop:
    """Plain functions, in the thread of the event loop, which stands still meanwhile: the pool "solo".

    They see no running loop, so that they may run one of their own, or use what is for synchronous code.
    """

    async def start(self, run: Run, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if run.message.spread is not None:
            function = partial(each, function)
            kwargs = {"kwargs": kwargs}
            args = (args,)
        loop = asyncio.get_running_loop()
        run.job = call = CallInLoop(loop)
        try:
            asyncio._set_running_loop(None)
            try:
                value = function(*args, **kwargs)
            finally:
                asyncio._set_running_loop(loop)
        finally:
            run.job = None
            for task in call.begun:  # what it has told of itself comes before its end
                await task
        return await _whatever_it_gave(run, value)


async def _whatever_it_gave(run: Run, value: Any) -> Any:
    """What a plain function has returned; what is to be awaited of that, such as a coroutine of a partial, is."""
    if run.message.spread is None:
        return await _goes_on(run, value) if inspect.isawaitable(value) else value
    if any(map(inspect.isawaitable, value)):
        return [await _goes_on(run, one) if inspect.isawaitable(one) else one for one in value]
    return value


def _goes_on(run: Run, value: Awaitable[Any]) -> Awaitable[Any]:
    """Await what a function has returned: the body goes on, on the event loop."""
    run.job = None
    if run.soft_due and run.coroutine is not None:  # it fell due when the function had just returned
        run.coroutine.cancel()
    return value if run.soft_time_limit is None else interruptible(_await(value), run)


def each(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Call a function for each list of arguments; the last of `args` has them, after the context if it takes one."""
    *context, calls = args
    return [function(*context, *call, **kwargs) for call in calls]


async def _each_awaited(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    *context, calls = args
    return [await function(*context, *call, **kwargs) for call in calls]


async def _await(value: Awaitable[Any]) -> Any:
    return await value


async def _whole(task: Task[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a task whose function is a coroutine, or its class's `__call__`: of the two one may be plain."""
    value = task(*args, **kwargs)
    return await value if inspect.isawaitable(value) else value
