"""What workers answer to `aioqueue inspect` and `aioqueue status`, shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from aioqueue.cli.running import UNAVAILABLE, end, run
from aioqueue.cli.target import command
from aioqueue.cli.terminal import bold, complain, note, one_line, printable, say, say_json, table
from aioqueue.cli.times import span_option, span_text

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.questions import HeldTask, Replies, Revoked

_F = TypeVar("_F", bound=Callable[..., Any])
PATIENCE: Final = 1.0
"""Seconds in which workers answer, unless told otherwise."""


def asked_options(function: _F) -> _F:
    """`--destination` and `--timeout`, as Celery has them."""
    function = span_option("-t", "--timeout", help=f"Wait so long for answers; by default {PATIENCE:g}.")(function)
    return click.option("-d", "--destination", metavar="A,B", help="Ask only these: names, or globs.")(function)


def show_answers(app: AioQueue, what: str, *, timeout: float | None, destination: str | None, as_json: bool) -> None:
    """Ask the living workers and show what they say. Exit codes: 0 they have answered; 69 nobody has, or somebody that
    was asked by name has not.

    Args:
        app: whose workers.
        what: `ping`, `active`, `reserved` or `revoked`.
        timeout: seconds to wait; None is the usual time.
        destination: names or globs of workers, with commas between them.
        as_json: for programs.
    """

    names, seconds = _names(destination), PATIENCE if timeout is None else timeout
    if not seconds:
        raise click.UsageError("--timeout 0 would hear no answer: give the seconds to wait.")

    async def ask() -> Replies[Any]:
        async with app:
            return await getattr(app.inspect, what)(destination=names, timeout=seconds)

    found = run(ask())
    if as_json:
        say_json({name: {"ok": said} for name, said in found.items()} if what == "ping" else found)
    elif what == "ping":
        for name in sorted(found):
            say(f"{bold(printable(name))}: OK")
        if found:
            count = f"{len(found)} {'worker' if len(found) == 1 else 'workers'}"
            note(f"{count} alive. `{command('workers')}` says more of them.")
    elif what == "revoked":
        rows = [row for name, said in sorted(found.items()) for row in _revoked(name, said)]
        _show(["worker", "what", "revoked"], rows)
    else:
        rows = [_row(name, task) for name, tasks in sorted(found.items()) for task in tasks]
        _show(["worker", "id", "task", "for", "arguments"], rows)
    for name, why in found.errors.items():
        complain(f"{name}: {why}")
    if found.silent:
        complain(
            f"No answer within {span_text(seconds)} from {', '.join(found.silent)}: dead, stopped, blocked, or out of "
            "the broker's reach."
        )
    elif not found:
        called = f", none called {' or '.join(names)}" if names else ""
        complain(f"No worker of {app.namespace!r} is alive{called}.")
    missed = not found or any(name in found.silent for name in names or ())
    end(UNAVAILABLE if missed else 0)


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
    if destination is None:
        return None
    names = [name for name in map(str.strip, destination.split(",")) if name]
    if not names:
        raise click.UsageError("--destination names no worker: leave it out to ask all of them.")
    return names
