"""`aioqueue workers`: who is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aioqueue.cli.completing import complete_apps
from aioqueue.cli.groups import Group
from aioqueue.cli.running import FAILED, end, run
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import bold, note, printable, say_json, table
from aioqueue.cli.times import span_option, span_text

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.brokers.protocol import WorkerStatus


@click.group(cls=Group, default="list")
@target_options
def workers() -> None:
    """List the workers that are alive, or ask them whether they are well. Without a command: list."""


@workers.command("list")
@target_options
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def list_workers(words: tuple[str, ...], as_json: bool) -> None:
    """List the workers that are alive.

    Exit codes: 0 there are some; 1 there is none.
    """
    about = target()
    if rest := about.take(words, first=not about.namespace):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    app = about.connection()
    found, now, place = run(ask(app))
    found.sort(key=lambda worker: worker.name)
    if as_json:
        say_json([_as_data(worker) for worker in found])
    elif found:
        table(
            ["worker", "pid", "concurrency", "up", "lease", "queues"],
            [
                [
                    bold(printable(worker.name)),
                    *_about(worker, now),
                ]
                for worker in found
            ],
            right=(1, 2, 3, 4),
            whole=True,
        )
    else:
        note(f"No worker of {app.namespace!r} is alive ({place}).")
    end(0 if found else FAILED)


@workers.command("ping")
@target_options
@click.option("--self", "of_this_host", is_flag=True, help="Only those of this host, or container.")
@span_option("-t", "--timeout", help="Wait so long for answers; by default 2.")
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def ping_workers(words: tuple[str, ...], of_this_host: bool, timeout: float | None, as_json: bool) -> None:
    """Whether workers answer: a probe for containers.

    With --namespace, and --broker or $AIOQUEUE_BROKER, the app is not imported: then it takes a tenth of a second.

    Exit codes: 0 at least one answers; 69 none does.
    """
    from aioqueue.cli.pinging import ping

    about = target()
    if rest := about.take(words, first=not about.namespace):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    end(ping(about, of_this_host=of_this_host, seconds=2.0 if timeout is None else timeout, as_json=as_json))


def _as_data(worker: WorkerStatus) -> dict[str, object]:
    import msgspec

    from aioqueue.options import moment

    data: dict[str, object] = {
        **msgspec.structs.asdict(worker),
        "started": moment(worker.started or None),
        "lease": worker.lease / 1000,
    }
    if not worker.problem:
        del data["problem"]
    return data


def _about(worker: WorkerStatus, now: float) -> list[str]:
    if worker.problem:
        return ["?", "?", "?", span_text(worker.lease / 1000), click.style(printable(worker.problem), fg="red")]
    return [
        str(worker.pid),
        str(worker.concurrency),
        span_text((now - worker.started) / 1000),
        span_text(worker.lease / 1000),
        printable(", ".join(worker.queues)),
    ]


async def ask(app: AioQueue) -> tuple[list[WorkerStatus], int, str]:
    """The workers that are alive, the broker's time, and what it is."""
    async with app:
        broker = await app.broker()
        return await broker.workers(), broker.now(), broker.description
