"""The list of commands, and what becomes of errors."""

from __future__ import annotations

import io
import os
import platform
import sys
import traceback
from collections.abc import Sequence

import click

from aioqueue._version import __version__
from aioqueue.cli.beginning import remember_beginning
from aioqueue.cli.celery import ELSEWHERE, OF_ALL, tell_without_effect, without_effect
from aioqueue.cli.groups import Group
from aioqueue.cli.target import Target, target, target_options
from aioqueue.cli.terminal import complain, is_fancy, note
from aioqueue.exceptions import AioQueueError

_SECTIONS = {
    "Run": {
        "worker": "aioqueue.cli.worker:worker",
        "beat": "aioqueue.cli.beat:beat",
        "server": "aioqueue.cli.server:server",
        "demo": "aioqueue.cli.demo:demo",
    },
    "Send and follow": {
        "call": "aioqueue.cli.call:call",
        "result": "aioqueue.cli.result:result",
        "revoke": "aioqueue.cli.revoke:revoke",
        "workflow": "aioqueue.cli.workflow:workflow",
    },
    "Look inside": {
        "doctor": "aioqueue.cli.doctor:doctor",
        "tasks": "aioqueue.cli.tasks:tasks",
        "workers": "aioqueue.cli.workers:workers",
        "events": "aioqueue.cli.events:events",
        "queues": "aioqueue.cli.queues:queues",
        "dead": "aioqueue.cli.dead:dead",
        "schedule": "aioqueue.cli.schedule:schedule",
    },
}
_CELERYS = {
    "status": "aioqueue.cli.status:status",
    "inspect": "aioqueue.cli.inspect:inspect",
    "control": "aioqueue.cli.inspect:control",
    "purge": "aioqueue.cli.purge:purge",
    "report": "aioqueue.cli.report:report",
}
"""Those of Celery's words that can be done, by whatever does it here."""
_INTERRUPTED = 130

if is_fancy(sys.stdout):
    from rich_click import rich_click

    rich_click.COMMAND_GROUPS["aioqueue"] = [
        {"name": title, "commands": list(commands)} for title, commands in _SECTIONS.items()
    ]
    rich_click.MAX_WIDTH = 110


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"aioqueue {__version__} ({platform.python_implementation()} {platform.python_version()})")
        ctx.exit()


@without_effect(OF_ALL)
@click.group(
    cls=Group,
    sections=_SECTIONS,
    hidden=_CELERYS,
    elsewhere=ELSEWHERE,
    name="aioqueue",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@target_options
@click.option(
    "--workdir",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Work there: the app is found there.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of errors. Also $AIOQUEUE_DEBUG.")
@click.option(
    "--version", "-V", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it."
)
def root(debug: bool, workdir: str | None, **others: object) -> None:
    """The task queue of Python's async world.

    An app is named as module:attribute, such as shop.tasks:app: after the command, with -A before or after it, or in
    the environment as $AIOQUEUE_APP.
    """
    tell_without_effect(OF_ALL, others)
    if workdir is not None:
        os.chdir(workdir)
    about = target()
    about.debug = about.debug or debug


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` say, by default those of the process; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a task's text may hold what the terminal has no letter for
    remember_beginning()
    # Taken out of the environment: to an app it would be a setting, and there is none of that name.
    about = Target(debug=os.environ.pop("AIOQUEUE_DEBUG", "0") not in ("", "0"))
    try:
        code = root.main(arguments, prog_name="aioqueue", standalone_mode=False, obj=about)
        return code if isinstance(code, int) else 0
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except click.ClickException as error:
        if about.debug:
            traceback.print_exception(error)
        return _refuse(error)
    except AioQueueError as error:
        if about.debug:
            traceback.print_exception(error)
        complain(str(error) or type(error).__name__)
        return 1


def _refuse(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return error.exit_code
    complain(error.format_message())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        note(f"Try '{error.ctx.command_path} --help'.")
    return error.exit_code
