"""`aioqueue inspect task ID`: why a task does not run yet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from aioqueue.cli.outcome import STATE_COLOURS, call_text
from aioqueue.cli.running import FAILED, end, run
from aioqueue.cli.terminal import bold, printable, say, say_json
from aioqueue.cli.times import span_text

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.task_status import TaskStatus


def show_status(app: AioQueue, id: str, *, timeout: float, as_json: bool) -> None:
    """Find out why a task does not run yet, or where it is while it runs. Exit codes: 0 something is known of it; 1
    nothing is.

    Args:
        app: whose.
        id: the task's.
        timeout: seconds to wait for the worker that has it.
        as_json: for programs.
    """

    async def look() -> TaskStatus:
        async with app:
            return await app.inspect.task(id, stack=True, timeout=timeout)

    status = run(look())
    if as_json:
        say_json(status)
    else:
        say(f"{bold(printable(call_text(status.name or 'Task', status.args)))} {printable(id)}  {_state(status)}")
        say(printable(status.detail))
        for what, value in _rows(status):
            say(f"  {what:<8}{printable(value)}")
        for line in status.stack.splitlines():
            say(f"  {printable(line)}")
    is_known = status.name or status.queue or status.waits_for is not None or status.state != "PENDING"
    end(0 if is_known else FAILED)


def _state(status: TaskStatus) -> str:
    waits = f" ({status.waits_for.value.replace('_', ' ')})" if status.waits_for is not None else ""
    return click.style(status.state, fg=STATE_COLOURS.get(status.state)) + waits


def _rows(status: TaskStatus) -> list[tuple[str, str]]:
    now = datetime.now(UTC)
    rows: list[tuple[str, str]] = []
    if status.queue:
        rows.append(("queue", status.queue + (f", {status.ahead} before it" if status.ahead is not None else "")))
    if status.worker:
        rows.append(("worker", status.worker))
    if status.since is not None:
        rows.append(("since", f"{_moment(status.since)} ({span_text((now - status.since).total_seconds())} ago)"))
    if status.until is not None:
        rows.append(("until", f"{_moment(status.until)} (in {span_text((status.until - now).total_seconds())})"))
    return rows


def _moment(at: datetime) -> str:
    return at.isoformat(" ", "seconds")
