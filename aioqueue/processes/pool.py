"""The children of a worker, and the calls that wait for one."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from aioqueue.exceptions import ConfigurationError, WorkerLost
from aioqueue.logs import logger
from aioqueue.processes.answering import answer, write
from aioqueue.processes.crossing import error_of, stub, value_of
from aioqueue.processes.frames import Ask, Broken, Call, Logged, Raised, Ready, Returned, Soften, ToWorker
from aioqueue.processes.importing import start_of
from aioqueue.processes.process import Process
from aioqueue.wording import counted
from aioqueue.worker.memory import resident_memory
from aioqueue.worker.run import Run
from aioqueue.workflow import NoValue, Value

if TYPE_CHECKING:
    from aioqueue.core import Core

_VAIN: Final = 3
"""So many children in a row that could not begin, and those who wait are told."""
_PAUSE: Final = 0.5
_PATIENCE: Final = 5.0


class Job:
    """A call on its way through a child.

    Attributes:
        run: whose function it is.
        future: what comes of it.
        process: where it is called; None while it waits.
        thread: none of this process.
    """

    thread: int | None = None

    def __init__(self, pool: Pool, run: Run, number: int) -> None:
        self._pool = pool
        self.run = run
        self.number = number
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.process: Process | None = None
        self.error: type[BaseException] | None = None

    def interrupt(self, error: type[BaseException]) -> bool:
        """Kill the process that it is in; `error` is what comes of it.

        Returns:
            False when it is in none: if it waits for one, it does not any more.
        """
        self.error = error
        if self.process is None:
            self._pool.drop(self)
            return False
        self.process.kill()
        return True

    def soften(self, error: BaseException) -> bool:
        """Raise the soft limit inside of it. Returns: False when it is in no process."""
        if self.process is None:
            return False
        self.process.say(Soften(self.number))
        return True


class Pool:
    """Children that call functions, as many as are wanted at once, and not more than there may be.

    Args:
        app: whose tasks they are.
        hostname: the worker's name.
        begins: called with a run when its function is about to be called.
    """

    def __init__(self, app: Core, hostname: str, begins: Callable[[Run], None]) -> None:
        self._app = app
        self._hostname = hostname
        self._begins = begins
        self._max_tasks = app.conf.worker_max_tasks
        self._max_memory = app.conf.worker_max_memory
        self._most = app.conf.worker_process_concurrency or _cores()
        self._idle: list[Process] = []
        self._waiting: deque[Job] = deque()
        self._all: set[Process] = set()  # those that have not ended
        self._starting: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._number = 0
        self._vain = 0
        self._closed = False
        self._over = asyncio.Event()

    def call(self, run: Run) -> Job:
        """Have the function of a run called; its outcome is the job's future."""
        self._number += 1
        job = Job(self, run, self._number)
        if self._idle:
            self._give(self._idle.pop(), job)
        else:
            self._waiting.append(job)
            self._grow()
        return job

    def drop(self, job: Job) -> None:
        """It does not wait any more."""
        try:
            self._waiting.remove(job)
        except ValueError:
            pass

    async def close(self) -> None:
        """Let the children end what they have open, and end. Who does not is killed."""
        self._closed = True
        self._waiting.clear()
        for process in list(self._all):
            if process.job is not None or not (process.is_ready or process.is_last):
                process.kill()
            elif not process.is_last:
                process.leave()
        self._idle.clear()
        await self._until_over(_PATIENCE)
        if self._all:
            logger.warning("Worker %s kills %d processes of its pool that do not end", self._hostname, len(self._all))
            for process in list(self._all):
                process.kill()
            await self._until_over(_PATIENCE)

    async def _until_over(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self._all or self._starting:
                    self._over.clear()
                    await self._over.wait()
        except TimeoutError:
            pass

    # Children

    def _grow(self, *, successor: bool = False) -> None:
        """One child more, if so many are wanted, or if it takes the place of one that leaves."""
        staying = [process for process in self._all if not (process.killed or process.is_last)]
        on_their_way = sum(not process.is_ready for process in staying) + len(self._starting)
        there = len(staying) + len(self._starting)
        if not self._closed and there < self._most and (successor or on_their_way < len(self._waiting)):
            starting = asyncio.get_running_loop().create_task(self._start(self._vain * _PAUSE))
            self._starting.add(starting)
            starting.add_done_callback(self._started)

    def _started(self, starting: asyncio.Task[None]) -> None:
        self._starting.discard(starting)
        self._over.set()
        if not starting.cancelled() and (error := starting.exception()) is not None:
            self._in_vain(f"it could not be started: {error}")

    async def _start(self, pause: float) -> None:
        if pause:
            await asyncio.sleep(pause)
        app = self._app
        broker = await app.broker()
        if self._closed:
            return
        start = start_of(app, is_shared=broker.capabilities.shared)
        process = Process(self._hostname, self._heard, self._died)
        self._all.add(process)
        process.say(start)

    def _in_vain(self, why: str) -> None:
        """A child could not begin."""
        self._vain += 1
        logger.error("A process of the pool of worker %s could not begin: %s", self._hostname, why)
        if self._vain >= _VAIN:
            error = ConfigurationError(
                f"No process could be started for it: {why.rstrip().splitlines()[-1]}. It did not run. The log of the "
                "worker has all of it."
            )
            while self._waiting:
                _fail(self._waiting.popleft(), error)
            self._vain = 0
        self._grow()

    def _died(self, process: Process) -> None:
        self._all.discard(process)
        self._over.set()
        if process in self._idle:
            self._idle.remove(process)
        job = process.job
        if job is not None:
            process.job = job.process = None
            _fail(job, job.error() if job.error is not None else _lost(job, process))
            if not process.killed:
                logger.warning("A process (pid %d) of worker %s died: %s", process.pid, self._hostname, process.how)
        elif process.count == 0 and not process.killed and not self._closed:
            self._in_vain(f"{process.how} before it had begun")
            return
        for _ in range(min(len(self._waiting), self._most)):
            self._grow()

    # Calls

    def _give(self, process: Process, job: Job) -> None:
        run = job.run
        value = run.value
        if value is None and run.delivery.value is not None:
            value = NoValue(run.delivery.value) if run.message.handles else Value(data=run.delivery.value)
        process.job, job.process = job, process
        process.count += 1
        if process.count == self._max_tasks:
            process.is_last = True
            self._grow(successor=True)  # which is there when this one leaves, if it is not a short call
        process.say(
            Call(
                number=job.number,
                task=run.task.name,
                id=run.delivery.id,
                message=run.delivery.data,
                value=None if value is None else pickle.dumps(value),
                hostname=self._hostname,
                deliveries=run.delivery.deliveries,
                soft=run.soft_time_limit,
                is_kept=bool(not run.ignore_result or run.message.wanted),
            )
        )
        self._begins(run)

    def _next(self, process: Process) -> None:
        """It has nothing to do."""
        while self._waiting:
            job = self._waiting.popleft()
            if not job.future.done():
                self._give(process, job)
                return
        self._idle.append(process)

    def _heard(self, process: Process, frame: ToWorker) -> None:
        if isinstance(frame, Ready):
            self._vain = 0
            process.is_ready = True
            self._next(process)
        elif isinstance(frame, Ask):
            job: Job | None = process.job
            run = job.run if job is not None and job.number == frame.number else None
            doing = asyncio.get_running_loop().create_task(answer(self._app, process, run, frame))
            self._answering.add(doing)
            doing.add_done_callback(self._answering.discard)
        elif isinstance(frame, Logged):
            write(frame)
        elif isinstance(frame, Broken):
            process.kill()
            self._in_vain(f"it could not import the app:\n{frame.text.rstrip()}")
        else:
            self._ended(process, frame)

    def _ended(self, process: Process, frame: Returned | Raised) -> None:
        job: Job | None = process.job
        if job is None or job.number != frame.number:
            return
        process.job = job.process = None
        if process.is_last or self._is_too_large(process):
            self._retire(process)
        elif process.is_ready:
            self._next(process)
        if not job.future.done():
            self._tell(job, frame)

    def _is_too_large(self, process: Process) -> bool:
        return self._max_memory is not None and resident_memory(process.pid) > self._max_memory

    def _retire(self, process: Process) -> None:
        """It has reached a limit, and gets nothing more."""
        logger.info(
            "A process (pid %d) of worker %s has reached its limit after %s; another one takes its place",
            process.pid,
            self._hostname,
            counted(process.count, "task"),
        )
        process.leave()
        if process.count != self._max_tasks:
            self._grow(successor=True)
        asyncio.get_running_loop().call_later(_PATIENCE, process.kill)  # what it has left running may hold it up

    def _tell(self, job: Job, frame: Returned | Raised) -> None:
        run = job.run
        if run.context is not None:
            run.context.children.extend(frame.children)
            if frame.asked:
                run.context.asked = stub(frame.asked)
        try:
            if isinstance(frame, Raised):
                _fail(job, error_of(self._app, frame))
            else:
                spread = run.message.spread is not None
                job.future.set_result(value_of(self._app, run.task, frame, spread=spread))
        except Exception as error:  # what it says cannot be read
            _fail(job, error)


def _fail(job: Job, error: BaseException) -> None:
    if not job.future.done():
        job.future.set_exception(error)
        job.future.exception()  # it may have been given up


def _lost(job: Job, process: Process) -> WorkerLost:
    run = job.run
    return WorkerLost(
        f"The process that ran task {run.task.name}[{run.delivery.id}] died: {process.how}. The task has failed; with "
        "retry_on_worker_lost=True it would be run again, as often as max_retries says."
    )


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # where the system does not say
        return os.cpu_count() or 1
