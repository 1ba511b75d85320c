"""`aioqueue workflow`: canvases that were sent, as pictures; and those that failed, begun again."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from aioqueue.cli.drawing import counts_text, draw
from aioqueue.cli.groups import Group
from aioqueue.cli.running import FAILED, NOT_ENDED, end, run
from aioqueue.cli.target import command, json_option, target, target_options
from aioqueue.cli.terminal import note, printable, say, say_json, screen_width
from aioqueue.exceptions import AioQueueError

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.graph import Graph

_MEMBERS = 20
_OFTEN = 0.25
_PART = 0.1


@click.group(cls=Group)
@target_options
def workflow() -> None:
    """Look at a canvas that was sent, or begin again where it failed."""


@workflow.command()
@target_options
@click.option("-w", "--watch", is_flag=True, help="Until it has ended.")
@click.option(
    "-m",
    "--members",
    type=click.IntRange(0),
    default=_MEMBERS,
    metavar="N",
    help=f"Count the members of groups that have more than N instead of listing them; by default {_MEMBERS}.",
)
@click.option("--format", "form", type=click.Choice(["tree", "mermaid", "dot"]), default="tree", help="Of the picture.")
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] ID")
def show(words: tuple[str, ...], watch: bool, members: int, form: str, as_json: bool) -> None:
    """Draw a workflow: its tasks, what comes after what, and their states.

    The id is that of any of its tasks, or the workflow's own.

    Exit codes: 0 it succeeded; 1 it failed or was revoked; 3 it has not ended yet.
    """
    app, id = _one(words)

    async def look() -> Graph:
        async with app:
            if watch:
                return await _watched(app, id, shown=form == "tree" and not as_json, most=members)
            return await _load(app, id)

    found = run(look())
    if as_json:
        say_json(_as_data(found))
    elif form == "tree":
        for line in draw(found, members=members, width=screen_width(), encoding=sys.stdout.encoding):
            say(line)
    else:
        click.echo(found.to_mermaid() if form == "mermaid" else found.to_dot(), nl=False)
    end(NOT_ENDED if not found.ended else 0 if found.state == "SUCCESS" else FAILED)


@workflow.command()
@target_options
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] ID")
def resume(words: tuple[str, ...], as_json: bool) -> None:
    """Run again what failed or was revoked in a workflow, and what was to come after it.

    The results of all others are kept. The id is that of any of its tasks, or the workflow's own.
    """
    app, id = _one(words)

    async def ask() -> tuple[str, int]:
        async with app:
            broker = await app.broker()
            found = await _find(app, id)
            if found is None:
                raise AioQueueError(f"Task {id} is in no workflow, so there is nothing to resume. Nothing was changed.")
            if await broker.workflow(found) is None:
                raise AioQueueError(_unknown(app, id))
            return found, await broker.resume(found)

    found, count = run(ask())
    if as_json:
        say_json({"workflow": found, "resumed": count})
    elif count:
        say(f"{printable(found)}  resumed")
        note(f"{count} of its tasks and groups are to run again: {command('workflow', 'show', found, '--watch')}")
    if not count:
        raise AioQueueError(
            f"Nothing of the workflow {found} can be resumed: nothing in it has failed or was revoked. Nothing was "
            "changed."
        )


def _one(words: tuple[str, ...]) -> tuple[AioQueue, str]:
    about = target()
    ids = about.take_names(words)
    if len(ids) != 1:
        raise click.UsageError(f"It takes one id, not {len(ids)}: {' '.join(ids)}")
    return about.connection(), ids[0]


async def _find(app: AioQueue, id: str) -> str | None:
    """The workflow that an id belongs to, or is; None for that of a task in no workflow.

    Raises:
        AioQueueError: nothing is known under that id.
    """
    from aioqueue.workflow import node_of

    broker = await app.broker()
    place = node_of(id) or await broker.place(id)  # handlers' calls, too
    if place is not None:
        return place[0]
    if await broker.workflow(id) is not None:
        return id
    if (await broker.records([id]))[0] is not None:
        return None
    raise AioQueueError(_unknown(app, id))


def _unknown(app: AioQueue, id: str) -> str:
    return (
        f"Nothing is known of a workflow of {id!r} in {app.namespace!r}: there is none, its time (result_expires) is "
        "over, or it is a task without a workflow that has not run yet."
    )


async def _load(app: AioQueue, id: str) -> Graph:
    from aioqueue.graph import Graph

    found = await _find(app, id)
    if found is None:
        return await app.result(id).graph()
    try:
        return await Graph.load(await app.broker(), found)
    except AioQueueError:
        raise AioQueueError(_unknown(app, id)) from None


async def _watched(app: AioQueue, id: str, *, shown: bool, most: int) -> Graph:
    """The workflow when it has ended; shown meanwhile where somebody looks."""
    import asyncio

    clock = asyncio.get_running_loop().time
    with _Screen(most, on=shown) as screen:
        while True:
            begun = clock()
            found = await _load(app, id)
            if found.ended:
                return found
            screen.show(found)
            # A large one takes a while to read: that is to be a small part of the time.
            await asyncio.sleep(max(_OFTEN, (clock() - begun) / _PART))


class _Screen:
    """The terminal while a workflow is watched. Without a terminal, lines on stderr tell how far it is."""

    def __init__(self, most: int, *, on: bool) -> None:
        self._most = most
        self._on = on
        self._told = ""
        self._live: Any = None

    def __enter__(self) -> _Screen:
        if self._on and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console
            from rich.live import Live

            console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
            self._live = Live(console=console, transient=True, auto_refresh=False)
            self._live.__enter__()
        return self

    def __exit__(self, *about: object) -> None:
        if self._live is not None:
            self._live.__exit__(*about)

    def show(self, graph: Graph) -> None:
        """What it is like now."""
        if self._live is not None:
            from rich.text import Text

            lines = draw(graph, members=self._most, width=screen_width(), encoding=sys.stdout.encoding)
            self._live.update(Text.from_ansi("\n".join(lines)), refresh=True)
        elif self._on and (told := counts_text(graph)) != self._told:
            self._told = told
            note(told)


def _as_data(graph: Graph) -> dict[str, Any]:
    return {
        "id": graph.id,
        "state": graph.state,
        "ended": graph.ended,
        "end": graph.end,
        "nodes": [
            {
                "id": node.id,
                "name": node.name,
                "kind": node.kind,
                "state": node.state,
                "upstream": node.upstream,
                "after": node.after or None,
                "group": node.group or None,
            }
            for node in graph.nodes
        ],
        "edges": graph.edges,
    }
