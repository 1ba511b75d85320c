"""Schedules beside a worker: a scheduler in it, or a word that there is none for those of its app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aioqueue.advice import command
from aioqueue.brokers.protocol import Broker
from aioqueue.exceptions import AioQueueError
from aioqueue.logs import logger

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.worker.worker import Worker

UNSERVED_AFTER = 5.0
"""Seconds after its start in which a scheduler that starts with the worker is there."""


@asynccontextmanager
async def beating(worker: Worker, broker: Broker, stop: asyncio.Event) -> AsyncGenerator[None]:
    """Run a scheduler until `stop`, if the worker is to; else say so if its app has schedules that nobody serves.

    Raises:
        ConfigurationError: the broker keeps no schedules.
    """
    app = worker.app
    if worker.beat:
        from aioqueue.beat.running import beat_until, keeps_schedules

        task = asyncio.create_task(beat_until(app, keeps_schedules(broker), stop), name="aioqueue beat")
        task.add_done_callback(_report)
    elif app.declared is not None or app.conf.beat_schedule:
        task = asyncio.create_task(_warn_unserved(app, broker, worker.hostname))
    else:
        yield
        return
    try:
        yield
    finally:
        if not worker.beat or not stop.is_set():
            task.cancel()
        await asyncio.wait({task})


def _report(task: asyncio.Task[None]) -> None:
    """The worker goes on without it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("Beat has failed: %s", error, exc_info=error)


async def _warn_unserved(app: Core, broker: Broker, hostname: str) -> None:
    await asyncio.sleep(UNSERVED_AFTER)
    try:
        alone = broker.capabilities.schedules and not await broker.schedulers()
    except AioQueueError:  # it is away; there is more to be said of that
        return
    if alone:
        logger.warning(
            "Worker %s: nobody serves the schedules of the app %s, so none of them fires. Run `%s`, or a worker "
            "with --beat",
            hostname,
            app.name,
            command(app, "beat"),
        )
