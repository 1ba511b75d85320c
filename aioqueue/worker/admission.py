"""The first step of a task's life: is this delivery to be run at all?

Nothing that arrives can stop a worker, and nothing is thrown away: what cannot be run goes to the dead letters as it
came, with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioqueue.brokers.protocol import Delivery, Settlement
from aioqueue.exceptions import NotRegistered, PayloadError, PayloadTooLarge, WorkerLost
from aioqueue.logs import logger
from aioqueue.message import DeadLetter, Message, Record, State, decode_message, encode_record
from aioqueue.payload.failure import Failure
from aioqueue.worker.run import Run

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

# What a message may have around its arguments: names, headers, stamps.
_ENVELOPE = 64 * 1024


def admit(app: AioQueue, delivery: Delivery, now: int, hostname: str) -> Run | Settlement:
    """What is to be run, or how it is to be settled without being run.

    Args:
        app: whose tasks are known.
        delivery: what came.
        now: ms since the epoch, by the broker's clock.
        hostname: the name of the worker.
    """
    if delivery.revoked:
        logger.info("Task %s was revoked before it started", delivery.id)
        return Settlement(delivery)
    conf = app.conf
    try:
        if len(delivery.data) > conf.max_payload_size + _ENVELOPE:
            raise PayloadTooLarge(
                f"The message has {len(delivery.data)} bytes, more than max_payload_size={conf.max_payload_size}."
            )
        message = decode_message(delivery.data)
    except PayloadError as error:
        return bury(app, delivery, None, error, now, hostname)
    except Exception as error:  # whatever the bytes provoke: this is the border
        return bury(app, delivery, None, PayloadError(f"The message cannot be read: {error}."), now, hostname)
    if delivery.deliveries > conf.max_deliveries:
        error = WorkerLost(
            f"Task {message.task} was delivered {delivery.deliveries - 1} times, and each time its worker died or was "
            f"cut off (max_deliveries={conf.max_deliveries}). It was moved to the dead letters."
        )
        return bury(app, delivery, message, error, now, hostname)
    if message.expires is not None and message.expires <= now:
        return expire(app, delivery, message, now)
    task = app.tasks.get(message.task)
    if task is None:
        error = NotRegistered(
            f"{app.not_registered(message.task)} Its message was moved to the dead letters, nothing is lost: deploy "
            f"the task to this worker, then `aioqueue dead requeue {delivery.id}`."
        )
        return bury(app, delivery, message, error, now, hostname)
    try:
        args, kwargs = task.parameters.decode(
            message.body, message.content, max_size=conf.max_payload_size, task_name=task.name
        )
    except Exception as error:
        return bury(app, delivery, message, error, now, hostname)
    return Run(delivery, message, task, args, kwargs)


def expire(app: AioQueue, delivery: Delivery, message: Message, now: int) -> Settlement:
    """The settlement of a task whose time is over."""
    logger.info("Task %s[%s] expired before it started", message.task, delivery.id)
    record = Record(state=State.REVOKED, task=message.task, reason="expired", sent=message.sent, ended=now)
    return Settlement(delivery, record=encode_record(record), final=True, expires=keep_for(app))


def bury(
    app: AioQueue, delivery: Delivery, message: Message | None, error: BaseException, now: int, hostname: str
) -> Settlement:
    """The settlement that moves a delivery to the dead letters, and ends its task as failed."""
    name = message.task if message is not None else ""
    logger.error("Task %s[%s] goes to the dead letters: %s", name or "?", delivery.id, error)
    failure = Failure.of(error)
    record = Record(
        state=State.FAILURE,
        task=name,
        failure=failure,
        reason=str(error),
        worker=hostname,
        sent=message.sent if message is not None else 0,
        ended=now,
        retries=message.retries if message is not None else 0,
        dead=True,
    )
    return Settlement(
        delivery,
        record=encode_record(record),
        final=True,
        expires=keep_for(app),
        dead=dead_letter(delivery, message, str(error), failure, now, hostname),
    )


def dead_letter(
    delivery: Delivery, message: Message | None, reason: str, failure: Failure | None, now: int, hostname: str
) -> bytes:
    """A dead letter, encoded."""
    letter = DeadLetter(
        raw=delivery.data,
        queue=delivery.queue,
        priority=message.priority if message is not None else 0,
        reason=reason,
        deliveries=delivery.deliveries,
        died_at=now,
        failure=failure,
        worker=hostname,
    )
    return encode_record(letter)


def keep_for(app: AioQueue) -> int:
    """For how many ms records are kept; 0 is for ever."""
    return int((app.conf.result_expires or 0) * 1000)
