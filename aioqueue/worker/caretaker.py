"""What every worker does for the whole namespace: queue what is due, and give back what dead workers held."""

from __future__ import annotations

import asyncio
import random
from time import monotonic

from aioqueue.brokers.protocol import Consumer
from aioqueue.logs import logger
from aioqueue.worker.renewer import Renewer

_LOOK_AGAIN = 10.0
_AFTER_ERROR = 1.0
# All workers are woken for the same due time; one of them is enough.
_APART = 0.01


class Promoter:
    """Puts messages into their queues when they are due: at the due time, or when it is told of an earlier one."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something may be due earlier than was thought."""
        self._wake.set()

    async def run(self) -> None:
        """Promote until cancelled."""
        while True:
            self._wake.clear()
            try:
                due = await self._consumer.promote()
            except Exception as error:
                logger.debug("Delayed tasks could not be looked at: %s", error)
                due = _AFTER_ERROR
            if due is not None and due <= 0:
                continue
            seconds = min(_LOOK_AGAIN, _LOOK_AGAIN if due is None else due + random.uniform(0.001, _APART))
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass


async def take_over(consumer: Consumer, renewer: Renewer, visibility_timeout: float) -> None:
    """Put back what silent workers held, until cancelled: each time a lease ends."""
    while True:
        try:
            # Whoever was cut off from the broker was perhaps not alone: let the others renew first.
            wait = renewer.resumed_at + visibility_timeout - monotonic()
            if wait <= 0:
                wait = await consumer.take_over()
        except Exception as error:
            logger.debug("Dead workers could not be looked for: %s", error)
            wait = _AFTER_ERROR
        await asyncio.sleep(wait)
