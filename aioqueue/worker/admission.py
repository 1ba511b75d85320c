"""The first step of a task's life: is this delivery to be run at all?

Nothing that arrives can stop a worker, and nothing is thrown away: what cannot be run goes to the dead letters as it
came, with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioqueue.advice import command
from aioqueue.brokers.protocol import Delivery
from aioqueue.exceptions import NotRegistered, PayloadError, PayloadTooLarge, WorkerLost
from aioqueue.message import Message, decode_message, headers_of, stamps_of
from aioqueue.payload.codec import BUILT_IN, decode_call
from aioqueue.worker.builtin import builtin
from aioqueue.worker.ends import Ends, readable
from aioqueue.worker.inputs import complete
from aioqueue.worker.outcome import Outcome
from aioqueue.worker.run import Partial, Run, run_of
from aioqueue.worker.run_settings import RunSettings
from aioqueue.workflow import NoValue, Value

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.task import Task

# What a message may have around its arguments: names, headers, stamps.
_ENVELOPE = 64 * 1024


def admit(
    app: Core, delivery: Delivery, now: int, ends: Ends, settings: RunSettings, most: int | None = None
) -> Run | Outcome:
    """What is to be run, or how it ends without being run.

    Args:
        app: whose tasks are known.
        delivery: what came.
        now: ms since the epoch, by the broker's clock.
        ends: knows what the end of what is not run means.
        settings: what the settings say of it.
        most: how often it may be delivered, where its queue has a word of its own; else `max_deliveries`.
    """
    if delivery.revoked:
        return ends.revoked(delivery, readable(delivery))
    try:
        if len(delivery.data) > settings.max_payload_size + _ENVELOPE:
            raise PayloadTooLarge(
                f"The message has {len(delivery.data)} bytes, more than max_payload_size={settings.max_payload_size}."
            )
        message = decode_message(delivery.data)
    except PayloadError as error:
        return ends.buried(delivery, None, error, now)
    except Exception as error:  # whatever the bytes provoke: this is the border
        return ends.buried(delivery, None, PayloadError(f"The message cannot be read: {error}."), now)
    if delivery.acknowledged:
        pass  # it has run, as far as it came; nothing else decides how it ends
    elif delivery.deliveries > (most := most or settings.max_deliveries):
        error = WorkerLost(
            f"Task {message.task} was delivered {delivery.deliveries - 1} times, and each time its worker died or was "
            f"cut off (max_deliveries={most}). It was moved to the dead letters."
        )
        return ends.buried(delivery, message, error, now)
    elif message.expires is not None and message.expires <= now:
        return ends.expired(delivery, message, now)
    task = app.tasks.get(message.task) or builtin(app, message.task)
    if task is None:
        error = NotRegistered(
            f"{app.not_registered(message.task)} Its message was moved to the dead letters, nothing is lost: deploy "
            f"the task to this worker, then `{command(app, 'dead', 'requeue', delivery.id)}`."
        )
        return ends.buried(delivery, message, error, now)
    try:
        if message.marked:
            headers_of(message)
        if message.marked_stamps:
            stamps_of(message)
        if message.takes is not None or message.handles or message.spread:
            return _with_partial(app, delivery, message, task, settings)
        args, kwargs = task.parameters.decode(
            message.body,
            message.content,
            max_size=settings.max_payload_size,
            task_name=task.name,
            accept=(settings.accept_content or BUILT_IN)
            if message.content == "msgpack"
            else app.accepts(message.content),
        )
    except Exception as error:
        return ends.buried(delivery, message, error, now)
    return run_of(settings, delivery, message, task, args, kwargs)


def _with_partial(app: Core, delivery: Delivery, message: Message, task: Task[..., Any], settings: RunSettings) -> Run:
    """A run whose arguments a value is to come before; at once, if it has come along."""
    args, kwargs = decode_call(message.body, message.content, settings.max_payload_size, app.accepts(message.content))
    run = run_of(settings, delivery, message, task, (), {})
    partial = Partial(args, kwargs, message.content)
    if message.takes is None and not message.handles:
        run.args, run.kwargs = complete(app, task, message, partial, None)
    elif delivery.value is not None:
        value = NoValue(delivery.value) if message.handles else Value(data=delivery.value)
        run.args, run.kwargs = complete(app, task, message, partial, value)
    else:
        run.partial = partial
    return run
