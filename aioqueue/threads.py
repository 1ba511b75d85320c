"""Threads for plain functions.

There are as many as functions run at once, and some that are idle. One that does not come back when it is told to is
given up, and another takes its place: a stuck function costs a thread, not the worker.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from aioqueue.lending import LentThread, lent_thread
from aioqueue.logs import logger

_T = TypeVar("_T")

Outcome = tuple[Any, BaseException | None]
"""What a function has given, or raised."""


class Job:
    """A function call on its way through a thread."""

    def __init__(self, call: Callable[[], Any], context: Context, future: asyncio.Future[Any]) -> None:
        self.call = call
        self.context = context
        self.future = future
        self.lock = threading.Lock()
        self.thread: int | None = None  # while it runs
        self.dropped = False
        self.ended = False

    def interrupt(self, error: type[BaseException]) -> bool:
        """Raise `error` inside the function, at its next bytecode; not while it waits inside a C call.

        Returns:
            False when it does not run; if it has not begun, it will not.
        """
        with self.lock:
            self.dropped = True
            if self.thread is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread), ctypes.py_object(error))
            return self.thread is not None

    def soften(self, error: BaseException) -> bool:
        """Raise an error of this type inside the function; if it has not begun, it will not, and this is its end.

        Returns:
            False when it has ended already.
        """
        if self.interrupt(type(error)):
            return True
        if self.future.done() or self.ended:
            return False
        self.future.set_exception(error)
        return True


class CallInLoop:
    """A function call in the thread of an event loop, which stands still meanwhile.

    Attributes:
        thread: where it runs.
        begun: what it has asked the loop for, in order.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.thread = threading.get_ident()
        self.begun: list[asyncio.Task[Any]] = []
        self._loop = loop

    def begin(self, action: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Have something done when it has returned."""
        task = self._loop.create_task(action)
        self.begun.append(task)
        return task


class Threads:
    """A pool that grows to what is asked of it; the runner bounds how much that is.

    Args:
        name: what the names of its threads begin with.
        linger: after so many seconds without work a thread ends; None: when the pool is closed.
        lent: a thread that waits for all that is called; it is called there.
    """

    def __init__(self, name: str, *, linger: float | None = None, lent: LentThread | None = None) -> None:
        self._name = name
        self._linger = linger
        self._lent = lent
        self._loop = asyncio.get_running_loop()
        self._idle: list[SimpleQueue[Job | None]] = []
        self._count = 0
        self._closed = False

    def start(self, call: Callable[[], Any], context: Context, lent: LentThread | None = None) -> Job:
        """Call a function in a thread, in that which is lent if there is one; its outcome is the job's future."""
        job = Job(call, context, self._loop.create_future())
        lent = lent or self._lent
        if lent is not None and lent.give(partial(self._carry_out, job)):
            return job
        try:
            inbox = self._idle.pop()  # not looked at before: one that lingers may take itself out
        except IndexError:
            inbox = self._new_thread()
        inbox.put(job)
        return job

    def close(self) -> None:
        """End the idle threads. Those that are busy end with their function, or with the process."""
        self._closed = True
        while self._idle:
            self._idle.pop().put(None)

    def _new_thread(self) -> SimpleQueue[Job | None]:
        self._count += 1
        inbox: SimpleQueue[Job | None] = SimpleQueue()
        name = f"{self._name}-{self._count}"
        threading.Thread(target=self._work, args=(inbox,), name=name, daemon=True).start()
        return inbox

    def _work(self, inbox: SimpleQueue[Job | None]) -> None:
        while (job := self._next(inbox)) is not None:
            outcome = _called(job)
            try:
                self._loop.call_soon_threadsafe(self._came_back, inbox, job, outcome)
            except RuntimeError:  # the loop is closed: the worker has left
                return
            del job, outcome

    def _next(self, inbox: SimpleQueue[Job | None]) -> Job | None:
        """What a thread does next; None: it ends."""
        while True:
            try:
                return inbox.get(timeout=self._linger)
            except Empty:
                if self._loop.is_closed():
                    return None
                try:
                    self._idle.remove(inbox)
                except ValueError:  # it is being given something
                    continue
                return None

    def _carry_out(self, job: Job) -> None:
        """The same in a thread that is lent."""
        outcome = _called(job)
        self._loop.call_soon_threadsafe(self._ended, job, outcome)
        if isinstance(outcome[1], KeyboardInterrupt):  # it was meant for whoever waits here
            raise outcome[1]

    def _came_back(self, inbox: SimpleQueue[Job | None], job: Job, outcome: Outcome) -> None:
        if self._closed:
            inbox.put(None)
        else:
            self._idle.append(inbox)
        self._ended(job, outcome)

    @staticmethod
    def _ended(job: Job, outcome: Outcome) -> None:
        value, error = outcome
        if job.future.done():  # given up, or cancelled
            if error is None:
                logger.debug("A thread's function came back after it had been given up")
        elif error is None:
            job.future.set_result(value)
        elif isinstance(error, StopIteration):
            # A future refuses it, as a coroutine does.
            wrapped = RuntimeError("the task raised StopIteration")
            wrapped.__cause__ = error
            job.future.set_exception(wrapped)
        else:
            job.future.set_exception(error)


def _called(job: Job) -> Outcome:
    """Call the function of a job, unless it was dropped before."""
    outcome: Outcome = None, None
    try:
        with job.lock:
            if job.dropped:
                raise asyncio.CancelledError
            job.thread = threading.get_ident()
        try:
            outcome = job.context.run(job.call), None
        finally:
            # An interruption that comes now is either before this and lands below, or finds no thread.
            with job.lock:
                job.thread, job.ended = None, True
    except BaseException as error:
        job.thread, job.ended = None, True
        outcome = None, error
    return outcome


_LINGER = 1.0
_pools: dict[tuple[asyncio.AbstractEventLoop, str], Threads] = {}


def in_thread(name: str, call: Callable[[], Any], context: Context) -> asyncio.Future[Any]:
    """Call a function in a thread; gives what it gives. The thread is there for the next one for a moment.

    Args:
        name: what the name of the thread begins with.
    """
    loop = asyncio.get_running_loop()
    threads = _pools.get((loop, name))
    if threads is None:
        for known in list(_pools):
            if known[0].is_closed():
                _pools.pop(known, None)
        threads = _pools[loop, name] = Threads(name, linger=_LINGER)
    return threads.start(call, context, lent_thread()).future
