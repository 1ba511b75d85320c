"""What was told to end and has not, when its worker leaves."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Collection

from aioqueue.logs import logger
from aioqueue.wording import counted, few
from aioqueue.worker.run import Run


def names_of(stuck: Collection[Run]) -> list[str]:
    """Each as `name[id]`."""
    return [f"{run.task.name}[{run.delivery.id}]" for run in stuck]


def leave_behind(hostname: str, stuck: Collection[Run]) -> None:
    """Say what it is. Nobody waits for it any more, `asyncio.run` included."""
    if not stuck:
        return
    names = sorted(names_of(stuck))
    logger.warning(
        "Worker %s leaves %s behind, which did not end when told to: %s. What runs on was handed back, or its end is "
        "recorded; what it still does counts for nothing",
        hostname,
        counted(len(names), "task"),
        few(names),
    )
    for run in stuck:
        if run.coroutine is not None:
            asyncio._unregister_task(run.coroutine)
            # Never collected: that would close the coroutine, and to swallow this too may take for ever.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(run.coroutine))
