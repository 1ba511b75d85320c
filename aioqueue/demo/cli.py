"""`aioqueue demo`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from time import perf_counter

import click

from aioqueue.cli.groups import Command
from aioqueue.cli.running import FAILED, end, run
from aioqueue.cli.target import Target
from aioqueue.cli.terminal import say_json

_TERMINATED = 143


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Whose text files; by default the packages of this virtual environment, else the current folder.",
)
@click.option("--files", type=click.IntRange(1, 100_000), default=10_000, show_default=True, help="At most so many.")
@click.option("--workers", type=click.IntRange(1, 32), default=2, show_default=True, help="How many processes.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    default=8,
    show_default=True,
    help="How many tasks each runs at once.",
)
@click.option("--no-kill", is_flag=True, help="Let all workers live.")
@click.option("--json", "as_json", is_flag=True, help="Write the figures as JSON, for programs.")
@click.option("-b", "--broker", metavar="URL", help="A Redis server, in place of one that is started for this.")
@click.pass_context
def demo(
    ctx: click.Context,
    folder: Path | None,
    files: int,
    workers: int,
    concurrency: int,
    no_kill: bool,
    as_json: bool,
    broker: str | None,
) -> None:
    """See it work: a task for each of many files, two worker processes, one of them killed, and nothing lost.

    It needs nothing: it starts a server of its own, and stops it and everything else when it ends.

    Exit codes: 0 all tasks have ended, whether well or not; 1 an error, or a task was lost; 130 interrupted.
    """
    about = ctx.find_object(Target)
    broker = broker or (about.broker if about is not None else None)
    end(run(_demo(folder, files, workers, concurrency, not no_kill, as_json, broker), fast=True))


async def _demo(
    folder: Path | None, files: int, workers: int, concurrency: int, kill: bool, as_json: bool, broker: str | None
) -> int:
    began = perf_counter()
    from aioqueue.demo.display import console_for, display_on, show
    from aioqueue.demo.files import default_folder, select
    from aioqueue.demo.run import Demo
    from aioqueue.demo.summary import interrupted, outcome
    from aioqueue.demo.tasks import app

    if broker is not None:
        app.conf.update(broker=broker)
    console = console_for(sys.stderr if as_json else sys.stdout)
    selection = await asyncio.to_thread(select, folder or default_folder(), files)
    terminated = _cancel_when_told()
    with display_on(console) as display:
        course = Demo(selection, workers=workers, concurrency=concurrency, kill=kill, display=display, began=began)
        try:
            report = await course.run()
        except asyncio.CancelledError:
            display.close()
            show(console, interrupted(course))
            if terminated.is_set():
                return _TERMINATED
            raise
    if as_json:
        say_json(report)
    else:
        show(console, outcome(report))
    return 0 if report.ok and not report.left_running else FAILED


def _cancel_when_told() -> asyncio.Event:
    """SIGTERM and the end of the terminal are like Ctrl-C: everything is stopped first."""
    told, task, loop = asyncio.Event(), asyncio.current_task(), asyncio.get_running_loop()

    def cancel() -> None:
        told.set()
        if task is not None:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, cancel)
    return told
