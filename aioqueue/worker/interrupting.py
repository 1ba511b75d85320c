"""A run that is cancelled by what is around it, as by the `asyncio.timeout` of a middleware, while a thread works.

To cancel what waits for a thread does not end what runs there. So it is interrupted, and waited for, before the
cancellation goes on to what closes its dependencies, and lets it run once more.
"""

from __future__ import annotations

import asyncio
from logging import WARNING

from aioqueue.logs import log_with_fields
from aioqueue.threads import Job
from aioqueue.worker.fields import about
from aioqueue.worker.limits import GRACE
from aioqueue.worker.run import Run


async def interrupted(run: Run) -> None:
    """What waited for the run's job was cancelled: end that, unless those who end runs from outside see to it."""
    job: Job = run.job
    if run.cut is not None or not job.future.cancelled() or not job.interrupt(asyncio.CancelledError):
        return
    loop = asyncio.get_running_loop()
    job.future = loop.create_future()  # the one before is cancelled; what comes of it now, this one hears
    last = loop.time() + GRACE
    while not job.future.done() and (left := last - loop.time()) > 0:
        try:
            await asyncio.wait({job.future}, timeout=left)
        except asyncio.CancelledError:  # once more, as anyio does again and again
            if run.cut is not None:
                break
    if job.future.done():
        job.future.exception()  # it counts no more than that of a run which is over its limit
        return
    job.future.cancel()
    if run.cut is None:
        log_with_fields(
            WARNING,
            "Task %s[%s] was cancelled by what is around it, and what it does in a thread did not end; that is given "
            "up, and may run on unheard",
            run.task.name,
            run.delivery.id,
            fields=about(run),
        )
