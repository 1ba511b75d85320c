"""The fields of lines in the log that are about a task: under the names that `TaskFields` has."""

from __future__ import annotations

from typing import Any

from aioqueue.brokers.protocol import Delivery
from aioqueue.message import Message
from aioqueue.worker.run import Run


def fields_of(delivery: Delivery, message: Message | None) -> dict[str, Any]:
    """Those of a delivery; `message` is None if it is not known, or cannot be read."""
    if message is None:
        return {"task_id": delivery.id, "queue": delivery.queue}
    return {"task_id": delivery.id, "task": message.task, "queue": delivery.queue, "attempt": message.retries + 1}


def about(run: Run) -> dict[str, Any]:
    """Those of a run."""
    return fields_of(run.delivery, run.message)
