"""`aioqueue purge`: Celery's word for emptying all queues that the app knows of."""

from __future__ import annotations

import click

from aioqueue.cli.completing import complete_apps
from aioqueue.cli.groups import Command
from aioqueue.cli.target import json_option, target, target_options


@click.command(cls=Command, hidden=True)
@target_options
@click.option("-f", "--force", "-y", "--yes", "yes", is_flag=True, help="Do not ask.")
@click.option("-Q", "--queues", metavar="A,B", help="Only these.")
@click.option("-X", "--exclude-queues", metavar="A,B", help="But not these.")
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def purge(words: tuple[str, ...], yes: bool, queues: str | None, exclude_queues: str | None, as_json: bool) -> None:
    """Drop the tasks that wait in the queues that the app knows of: `aioqueue queues purge` with their names."""
    from aioqueue.cli.queues import purge as purge_queues
    from aioqueue.worker.consuming import Consuming

    about = target()
    if rest := about.take(words, first=True):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}. Queues are named by -Q.")
    names = Consuming(about.app(), queues, exclude_queues).names
    click.get_current_context().invoke(purge_queues, words=tuple(names), yes=yes, as_json=as_json)
