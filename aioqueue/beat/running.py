"""A scheduler for as long as a process or a worker runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aioqueue.around.events import BeatEvent
from aioqueue.beat.scheduler import Scheduler
from aioqueue.brokers.protocol import Broker
from aioqueue.exceptions import ConfigurationError
from aioqueue.logs import logger
from aioqueue.startup import StoppedBefore, connected
from aioqueue.stop_signals import Wishes, on_stop_signals

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


async def beat(
    app: Core, on_connected: Callable[[Broker], Awaitable[None]] | None = None, *, wishes: Wishes | None = None
) -> int:
    """`aioqueue beat`: run a scheduler until SIGTERM, SIGINT, SIGQUIT or SIGHUP; returns the exit code.

    Args:
        app: whose schedules.
        wishes: told of these.
        on_connected: awaited when the broker is there, before it begins.

    Raises:
        ConfigurationError: the broker keeps no schedules.
    """
    stop = asyncio.Event()

    def told(number: signal.Signals) -> None:
        wishes.of(number) if wishes is not None else None
        stop.set()

    with on_stop_signals(told):
        app.import_tasks()
        try:
            async with connected(app, "Beat", stop) as broker:
                if on_connected is not None:
                    await on_connected(broker)
                await beat_until(app, keeps_schedules(broker), stop)
            logger.info("Beat has stopped")
        except StoppedBefore as error:
            logger.info("%s", error)
    return 0
