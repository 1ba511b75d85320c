"""`aioqueue revoke`: end tasks before they end by themselves."""

from __future__ import annotations

import click

from aioqueue.cli.groups import Command
from aioqueue.cli.running import FAILED, end, run
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import complain, printable, say, say_json
from aioqueue.exceptions import AioQueueError, BrokerUnavailable


@click.command(cls=Command)
@target_options
@click.option("--terminate", is_flag=True, help="Also cancel them where they run already.")
@click.option("--reason", metavar="TEXT", help="Kept with the task's record.")
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] ID...")
def revoke(words: tuple[str, ...], terminate: bool, reason: str | None, as_json: bool) -> None:
    """End tasks before they have run.

    Those that wait will not start, and nothing comes of those that run already.

    Exit codes: 0 all of them were revoked; 1 some had ended before.
    """
    about = target()
    ids = about.take(words) if len(words) > 1 else words
    app = about.connection()

    problems: dict[str, str] = {}

    async def revoke_one(id: str) -> bool:
        try:
            return await app.result(id).revoke(terminate=terminate, reason=reason)
        except BrokerUnavailable:
            raise
        except AioQueueError as error:  # what is stored of this one cannot be read, which is nothing to the others
            problems[id] = str(error)
            return False

    async def ask() -> dict[str, bool]:
        async with app:
            return {id: await revoke_one(id) for id in ids}

    revoked = run(ask())
    if as_json:
        say_json(
            [
                {"id": id, "revoked": done, **({"problem": problems[id]} if id in problems else {})}
                for id, done in revoked.items()
            ]
        )
    else:
        for id, done in revoked.items():
            if id in problems:
                complain(problems[id])
            else:
                say(f"{printable(id)}  {'revoked' if done else 'had ended before'}")
    end(0 if all(revoked.values()) else FAILED)
