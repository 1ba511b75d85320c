"""The first step of a task's life: is this delivery to be run at all?

Nothing that arrives can stop a worker, and nothing is thrown away: what cannot be run goes to the dead letters as it
came, with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioqueue.brokers.protocol import Delivery, Settlement
from aioqueue.exceptions import NotRegistered, PayloadError, PayloadTooLarge, WorkerLost
from aioqueue.logs import logger
from aioqueue.message import DeadLetter, Message, Record, State, decode_message, encode_record
from aioqueue.payload.failure import Failure
from aioqueue.payload.signature import unpack
from aioqueue.worker.builtin import builtin
from aioqueue.worker.inputs import complete
from aioqueue.worker.run import Partial, Run
from aioqueue.workflow import FailedCall, Step, Value, failed_step, handler_call, node_of, revoked_call

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.task import Task

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
        return Settlement(delivery, if_revoked=True)
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
    task = app.tasks.get(message.task) or builtin(app, message.task)
    if task is None:
        error = NotRegistered(
            f"{app.not_registered(message.task)} Its message was moved to the dead letters, nothing is lost: deploy "
            f"the task to this worker, then `aioqueue dead requeue {delivery.id}`."
        )
        return bury(app, delivery, message, error, now, hostname)
    try:
        if message.takes is not None or message.handles or message.spread:
            return _with_partial(app, delivery, message, task)
        args, kwargs = task.parameters.decode(
            message.body, message.content, max_size=conf.max_payload_size, task_name=task.name
        )
    except Exception as error:
        return bury(app, delivery, message, error, now, hostname)
    return Run(delivery, message, task, args, kwargs)


def _with_partial(app: AioQueue, delivery: Delivery, message: Message, task: Task[..., Any]) -> Run:
    """A run whose arguments a value is to come before; at once, if it has come along."""
    args, kwargs = unpack(message.body, message.content, max_size=app.conf.max_payload_size)
    run = Run(delivery, message, task, (), {})
    partial = Partial(args, kwargs, message.content)
    if message.takes is None and not message.handles:
        run.args, run.kwargs = complete(app, task, message, partial, None)
    elif delivery.value is not None:
        value = Value(failed=delivery.value) if message.handles else Value(data=delivery.value)
        run.args, run.kwargs = complete(app, task, message, partial, value)
    else:
        run.partial = partial
    return run


def step_of(delivery: Delivery, message: Message | None) -> Step | None:
    """The place in a workflow whose end the end of this delivery is."""
    if message is None:
        place = node_of(delivery.id)
        return Step(*place) if place is not None else None
    if message.workflow is None:
        return None
    return Step(message.workflow, handler_call(delivery.id, message.workflow, message.node) or str(message.node))


def expire(app: AioQueue, delivery: Delivery, message: Message, now: int) -> Settlement:
    """The settlement of a task whose time is over."""
    logger.info("Task %s[%s] expired before it started", message.task, delivery.id)
    return drop(app, delivery, message, now, "expired")


def drop(app: AioQueue, delivery: Delivery, message: Message, now: int, reason: str) -> Settlement:
    """The settlement of a task that is revoked by its worker."""
    record = Record(state=State.REVOKED, task=message.task, reason=reason, sent=message.sent, ended=now)
    step = step_of(delivery, message)
    if step is not None:
        failed_step(step, revoked_call(delivery.id, message.task, reason), now=now)
    return Settlement(delivery, record=encode_record(record), final=True, expires=keep_for(app), step=step)


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
    step = step_of(delivery, message)
    if step is not None:
        failed_step(step, FailedCall(id=delivery.id, task=name, failure=failure), now=now)
    return Settlement(
        delivery,
        record=encode_record(record),
        final=True,
        expires=keep_for(app),
        step=step,
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
