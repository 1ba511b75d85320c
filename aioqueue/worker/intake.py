"""From what was fetched to what is ready: each delivery is admitted, or turned away with its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aioqueue.brokers.protocol import Delivery
from aioqueue.exceptions import PayloadError
from aioqueue.logs import logger
from aioqueue.worker.admission import admit
from aioqueue.worker.ends import Ends
from aioqueue.worker.outcome import Outcome
from aioqueue.worker.run_settings import run_settings
from aioqueue.worker.runner import Runner

if TYPE_CHECKING:
    from aioqueue.core import Core


def take_in(
    app: Core, runner: Runner, ends: Ends, deliveries: Sequence[Delivery], now: int, most: Mapping[str, int]
) -> None:
    """Put what was fetched where it is ready. Nothing is started.

    Args:
        ends: says what becomes of those that cannot be run.
        now: ms since the epoch.
        most: `max_deliveries` of queues that have a word of their own.
    """
    settings = run_settings(app.conf)
    is_heard = "task_received" in app.signals.heard
    for delivery in deliveries:
        try:
            found = admit(app, delivery, now, ends, settings, most.get(delivery.queue) if most else None)
        except Exception as error:  # nothing that arrives can stop a worker
            logger.exception("Task %s cannot be looked at", delivery.id)
            broken = PayloadError(f"The message cannot be looked at: {type(error).__name__}.")
            found = ends.buried(delivery, None, broken, now)
        if type(found) is Outcome:  # `isinstance` with a struct's class takes longer
            runner.turn_away(found)
        else:
            if is_heard:
                runner.afterwards.received(found)
            runner.put(found)
