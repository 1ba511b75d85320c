"""What a worker shows when it starts."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from aioqueue._version import __version__
from aioqueue.advice import command
from aioqueue.cli.terminal import bold, dim, facts, is_fancy, one_line, printable, say

if TYPE_CHECKING:
    from aioqueue.worker import Worker

_MOST_TASKS = 40


def show_banner(worker: Worker, broker: str, loop: str, schedules: str) -> None:
    """The worker, its app, its broker and its tasks, on stderr.

    Args:
        worker: about to start.
        broker: its description, without passwords.
        loop: the name of the event loop's library.
        schedules: how many it serves, as text; "" if it does not.
    """
    app = worker.app
    python = f"{platform.python_implementation()} {platform.python_version()}"
    say(err=True)
    title = click.style("aioqueue", fg="cyan", bold=True) + f" {__version__}"
    say(f"{title}  {bold(printable(worker.hostname))}  {dim(f'pid {os.getpid()} · {python} · {loop}')}", err=True)
    say(err=True)
    names = sorted(app.tasks)
    width = _width()
    tasks = [one_line(f"{name}{app.tasks[name].parameters.text}", width) for name in names[:_MOST_TASKS]]
    if len(names) > _MOST_TASKS:
        tasks.append(f"… and {len(names) - _MOST_TASKS} more, see `{printable(command(app, 'tasks'))}`")
    facts(
        [
            ("app", printable(app.name if app.namespace == app.name else f"{app.name}, namespace {app.namespace}")),
            ("broker", printable(broker)),
            ("queues", printable(worker.consuming.text)),
            ("concurrency", f"{worker.concurrency} tasks at once"),
            ("beat", schedules),
            ("tasks", _styled(tasks) or "none; are the modules with the tasks imported (include=[...])?"),
        ],
        err=True,
    )
    say(err=True)


def _width() -> int:
    if not is_fancy(sys.stderr):
        return 500
    try:
        return max(40, os.get_terminal_size(sys.stderr.fileno()).columns - 14)
    except OSError:
        return 100


def _styled(tasks: Sequence[str]) -> str:
    """The signatures, one a line, with the names in bold."""
    lines: list[str] = []
    for text in tasks:
        name, parenthesis, rest = text.partition("(")
        lines.append(f"{bold(name)}{parenthesis}{rest}")
    return "\n".join(lines)
