"""What was told to end and has not, when its worker leaves."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Collection

from aioqueue.logs import logger
from aioqueue.worker.run import Run

_FEW = 10


def names_of(stuck: Collection[Run]) -> list[str]:
    """Each as `name[id]`."""
    return [f"{run.task.name}[{run.delivery.id}]" for run in stuck]


def leave_behind(hostname: str, stuck: Collection[Run]) -> None:
    """Say what it is. Nobody waits for it any more, `asyncio.run` included."""
    if not stuck:
        return
    names = sorted(names_of(stuck))
    logger.warning(
        "Worker %s leaves %d tasks behind that did not end when they were told to: %s%s. They were handed back, or "
        "their end is recorded; what they still do counts for nothing",
        hostname,
        len(names),
        ", ".join(names[:_FEW]),
        ", …" if len(names) > _FEW else "",
    )
    for run in stuck:
        if run.coroutine is not None:
            asyncio._unregister_task(run.coroutine)
            # Never collected: that would close the coroutine, and to swallow this too may take for ever.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(run.coroutine))
