"""`aioqueue result`: what became of a task."""

from __future__ import annotations

import click

from aioqueue.cli.celery import Option, tell_without_effect, without_effect
from aioqueue.cli.completing import complete_apps
from aioqueue.cli.groups import Command
from aioqueue.cli.outcome import as_data, exit_code, raw_result, show, wait
from aioqueue.cli.running import end, run
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import say_json
from aioqueue.cli.times import span_option
from aioqueue.cli.whereabouts import looked_for

_OF_CELERY = (Option(("-t", "--task"), "the id is enough"),)


@without_effect(_OF_CELERY)
@click.command(cls=Command)
@target_options
@click.option("--wait/--no-wait", "-w", "waits", default=False, help="Until it has ended.")
@span_option("--timeout", help="Wait for no longer.")
@click.option("--traceback", is_flag=True, expose_value=False, hidden=True)  # it is shown anyway, where there is one
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] ID", shell_complete=complete_apps)
def result(words: tuple[str, ...], waits: bool, timeout: float | None, as_json: bool, **others: object) -> None:
    """Show a task's state, its result or its error, and its timings.

    Exit codes: 0 it succeeded; 1 it failed or was revoked; 3 it has not ended yet, or nothing is known of it.
    """
    tell_without_effect(_OF_CELERY, others)
    about = target()
    ids = about.take_names(words)
    if len(ids) != 1:
        raise click.UsageError(f"It takes one id, not {len(ids)}: {' '.join(ids)}")
    app = about.connection()

    async def look() -> int:
        async with app:
            sent = raw_result(app, ids[0])
            info = await wait(sent, timeout) if waits or timeout is not None else await sent.info()
            info, where = await looked_for(app, sent, info)
        if as_json:
            say_json(as_data(info))
        else:
            show(info, where)
        return exit_code(info)

    end(run(look()))
