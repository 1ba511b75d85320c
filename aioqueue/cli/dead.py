"""`aioqueue dead`: the tasks that could not be run, and what to do with them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from aioqueue.arguments import hidden_words, is_hidden
from aioqueue.cli.completing import complete_apps
from aioqueue.cli.confirming import confirm
from aioqueue.cli.groups import Group
from aioqueue.cli.outcome import exception_text
from aioqueue.cli.running import FAILED, end, run
from aioqueue.cli.target import command, json_option, target, target_options
from aioqueue.cli.terminal import bold, complain, facts, note, one_line, printable, say, say_json, table
from aioqueue.cli.times import moment_text, span_text
from aioqueue.exceptions import AioQueueError

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.dead_letters import DeadTask

_queue_option = click.option("-Q", "--queue", metavar="NAME", help="Only those that came from this queue.")
_ALL = 1_000_000


@click.group(cls=Group, default="list")
@target_options
def dead() -> None:
    """The dead letters: tasks that could not be run. Without a command: list."""


@dead.command("list")
@target_options
@_queue_option
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=100, metavar="N", help="The newest so many; by default 100."
)
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def list_dead(words: tuple[str, ...], queue: str | None, limit: int, as_json: bool) -> None:
    """List the dead letters, the newest first."""
    about = target()
    if rest := about.take(words, first=not about.namespace):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    app = about.connection()

    async def ask() -> list[DeadTask]:
        async with app:
            return await app.dead_letters.list(queue, limit)

    found = run(ask())
    if as_json:
        say_json([_as_data(app, letter) for letter in found])
    elif found:
        now = datetime.now(UTC)
        table(
            ["id", "task", "queue", "deliveries", "died", "reason"], [_row(letter, now) for letter in found], right=(3,)
        )
        if len(found) == limit:
            note(f"The newest {limit}; more with --limit.")
    else:
        note(f"No dead letters in {app.namespace!r}{f' from the queue {queue!r}' if queue else ''}.")


@dead.command()
@target_options
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] ID", shell_complete=complete_apps)
def show(words: tuple[str, ...], as_json: bool) -> None:
    """Show one dead letter: its arguments, why it is there, and the traceback."""
    about = target()
    ids = about.take_names(words)
    if len(ids) != 1:
        raise click.UsageError(f"It takes one id, not {len(ids)}: {' '.join(ids)}")
    app = about.connection()

    async def ask() -> DeadTask | None:
        async with app:
            return await app.dead_letters.get(ids[0])

    letter = run(ask())
    if letter is None:
        raise AioQueueError(f"There is no dead letter {ids[0]!r} in {app.namespace!r}.")
    if as_json:
        say_json(_as_data(app, letter))
        return
    args, kwargs = _shown(app, letter)
    facts(
        [
            ("id", bold(printable(letter.id))),
            ("task", printable(letter.name) or "(the message cannot be read)"),
            ("args", printable(", ".join(map(repr, args)))),
            ("kwargs", printable(", ".join(f"{name}={value!r}" for name, value in kwargs.items()))),
            ("queue", printable(letter.queue)),
            ("reason", click.style(printable(letter.reason), fg="red")),
            ("error", printable(exception_text(letter.exception))),
            ("deliveries", str(letter.deliveries)),
            ("died", moment_text(letter.died_at)),
            ("worker", printable(letter.worker)),
            ("message", f"{len(letter.raw)} bytes" if letter.name else printable(repr(letter.raw[:500]))),
        ]
    )
    if letter.traceback:
        say()
        say(printable(letter.traceback.rstrip()))
    if letter.name:
        note(f"\nSend it again with `{printable(command('dead', 'requeue', letter.id))}`.")


@dead.command()
@target_options
@click.option("--all", "everything", is_flag=True, help="All of them, or all of one --queue.")
@_queue_option
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP] ID...", shell_complete=complete_apps)
def requeue(words: tuple[str, ...], everything: bool, queue: str | None, as_json: bool) -> None:
    """Send dead letters again, as if they had never run.

    Exit codes: 0 all of them were sent; 1 some were not there, or cannot be read.
    """
    about = target()
    ids = about.take(words, first=True) if everything else about.take_names(words)
    if bool(ids) == everything:
        raise click.UsageError("Give ids, or --all.")
    if queue and not everything:
        raise click.UsageError("--queue goes with --all.")
    app = about.connection()

    async def send() -> dict[str, str | None]:
        async with app:
            wanted = [letter.id for letter in await app.dead_letters.list(queue, _ALL)] if everything else ids
            return {id: await _requeue(app, id) for id in wanted}

    problems = run(send())
    if as_json:
        say_json([{"id": id, "requeued": problem is None, "problem": problem} for id, problem in problems.items()])
    else:
        for id, problem in problems.items():
            if problem is None:
                say(f"{printable(id)}  sent again")
            else:
                complain(problem)
        if not problems:
            note("There was nothing to send.")
    end(FAILED if any(problems.values()) else 0)


async def _requeue(app: AioQueue, id: str) -> str | None:
    """Send it; returns what was in the way."""
    try:
        return None if await app.dead_letters.requeue(id) else f"There is no dead letter {id!r}."
    except AioQueueError as error:
        return str(error)


@dead.command()
@target_options
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] ID...", shell_complete=complete_apps)
def remove(words: tuple[str, ...], as_json: bool) -> None:
    """Drop single dead letters.

    Exit codes: 0 all of them were dropped; 1 some were not there.
    """
    about = target()
    ids = about.take_names(words)
    app = about.connection()

    async def drop() -> dict[str, bool]:
        async with app:
            return {id: await app.dead_letters.remove(id) for id in ids}

    removed = run(drop())
    if as_json:
        say_json([{"id": id, "removed": done} for id, done in removed.items()])
    else:
        for id, done in removed.items():
            say(f"{printable(id)}  {'removed' if done else 'was not there'}")
    end(0 if all(removed.values()) else FAILED)


@dead.command()
@target_options
@_queue_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def purge(words: tuple[str, ...], queue: str | None, yes: bool, as_json: bool) -> None:
    """Drop all dead letters, or those of one queue."""
    about = target()
    if rest := about.take(words, first=not about.namespace):
        raise click.UsageError(f"It takes no ids (`aioqueue dead remove` does): {' '.join(rest)}")
    app = about.connection()
    which = f"the dead letters from the queue {queue!r}" if queue else "all dead letters"
    confirm(f"Drop {which} of {app.namespace!r} for good?", yes=yes)

    async def drop() -> int:
        async with app:
            return await app.dead_letters.purge(queue)

    count = run(drop())
    if as_json:
        say_json({"dropped": count})
    else:
        say(f"{count} dead {'letter' if count == 1 else 'letters'} dropped")


def _row(letter: DeadTask, now: datetime) -> list[str]:
    died = f"{span_text((now - letter.died_at).total_seconds())} ago" if letter.died_at else ""
    return [
        bold(printable(letter.id)),
        printable(letter.name) or "(unreadable)",
        printable(letter.queue),
        str(letter.deliveries),
        died,
        one_line(letter.reason, 500),
    ]


def _shown(app: AioQueue, letter: DeadTask) -> tuple[list[Any], dict[str, Any]]:
    """Its arguments, without those that are hidden."""
    hidden = hidden_words(app.conf.hidden_arguments)
    task = app.tasks.get(letter.name)
    names = task.parameters.positional_names if task is not None else ()
    named = zip([*names, *[""] * len(letter.args)], letter.args, strict=False)
    args = ["***" if is_hidden(name, hidden) else value for name, value in named]
    return args, {name: "***" if is_hidden(name, hidden) else value for name, value in letter.kwargs.items()}


def _as_data(app: AioQueue, letter: DeadTask) -> dict[str, Any]:
    from aioqueue.task_info import exception_data

    args, kwargs = _shown(app, letter)
    hides = (args, kwargs) != (list(letter.args), letter.kwargs)
    return {
        "id": letter.id,
        "task": letter.name or None,
        "args": args,
        "kwargs": kwargs,
        "queue": letter.queue,
        "reason": letter.reason,
        "exception": exception_data(letter.exception),
        "traceback": letter.traceback,
        "deliveries": letter.deliveries,
        "died_at": letter.died_at,
        "worker": letter.worker,
        "raw": None if hides else letter.raw,  # which has what is hidden
    }
