"""A scheduler for as long as a process or a worker runs."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING

from aioqueue.around.events import BeatEvent
from aioqueue.beat.scheduler import Scheduler
from aioqueue.brokers.protocol import Broker
from aioqueue.exceptions import ConfigurationError
from aioqueue.logs import logger

if TYPE_CHECKING:
    from aioqueue.core import Core


def keeps_schedules(broker: Broker) -> Broker:
    """The broker, if it keeps schedules.

    Raises:
        ConfigurationError: it does not.
    """
    if not broker.capabilities.schedules:
        raise ConfigurationError(f"{broker.description} keeps no schedules. Nothing was changed.")
    return broker


async def beat_until(app: Core, broker: Broker, stop: asyncio.Event) -> None:
    """Run a scheduler until `stop` is set, or until cancelled."""
    scheduler = Scheduler(app, broker)
    event = BeatEvent(name="beat_init", scheduler=scheduler.id, app=app.name)
    await app.signals.tell(event, within=app.conf.signal_timeout)
    running = asyncio.create_task(scheduler.run(), name="aioqueue beat")
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        scheduler.stop()
        await running
    finally:
        for task in (running, stopping):
            task.cancel()
        await asyncio.wait({running, stopping})


async def beat(app: Core) -> int:
    """`aioqueue beat`: run a scheduler until SIGTERM or SIGINT; returns the exit code.

    Raises:
        ConfigurationError: the broker keeps no schedules.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        app.import_tasks()
        async with app:
            await beat_until(app, keeps_schedules(await app.broker()), stop)
            logger.info("Beat has stopped")
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
    return 0
