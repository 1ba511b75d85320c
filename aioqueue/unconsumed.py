"""Queues of which no living worker takes tasks: what is told to those who wait for one of those tasks."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from aioqueue.brokers.protocol import Broker
from aioqueue.exceptions import AioQueueError
from aioqueue.logs import logger

# Whoever has waited in vain is not to wait much longer.
_WITHIN = 0.5


async def where_it_waits(broker: Broker, queue: str) -> str:
    """A sentence on who consumes what, for those who have waited in vain; "" where nobody can say.

    Args:
        queue: the task's; "" where it is not known, and all are looked at.
    """
    try:
        async with asyncio.timeout(_WITHIN):
            workers = await broker.workers()
            queues = await broker.queues() if workers and not queue else []
    except (AioQueueError, TimeoutError):  # it is away, which will be heard of otherwise
        return ""
    consumed = {name for worker in workers for name in worker.queues}
    if queue and queue in consumed:
        count = sum(queue in worker.queues for worker in workers)
        many = "1 living worker consumes" if count == 1 else f"{count} living workers consume"
        return f" It was sent to the queue {queue!r}, which {many}."
    if queue:
        return f" It was sent to the queue {queue!r}, which {_nobody(queue)}"
    if not workers:
        return " No worker is alive."
    left = [one.name for one in queues if one.waiting and one.name not in consumed]
    return f" No living worker consumes {', '.join(left)}, where tasks wait." if left else ""


async def tell_if_nobody_consumes(broker: Broker, queue: str, id: str) -> None:
    """Log it, once for each queue."""
    told = _told.setdefault(broker, set())
    if queue in told:
        return
    told.add(queue)  # others may be about to ask the same
    try:
        workers = await broker.workers()
    except AioQueueError:
        told.discard(queue)
        return
    if any(queue in worker.queues for worker in workers):
        told.discard(queue)
    else:
        logger.warning("Task %s is waited for, and was sent to the queue %r, which %s", id, queue, _nobody(queue))


def _nobody(queue: str) -> str:
    return f"no living worker consumes: start one, aioqueue worker … -Q {queue}"


_told: WeakKeyDictionary[Broker, set[str]] = WeakKeyDictionary()
