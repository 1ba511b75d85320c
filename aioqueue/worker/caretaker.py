"""What every worker does for the whole namespace: queue what is due, give back what dead workers held, and clear away
queues that are not used any more."""

from __future__ import annotations

import asyncio
import random

from aioqueue import clock
from aioqueue.brokers.protocol import Consumer
from aioqueue.logs import logger
from aioqueue.worker.renewer import Renewer

_LOOK_AGAIN = 10.0
_AFTER_ERROR = 1.0
_TIDY_EVERY = 600.0
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
        failures = 0
        while True:
            self._wake.clear()
            try:
                due = await self._consumer.promote()
                failures = 0
            except Exception as error:
                failures += 1
                _complain("Delayed tasks cannot be queued", failures, error)
                due = _AFTER_ERROR
            if due is not None and due <= 0:
                continue
            seconds = min(_LOOK_AGAIN, _LOOK_AGAIN if due is None else due + random.uniform(0.001, _APART))
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass


async def take_over(consumer: Consumer, renewer: Renewer, visibility_timeout: float, *, look_within: float) -> None:
    """Put back what silent workers held, until cancelled: each time a lease ends.

    Args:
        visibility_timeout: this worker's, in seconds.
        look_within: the shortest that any worker has, in seconds: one that comes now may be silent so soon.
    """
    failures = 0
    while True:
        try:
            # Whoever was cut off from the broker was perhaps not alone: let the others renew first.
            wait = renewer.resumed_at + visibility_timeout - clock.seconds()
            if wait <= 0:
                wait = await consumer.take_over()
                failures = 0
        except Exception as error:
            failures += 1
            _complain("Dead workers cannot be looked for", failures, error)
            wait = _AFTER_ERROR
        await asyncio.sleep(min(wait, look_within))


async def tidy(consumer: Consumer) -> None:
    """Drop queues that are not used any more, some at a time, until cancelled."""
    dropped = 0
    while True:
        # Where there were some there may be more.
        await asyncio.sleep(_AFTER_ERROR if dropped else _TIDY_EVERY * random.uniform(0.1, 1.0))
        try:
            dropped = await consumer.tidy()
        except Exception as error:
            logger.debug("Unused queues cannot be cleared away: %s", error)
            dropped = 0


def _complain(what: str, failures: int, error: Exception) -> None:
    """Say it when it does not pass at once, and then each minute."""
    if failures == 3 or failures % 60 == 0:
        logger.warning("%s (%s); it is tried again each second", what, error)
    else:
        logger.debug("%s: %s", what, error)
