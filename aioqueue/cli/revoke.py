"""`aioqueue revoke`: end tasks before they end by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from aioqueue.cli.completing import complete_apps
from aioqueue.cli.groups import Command
from aioqueue.cli.running import FAILED, end, run
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import complain, printable, say, say_json
from aioqueue.exceptions import AioQueueError, BrokerUnavailable

if TYPE_CHECKING:
    from aioqueue.app import AioQueue


@click.command(cls=Command)
@target_options
@click.option("--terminate", is_flag=True, help="Also cancel them where they run already.")
@click.option("--reason", metavar="TEXT", help="Kept with the task's record.")
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] ID...", shell_complete=complete_apps)
def revoke(words: tuple[str, ...], terminate: bool, reason: str | None, as_json: bool) -> None:
    """End tasks before they have run.

    Those that wait will not start, and nothing comes of those that run already.

    One of which nothing is known is revoked as well, in case it is still to come.

    Exit codes: 0 all of them were revoked; 1 some had ended before, or nothing is known of them.
    """
    about = target()
    ids = about.take_names(words)
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

    async def ask() -> tuple[dict[str, bool], set[str]]:
        async with app:
            known = await _known(app, ids)
            return {id: await revoke_one(id) for id in ids}, known

    revoked, known = run(ask())
    if as_json:
        say_json(
            [
                {
                    "id": id,
                    "revoked": done,
                    "known": id in known,
                    **({"problem": problems[id]} if id in problems else {}),
                }
                for id, done in revoked.items()
            ]
        )
    else:
        for id, done in revoked.items():
            if id in problems:
                complain(problems[id])
            else:
                say(f"{printable(id)}  {_said(done, id in known)}")
    end(0 if all(revoked.values()) and known.issuperset(ids) else FAILED)


def _said(done: bool, known: bool) -> str:
    if not done:
        return "had ended before"
    return "revoked" if known else "nothing is known of it: not sent to here, or forgotten; revoked in case it comes"


async def _known(app: AioQueue, ids: Sequence[str]) -> set[str]:
    """Those of which anything is known: they wait or run, or have left a record, or are of a workflow."""
    broker = await app.broker()
    found: set[str] = set()
    try:
        found |= {id for id, record in zip(ids, await broker.records(ids), strict=True) if record is not None}
        rest = [id for id in ids if id not in found]
        found |= {id for id, there in zip(rest, await broker.holds(rest), strict=True) if there}
        for id in rest:
            if id not in found and (await broker.place(id) or await broker.workflow(id.partition(".")[0])):
                found.add(id)
    except BrokerUnavailable:
        raise
    except AioQueueError:  # something is stored, but cannot be read
        return set(ids)
    return found
