"""`aioqueue events`: what happens, line by line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from aioqueue.cli.completing import complete_apps
from aioqueue.cli.groups import Command
from aioqueue.cli.running import run
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import as_json, bold, dim, note, one_line, printable, say
from aioqueue.cli.times import span_text

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.events import EventInfo
    from aioqueue.questions import Replies

_NAME = 20  # columns
_BAD = ("task_failure", "task_dead", "task_rejected")
_LONGEST = 200


@click.command(cls=Command)
@target_options
@click.option("--since", metavar="CURSOR", help="Begin after that event, by its cursor; '' is with the oldest kept.")
@click.option("-n", "--limit", type=click.IntRange(1), metavar="N", help="End after so many.")
@click.option("--enable", is_flag=True, help="Let workers and programs tell of them from now on, and listen.")
@click.option("--disable", is_flag=True, help="Let them tell no more, and end.")
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP] [NAME]...", shell_complete=complete_apps)
def events(
    words: tuple[str, ...], since: str | None, limit: int | None, enable: bool, disable: bool, as_json: bool
) -> None:
    """Show what happens to tasks and workers, until interrupted.

    NAMEs are those of events, or globs: task_failure, 'worker_*'. With --json each is a line.
    """
    about = target()
    names = about.take(words)
    app = about.connection()
    if enable and disable:
        raise click.UsageError("It is either --enable or --disable.")
    if enable or disable:
        replies = run(_switch(app, enable))
        said = "on" if enable else "off"
        note(f"Events of {app.namespace!r} are {said}{_of_workers(replies)}.")
        if disable:
            return
    heard = app.events(*names, since=since)  # a wrong name is said before anything else

    async def listen() -> None:
        count = 0
        async with app:
            async for event in heard:
                _show(event, as_json)
                count += 1
                if count == limit:
                    return

    try:
        run(listen())
    except BrokenPipeError:  # whoever read them has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _switch(app: AioQueue, on: bool) -> Replies[str]:
    async with app:
        return await (app.control.enable_events() if on else app.control.disable_events())


def _of_workers(replies: Replies[str]) -> str:
    from aioqueue.wording import counted

    told = f", as {counted(len(replies), 'worker')} {'says' if len(replies) == 1 else 'say'}" if replies else ""
    return told + (f"; no answer in time from {', '.join(replies.silent)}" if replies.silent else "")


def _show(event: EventInfo, json: bool) -> None:
    if json:
        click.echo(as_json(event))
        return
    name = event.name.ljust(_NAME)
    moment = event.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    say(f"{dim(moment)}  {click.style(name, fg='red') if event.name in _BAD else name}  {_about(event)}".rstrip())


def _about(event: EventInfo) -> str:
    from aioqueue.events import BeatEventInfo, ScheduleEventInfo, WorkerEventInfo

    if isinstance(event, WorkerEventInfo):
        runs = f"runs {event.running} of {event.concurrency}" if event.running is not None else ""
        return _row(bold(printable(event.worker)), runs, ", ".join(event.queues))
    if isinstance(event, BeatEventInfo):
        return _row(bold(printable(event.scheduler)))
    what = bold(f"{printable(event.task) or '?'}[{printable(event.task_id)}]")
    if isinstance(event, ScheduleEventInfo):
        return _row(what, event.schedule, event.due_at.astimezone().isoformat(timespec="seconds"))
    return _row(
        what,
        event.worker or event.queue,
        span_text(event.runtime) if event.runtime is not None else "",
        event.args or event.result or "",
        event.exception or event.reason or "",
    )


def _row(what: str, *more: str) -> str:
    return "  ".join([what, *(one_line(part, _LONGEST) for part in more if part)])
