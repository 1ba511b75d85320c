"""`aioqueue status`: Celery's word for whether workers answer; `aioqueue workers` says more of them."""

from __future__ import annotations

import click

from aioqueue.cli.asking import asked_options, show_answers
from aioqueue.cli.completing import complete_apps
from aioqueue.cli.groups import Command
from aioqueue.cli.target import json_option, target, target_options


@click.command(cls=Command, hidden=True)
@target_options
@asked_options
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def status(words: tuple[str, ...], destination: str | None, timeout: float | None, as_json: bool) -> None:
    """Whether workers answer.

    Exit codes: 0 they do; 69 nobody does, or somebody that was asked by name does not.
    """
    about = target()
    if rest := about.take(words, first=not about.namespace):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    show_answers(about.connection(), "ping", timeout=timeout, destination=destination, as_json=as_json)
