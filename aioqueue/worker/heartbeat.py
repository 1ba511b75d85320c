"""Saying every few seconds that a worker is alive, to those who listen to events."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from typing import TYPE_CHECKING

from aioqueue.events import HEARTBEAT, WorkerEventInfo
from aioqueue.worker.runner import Runner

if TYPE_CHECKING:
    from aioqueue.worker.worker import Worker

EVERY = 5.0
"""Seconds."""


async def beat_its_heart(worker: Worker, runner: Runner) -> None:
    """Tell that the worker lives, and how much it does, until cancelled; nothing, while events are off."""

    def event(at: datetime) -> WorkerEventInfo:
        return WorkerEventInfo(
            name=HEARTBEAT,
            at=at,
            worker=worker.hostname,
            app=worker.app.name,
            queues=tuple(worker.queues),
            concurrency=worker.concurrency,
            pid=os.getpid(),
            running=len(runner.running),
            processed=runner.ended_count,
        )

    while not worker.life.silent:
        worker.app.publisher.put(event)
        await asyncio.sleep(EVERY)
