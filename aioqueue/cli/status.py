"""`aioqueue status`: Celery's word for whether workers are alive; `aioqueue workers` says more of them."""

from __future__ import annotations

import click

from aioqueue.cli.celery import OF_REMOTES, tell_without_effect, without_effect
from aioqueue.cli.completing import complete_apps
from aioqueue.cli.groups import Command
from aioqueue.cli.running import FAILED, end, run
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import bold, note, printable, say, say_json


@without_effect(OF_REMOTES)
@click.command(cls=Command, hidden=True)
@target_options
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def status(words: tuple[str, ...], as_json: bool, **others: object) -> None:
    """Whether workers are alive: those whose lease stands.

    Exit codes: 0 there are some; 1 there is none.
    """
    from aioqueue.cli.workers import ask

    about = target()
    if rest := about.take(words, first=not about.namespace):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    tell_without_effect(OF_REMOTES, others)
    app = about.connection()
    found, _, place = run(ask(app))
    if as_json:
        say_json({worker.name: {"ok": "pong"} for worker in found})
    elif found:
        for worker in sorted(found, key=lambda worker: worker.name):
            say(f"{bold(printable(worker.name))}: OK")
        note(f"{len(found)} {'worker' if len(found) == 1 else 'workers'} alive. `aioqueue workers` says more of them.")
    else:
        note(f"No worker of {app.namespace!r} is alive ({place}).")
    end(0 if found else FAILED)
