"""Queues of which no living worker takes tasks: what is told to those who wait for one of those tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from aioqueue.brokers.protocol import Broker, WorkerStatus
from aioqueue.exceptions import AioQueueError
from aioqueue.logs import logger

# Whoever has waited in vain is not to wait much longer.
_WITHIN = 0.5
# Names of queues in a sentence.
_FEW = 5


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
        return f" It was sent to the queue {queue!r}, which {_nobody(queue, workers, broker)}"
    if not workers:
        return f" No worker is alive ({broker.description})."
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
        said = _nobody(queue, workers, broker)
        logger.warning("Task %s is waited for, and was sent to the queue %r, which %s", id, queue, said)


def _nobody(queue: str, workers: Sequence[WorkerStatus], broker: Broker) -> str:
    """What is to be said of a queue that none of these workers consumes, as the end of a sentence."""
    if not workers:
        return (
            f"no living worker consumes: no worker is alive ({broker.description}). Start one; if one runs, its first "
            "lines say which other broker or namespace it has."
        )
    names = sorted({name for worker in workers for name in worker.queues})
    taken = ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
    return f"no living worker consumes: those that are alive take {taken}. Start one with -Q {queue}."


_told: WeakKeyDictionary[Broker, set[str]] = WeakKeyDictionary()
