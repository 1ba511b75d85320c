"""The tasks that wait in a queue, as people and programs see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from aioqueue.arguments import arguments_text
from aioqueue.cli.terminal import bold, dim, one_line, printable
from aioqueue.cli.times import span_text
from aioqueue.exceptions import PayloadError
from aioqueue.message import decode_message
from aioqueue.options import moment
from aioqueue.payload.codec import decode_call

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.brokers.protocol import Broker, StoredMessage


class WaitingTask(NamedTuple):
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


async def tasks_in(app: AioQueue, broker: Broker, queue: str, limit: int) -> list[WaitingTask]:
    """Those that wait in a queue, in order, and then those that wait for their time."""
    waiting = await broker.waiting(queue, limit=limit)
    delayed = await broker.delayed(queue, limit=limit - len(waiting)) if len(waiting) < limit else []
    return [_read(app, one, due=False) for one in waiting] + [_read(app, one, due=True) for one in delayed]


def _read(app: AioQueue, stored: StoredMessage, *, due: bool) -> WaitingTask:
    at = moment(stored.at)
    since, then = (None, at) if due else (at, None)
    try:
        message = decode_message(stored.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return WaitingTask(stored.id, None, "", 0, 0, since, then)
    task = app.tasks.get(message.task)
    names = task.parameters.positional_names if task is not None else ()
    try:
        args, kwargs = decode_call(
            message.body, message.content, app.conf.max_payload_size, app.accepts(message.content)
        )
        hidden = frozenset(word.lower() for word in app.conf.hidden_arguments)
        shown = arguments_text(args, kwargs, names, hidden)
    except PayloadError:
        shown = "?"
    return WaitingTask(stored.id, message.task, shown, message.priority, message.retries, since, then)


def row(one: WaitingTask, now: int) -> list[str]:
    """A row of a table; `now` is the broker's clock."""
    at = one.since or one.due
    seconds = (at.timestamp() * 1000 - now) / 1000 if at is not None else 0.0
    when = f"for {span_text(-seconds)}" if one.due is None else f"in {span_text(seconds)}"
    return [
        bold(printable(one.id)),
        printable(one.task) if one.task is not None else "(unreadable)",
        str(one.priority) if one.priority else dim("0"),
        when + (f", retry {one.retries}" if one.retries else ""),
        one_line(one.arguments, 200),
    ]


def as_data(one: WaitingTask) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "id": one.id,
        "task": one.task,
        "args": one.arguments,
        "priority": one.priority,
        "retries": one.retries,
        "state": "waiting" if one.due is None else "delayed",
        "since": one.since,
        "due": one.due,
    }
