"""What workers answer to `aioqueue inspect`, shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from aioqueue.cli.running import FAILED, end, run
from aioqueue.cli.terminal import bold, complain, note, one_line, printable, say_json, table
from aioqueue.cli.times import span_text

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.questions import HeldTask, Replies, Revoked


def show_answers(app: AioQueue, what: str, *, timeout: str | None, destination: str | None, as_json: bool) -> None:
    """Ask the living workers and show what they say. Exit codes: 0 somebody has answered; 1 nobody has.

    Args:
        app: whose workers.
        what: `active`, `reserved` or `revoked`.
        timeout: seconds to wait, as it was given.
        destination: names or globs of workers, with commas between them.
        as_json: for programs.
    """

    async def ask() -> Replies[Any]:
        async with app:
            method = getattr(app.inspect, what)
            return await method(destination=_names(destination), timeout=_seconds(timeout))

    found = run(ask())
    if as_json:
        say_json(found)
    elif what == "revoked":
        rows = [row for name, said in sorted(found.items()) for row in _revoked(name, said)]
        _show(["worker", "what", "revoked"], rows)
    else:
        rows = [_row(name, task) for name, tasks in sorted(found.items()) for task in tasks]
        _show(["worker", "id", "task", "for", "arguments"], rows)
    for name, why in found.errors.items():
        complain(f"{name}: {why}")
    if found.silent:
        complain(f"No answer in time from {', '.join(found.silent)}.")
    elif not found:
        note(f"No worker of {app.namespace!r} is alive.")
    end(0 if found else FAILED)


def _show(titles: list[str], rows: list[list[str]]) -> None:
    if rows:
        table(titles, rows)
    else:
        note("Nothing.")


def _row(worker: str, task: HeldTask) -> list[str]:
    since = "" if task.started is None else span_text((datetime.now(UTC) - task.started).total_seconds())
    about = [printable(worker), bold(printable(task.id)), printable(task.name), since]
    return [*about, one_line(task.args, 200)]


def _revoked(worker: str, said: Revoked) -> list[list[str]]:
    name = printable(worker)
    ids = [[name, "task", printable(id)] for id in said.ids]
    return ids + [[name, "stamp", one_line(f"{key}={value!r}", 200)] for key, value in said.stamps]


def _names(destination: str | None) -> list[str] | None:
    return None if destination is None else [name for name in destination.split(",") if name]


def _seconds(timeout: str | None) -> float:
    if timeout is None:
        return 1.0
    try:
        return float(timeout)
    except ValueError:
        raise click.UsageError(f"--timeout takes a number of seconds, not {timeout!r}.") from None
