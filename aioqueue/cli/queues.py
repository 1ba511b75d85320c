"""`aioqueue queues`: what waits."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from aioqueue.cli.confirming import confirm
from aioqueue.cli.groups import Group
from aioqueue.cli.running import run
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import bold, complain, dim, note, printable, say, say_json, table
from aioqueue.cli.times import span_text

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.brokers.protocol import QueueStatus


@click.group(cls=Group, default="list")
@target_options
def queues() -> None:
    """List the queues, or empty one. Without a command: list."""


@queues.command("list")
@target_options
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]")
def list_queues(words: tuple[str, ...], as_json: bool) -> None:
    """List the queues: how many tasks wait, run, and wait for their time, and how many workers consume them.

    Those of task_queues are among them, whether they have been used or not.
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
    else:
        note(f"No queue of {app.namespace!r} has been used yet ({place}).")


@queues.command()
@target_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME...")
def purge(words: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Drop the tasks that wait in a queue. What runs goes on, and so does what waits for its time."""
    about = target()
    names = about.take(words) if len(words) > 1 else words
    app = about.connection()
    confirm(f"Drop all tasks that wait in {', '.join(names)} of {app.namespace!r}?", yes=yes)

    async def drop() -> dict[str, int]:
        from aioqueue.revoking import purge as purge_queue

        async with app:
            broker = await app.broker()
            return {name: await purge_queue(broker, app.conf, name) for name in names}

    dropped = run(drop())
    if as_json:
        say_json([{"queue": name, "dropped": count} for name, count in dropped.items()])
    else:
        for name, count in dropped.items():
            say(f"{printable(name)}: {count} {'task' if count == 1 else 'tasks'} dropped")


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
    name = bold(printable(queue.name))
    return [name, *counts, dim("-") if age is None else span_text(age), str(consumers) if consumers else dim("0")]


def _as_data(queue: QueueStatus, now: int, consumers: int) -> dict[str, object]:
    return {
        "queue": queue.name,
        "waiting": queue.waiting,
        "running": queue.running,
        "delayed": queue.delayed,
        "oldest_seconds": _age(queue, now),
        "consumers": consumers,
        **({"problem": queue.problem} if queue.problem else {}),
    }


def _age(queue: QueueStatus, now: int) -> float | None:
    """For how many seconds the oldest message has been waiting."""
    return None if queue.oldest is None else max(0, now - queue.oldest) / 1000
