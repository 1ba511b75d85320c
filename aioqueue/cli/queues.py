"""`aioqueue queues`: what waits, and whether it is given out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from aioqueue.cli.completing import complete_apps, complete_queues
from aioqueue.cli.confirming import confirm
from aioqueue.cli.groups import Group
from aioqueue.cli.running import FAILED, end, run
from aioqueue.cli.target import command, json_option, target, target_options
from aioqueue.cli.terminal import bold, complain, dim, note, printable, say, say_json, table
from aioqueue.cli.times import span_text
from aioqueue.exceptions import suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioqueue.app import AioQueue
    from aioqueue.brokers.protocol import QueueStatus
    from aioqueue.cli.target import Target
    from aioqueue.waiting_tasks import WaitingTask

_limit_option = click.option(
    "-n", "--limit", type=click.IntRange(1), default=100, metavar="N", help="The first so many; by default 100."
)


@click.group(cls=Group, default="list")
@target_options
def queues() -> None:
    """List the queues, look into one, empty one, or pause one. Without a command: list."""


@queues.command("list")
@target_options
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def list_queues(words: tuple[str, ...], as_json: bool) -> None:
    """List the queues: how many tasks wait, run, and wait for their time, and how many workers consume them.

    Those of task_queues are among them, whether they have been used or not, and those that are paused.
    """
    about = target()
    if rest := about.take(words, first=not about.namespace):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    app = about.connection()
    found, consumers, now, place = run(_ask(app))
    found.sort(key=lambda queue: queue.name)
    if as_json:
        say_json([_as_data(queue, now, consumers[queue.name]) for queue in found])
    elif found:
        table(
            ["queue", "waiting", "running", "delayed", "oldest", "workers"],
            [_row(queue, now, consumers[queue.name]) for queue in found],
            right=(1, 2, 3, 4, 5),
        )
        for queue in found:
            if queue.problem:
                complain(f"the queue {queue.name}: {queue.problem}")
        if left := [queue.name for queue in found if queue.waiting + queue.delayed and not consumers[queue.name]]:
            note(f"No worker consumes {printable(', '.join(left))}: what waits there is not run.")
        if held := [queue.name for queue in found if queue.paused]:
            note(f"Paused: {printable(', '.join(held))}. What waits there is not run until `aioqueue queues resume`.")
    else:
        note(f"No queue of {app.namespace!r} has been used yet ({place}).")


@queues.command()
@target_options
@_limit_option
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME", shell_complete=complete_queues)
def show(words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List the tasks that wait in a queue, in the order in which they will run, and those that wait for their time.

    Exit codes: 0 the queue is known, if empty; 1 nothing is known of it.
    """
    from aioqueue.cli.messages import as_data, row
    from aioqueue.waiting_tasks import tasks_in

    about = target()
    names = _names(about, words)
    if len(names) != 1:
        raise click.UsageError(f"It takes one queue, not {len(names)}: {' '.join(names)}")
    app = about.connection()
    name = names[0]

    async def look() -> tuple[list[WaitingTask], int, list[str]]:
        async with app:
            broker = await app.broker()
            return await tasks_in(app, broker, name, limit), broker.now(), await _known(app)

    found, now, known = run(look())
    if name not in known:
        complain(_unknown(app, name, known))
    if as_json:
        say_json([as_data(one) for one in found])
    elif found:
        table(["id", "task", "priority", "when", "arguments"], [row(one, now) for one in found], right=(2,))
        if len(found) == limit:
            note(f"The first {limit}; more with --limit.")
    elif name in known:
        note(f"Nothing waits in the queue {name!r} of {app.namespace!r}.")
    end(0 if name in known else FAILED)


@queues.command()
@target_options
@click.option("--delayed", is_flag=True, help="Also what waits for its time: countdowns, etas, and retries.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME...", shell_complete=complete_queues)
def purge(words: tuple[str, ...], delayed: bool, yes: bool, as_json: bool) -> None:
    """Drop the tasks that wait in a queue. What runs goes on, and so does what waits for its time, without --delayed.

    Exit codes: 0 done, also where nothing waited; 1 nothing is known of some of the queues.
    """
    about = target()
    names = _names(about, words)
    app = about.connection()
    more = ", and for their time to go there," if delayed else ""
    confirm(f"Drop all tasks that wait in {', '.join(names)}{more} of {app.namespace!r}?", yes=yes)

    async def drop() -> tuple[dict[str, int], list[str]]:
        from aioqueue.revoking import purge as purge_queue

        async with app:
            broker, known = await app.broker(), await _known(app)
            return {name: await purge_queue(broker, app.conf, name, delayed=delayed) for name in names}, known

    dropped, known = run(drop())
    for name in names:
        if name not in known:
            complain(_unknown(app, name, known))
    if as_json:
        say_json([{"queue": name, "dropped": count, "known": name in known} for name, count in dropped.items()])
    else:
        for name, count in dropped.items():
            if name in known:
                say(f"{printable(name)}: {count} {'task' if count == 1 else 'tasks'} dropped")
    end(0 if all(name in known for name in names) else FAILED)


@queues.command()
@target_options
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME...", shell_complete=complete_queues)
def pause(words: tuple[str, ...], as_json: bool) -> None:
    """Let no worker take anything from queues until they are resumed. What runs goes on; what workers have fetched and
    not started goes back.

    Exit codes: 0 done, and all workers know; 1 a worker has not said so in time, or nothing is known of a queue: then
    nothing is changed.
    """
    _pause(words, as_json, paused=True)


@queues.command()
@target_options
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME...", shell_complete=complete_queues)
def resume(words: tuple[str, ...], as_json: bool) -> None:
    """Let workers take from queues again that were paused.

    Exit codes: as of pause.
    """
    _pause(words, as_json, paused=False)


def _pause(words: tuple[str, ...], as_json: bool, *, paused: bool) -> None:
    about = target()
    names = _names(about, words)
    app = about.connection()

    async def change() -> tuple[dict[str, tuple[str, ...]], list[str]]:
        async with app:
            known = await _known(app)
            if any(name not in known for name in names):
                return {}, known
            does = app.queues.pause if paused else app.queues.resume
            return {name: await does(name) for name in names}, known

    silent, known = run(change())
    for name in names:
        if name not in known:
            complain(f"{_unknown(app, name, known)} Nothing was changed.")
    if as_json:
        say_json([{"queue": name, "paused": paused, "silent": workers} for name, workers in silent.items()])
    else:
        for name in silent:
            say(f"{printable(name)}: {'paused' if paused else 'resumed'}")
    for name, workers in silent.items():
        if workers:
            complain(f"{name}: no answer in time from {', '.join(workers)}, which may not know of it yet.")
    end(0 if silent and not any(silent.values()) else FAILED)


def _names(about: Target, words: tuple[str, ...]) -> tuple[str, ...]:
    """The queues that are named, after the app."""
    names = about.take(words) if len(words) == 1 and not about.namespace else about.take_names(words)
    if not names:
        raise click.UsageError(f"Which queue? `{command('queues')}` lists them.")
    return names


async def _known(app: AioQueue) -> list[str]:
    """The queues that have been used, and those of the settings and the tasks."""
    from aioqueue.routing.addressing import known_queues

    used = [queue.name for queue in await (await app.broker()).queues()]
    said = [queue.name for queue in app.conf.task_queues] + [app.conf.task_default_queue]
    of_tasks = [name for task in app.tasks.values() for name in known_queues(app, task)]
    return sorted({*used, *said, *of_tasks})


def _unknown(app: AioQueue, name: str, known: Sequence[str]) -> str:
    hint = suggest(name, known)
    return f"Nothing is known of a queue {name!r} in {app.namespace!r}.{hint} Known are {', '.join(known)}."


async def _ask(app: AioQueue) -> tuple[list[QueueStatus], Counter[str], int, str]:
    """The queues, how many workers consume each, and of what."""
    from aioqueue.brokers.protocol import QueueStatus

    async with app:
        broker = await app.broker()
        found = await broker.queues()
        used = {queue.name for queue in found}
        declared = [queue.name for queue in app.conf.task_queues if queue.name not in used]
        found += [QueueStatus(name=name, waiting=0, running=0, delayed=0) for name in declared]
        consumers = Counter(name for worker in await broker.workers() for name in set(worker.queues))
        return found, consumers, broker.now(), broker.description


def _row(queue: QueueStatus, now: int, consumers: int) -> list[str]:
    counts = [str(count) if count else dim("0") for count in (queue.waiting, queue.running, queue.delayed)]
    age = _age(queue, now)
    name = bold(printable(queue.name)) + (" (paused)" if queue.paused else "")
    return [name, *counts, dim("-") if age is None else span_text(age), str(consumers) if consumers else dim("0")]


def _as_data(queue: QueueStatus, now: int, consumers: int) -> dict[str, object]:
    return {
        "queue": queue.name,
        "waiting": queue.waiting,
        "running": queue.running,
        "delayed": queue.delayed,
        "oldest_seconds": _age(queue, now),
        "consumers": consumers,
        "paused": queue.paused,
        **({"problem": queue.problem} if queue.problem else {}),
    }


def _age(queue: QueueStatus, now: int) -> float | None:
    """For how many seconds the oldest message has been waiting."""
    return None if queue.oldest is None else max(0, now - queue.oldest) / 1000
