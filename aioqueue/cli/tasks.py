"""`aioqueue tasks`: what an app can do."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import click

from aioqueue.cli.completing import complete_apps
from aioqueue.cli.groups import Command
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import bold, dim, note, one_line, say, say_json, screen_width

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.task import Task


@click.command(cls=Command)
@target_options
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def tasks(words: tuple[str, ...], as_json: bool) -> None:
    """List the app's tasks with their signatures."""
    about = target()
    if rest := about.take(words, first=True):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    app = about.app()
    found = [app.tasks[name] for name in sorted(app.tasks)]
    if as_json:
        say_json([_as_data(app, task) for task in found])
        return
    for task in found:
        say(f"{bold(task.name)}{task.parameters.text}")
        about_it = [
            _summary(task),
            f"queue {_queue(app, task)}" if _queue(app, task) != app.conf.task_default_queue else "",
        ]
        if line := " · ".join(part for part in about_it if part):
            say(dim(f"    {one_line(line, screen_width() - 4)}"))
    if not found:
        note(f"The app {app.name!r} has no tasks; are the modules with the tasks imported (include=[...])?")


def _summary(task: Task[..., Any]) -> str:
    text = inspect.cleandoc(task.__doc__ or "")
    return text.partition("\n")[0]


def _queue(app: AioQueue, task: Task[..., Any]) -> str:
    from aioqueue.routing.addressing import known_queues

    return ", ".join(known_queues(app, task))


def _as_data(app: AioQueue, task: Task[..., Any]) -> dict[str, Any]:
    return {
        "name": task.name,
        "signature": task.parameters.text,
        "summary": _summary(task),
        "queue": _queue(app, task),
        "kind": "coroutine" if task.is_coroutine else "thread",
        "max_retries": task.retry_limit,
        "time_limit": task.time_limit,
        "soft_time_limit": task.soft_time_limit,
    }
