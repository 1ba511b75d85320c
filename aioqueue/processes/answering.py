"""What a worker does for tasks that run in its children."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from aioqueue.exceptions import AioQueueError
from aioqueue.payload.codec import decode
from aioqueue.payload.failure import Failure
from aioqueue.processes.frames import Ask, Logged, Reply
from aioqueue.processes.process import Process
from aioqueue.worker.run import Run

if TYPE_CHECKING:
    from aioqueue.core import Core


async def answer(app: Core, process: Process, run: Run | None, ask: Ask) -> None:
    """Do what a task asks for, and say that it is done. `run` is None if it has ended."""
    failure: Failure | None = None
    try:
        if run is None or run.context is None:
            raise AioQueueError("The task has ended: nothing can be said of it any more.")
        runtime: Any = run.context._runtime  # pyright: ignore[reportPrivateUsage]
        said: Any = decode(ask.data, ask.content, max_size=2**31)
        if ask.what == "report":
            await runtime.report(*said)
        elif ask.what == "ack":
            await runtime.acknowledge()
        else:
            runtime.waits(*said)
    except Exception as error:
        failure = Failure.of(error)
    if ask.request:
        process.say(Reply(ask.request, failure))


def write(line: Logged) -> None:
    """Log what was logged in a child, as far as this process wants it."""
    logger = logging.getLogger(line.name)
    if not logger.isEnabledFor(line.level):
        return
    path, number, function = line.place
    record = logger.makeRecord(line.name, line.level, path, number, "%s", (line.text,), None, function)
    record.created, record.msecs = line.created, line.created % 1 * 1000
    if line.traceback:
        record.exc_text = line.traceback
    vars(record).update(line.fields)
    logger.handle(record)


def levels() -> dict[str, int]:
    """Those of loggers that have one."""
    root = logging.getLogger()
    found = {
        name: logger.level
        for name, logger in list(root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and logger.level
    }
    return {"": root.level, **found}
