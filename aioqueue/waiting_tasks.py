"""The tasks that wait in a queue, or for their time to go there, as people and programs see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from aioqueue.arguments import arguments_text, hidden_words
from aioqueue.exceptions import PayloadError
from aioqueue.message import readable_message
from aioqueue.options import moment
from aioqueue.payload.codec import decode_call

if TYPE_CHECKING:
    from aioqueue.brokers.protocol import Broker, StoredMessage
    from aioqueue.core import Core


class WaitingTask(msgspec.Struct, frozen=True):
    """A task that no worker has.

    Attributes:
        id: its id.
        task: its name; None if its message cannot be read.
        arguments: as short text, without those that are hidden.
        priority: from 0 to 9.
        retries: how often it has been retried.
        since: when it came into the queue; None while it waits for its time.
        due: when its time is; None once it is in the queue.
    """

    id: str
    task: str | None
    arguments: str
    priority: int
    retries: int
    since: datetime | None
    due: datetime | None


async def tasks_in(app: Core, broker: Broker, queue: str, limit: int) -> list[WaitingTask]:
    """Those that wait in a queue, in order, and then those that wait for their time."""
    waiting = [_read(app, one, due=False) for one in await broker.waiting(queue, limit=limit)]
    return waiting + (await delayed_in(app, broker, queue, limit - len(waiting)) if len(waiting) < limit else [])


async def delayed_in(app: Core, broker: Broker, queue: str, limit: int) -> list[WaitingTask]:
    """Those that wait for their time to go into a queue, the earliest first."""
    return [_read(app, one, due=True) for one in await broker.delayed(queue, limit=limit)]


def _read(app: Core, stored: StoredMessage, *, due: bool) -> WaitingTask:
    at = moment(stored.at)
    since, then = (None, at) if due else (at, None)
    message = readable_message(stored.data)
    if message is None:
        return WaitingTask(stored.id, None, "", 0, 0, since, then)
    task = app.tasks.get(message.task)
    names = task.parameters.positional_names if task is not None else ()
    try:
        args, kwargs = decode_call(
            message.body, message.content, app.conf.max_payload_size, app.accepts(message.content)
        )
        hidden = hidden_words(app.conf.hidden_arguments)
        shown = arguments_text(args, kwargs, names, hidden)
    except PayloadError:
        shown = "?"
    return WaitingTask(stored.id, message.task, shown, message.priority, message.retries, since, then)
