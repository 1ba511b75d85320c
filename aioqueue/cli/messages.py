"""The tasks that wait in a queue, as people and programs see them."""

from __future__ import annotations

from typing import Any

from aioqueue.cli.terminal import bold, dim, one_line, printable
from aioqueue.cli.times import span_text
from aioqueue.waiting_tasks import WaitingTask


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
