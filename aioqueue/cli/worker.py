"""`aioqueue worker`: run an app's tasks."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import click

from aioqueue.cli.groups import Command
from aioqueue.cli.logs import LEVELS, set_up_logging
from aioqueue.cli.running import end, run
from aioqueue.cli.target import target, target_options
from aioqueue.cli.times import span_option

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

_logger = logging.getLogger("aioqueue.worker")

# Options of `celery worker` that people have in their scripts, and why they have no effect here.
_WITHOUT_EFFECT = {
    "pool": ("-P", "--pool", "coroutines run on the event loop, plain functions in threads"),
    "events": ("-E", "--task-events", "there are no events to switch on"),
    "optimization": ("-O", "--optimization", "the worker finds its own way to fetch"),
    "prefetch_multiplier": (None, "--prefetch-multiplier", "set worker_prefetch, or leave it to the worker"),
    "without_gossip": (None, "--without-gossip", "workers do not gossip"),
    "without_mingle": (None, "--without-mingle", "workers do not mingle"),
    "without_heartbeat": (None, "--without-heartbeat", "leases cannot be done without"),
}
_FLAGS = ("events", "without_gossip", "without_mingle", "without_heartbeat")


def _celery_options(command: click.Command) -> click.Command:
    for name, (short, long, _) in _WITHOUT_EFFECT.items():
        names = [word for word in (short, long) if word is not None]
        command.params.append(click.Option([f"_{name}", *names], is_flag=name in _FLAGS, hidden=True))
    return command


@_celery_options
@click.command(cls=Command)
@target_options
@click.option(
    "-Q", "--queues", multiple=True, metavar="A,B", help="What to consume; by default the queues of its tasks."
)
@click.option(
    "-c", "--concurrency", type=click.IntRange(1), metavar="N", help="Tasks that run at once; by default 100."
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Worker processes, each with --concurrency tasks at once; what ends is replaced. By default 1.",
)
@click.option("--supervised", is_flag=True, hidden=True)
@click.option("-n", "--hostname", metavar="NAME", help="Its name; %h is the host's, %p the process id: worker1@%h.")
@click.option(
    "-l",
    "--loglevel",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="info",
    metavar="LEVEL",
    help="debug, info, warning, error or critical; by default info.",
)
@click.option(
    "--logformat", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Lines or JSON."
)
@click.option("-f", "--logfile", type=click.Path(dir_okay=False), help="In place of stderr.")
@span_option("--shutdown-timeout", help="How long running tasks may go on when it stops; by default 30.")
@click.option("--burst", is_flag=True, help="Stop when there is nothing left to do.")
@click.argument("words", nargs=-1, metavar="[MODULE:APP]")
def worker(
    words: tuple[str, ...],
    queues: tuple[str, ...],
    concurrency: int | None,
    processes: int,
    supervised: bool,
    hostname: str | None,
    loglevel: str,
    logformat: str,
    logfile: str | None,
    shutdown_timeout: float | None,
    burst: bool,
    **others: object,
) -> None:
    """Run the app's tasks until stopped.

    SIGTERM or Ctrl-C: it takes nothing new and lets what runs end, for --shutdown-timeout at most; what has not ended
    then goes back to its queue at once. The second one: all of it goes back now.

    Exit codes: 0 after a clean stop; 1 an error, or tasks had to be handed back; 2 there is no such app.
    """
    about = target()
    if rest := about.take(words, first=True):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    set_up_logging(loglevel, logformat, logfile)
    app = about.app()
    for name, value in others.items():
        if value not in (None, False):
            _, option, why = _WITHOUT_EFFECT[name.removeprefix("_")]
            _logger.warning("%s has no effect: %s", option, why)
    if processes > 1:
        end(run(_supervise(app, processes, burst=burst)))
        return
    if supervised:
        from aioqueue.worker.supervisor import stop_with_parent

        stop_with_parent()
    names = [name for text in queues for name in text.split(",") if name]
    if queues and not names:
        raise click.UsageError(f"--queues takes names such as high,default, not {' '.join(queues)!r}.")
    end(
        run(
            _work(
                app,
                queues=names or None,
                concurrency=concurrency,
                hostname=hostname,
                shutdown_timeout=shutdown_timeout,
                burst=burst,
                banner=not supervised and logformat == "text" and logging.getLogger().isEnabledFor(logging.INFO),
            ),
            fast=True,
        )
    )


async def _supervise(app: AioQueue, count: int, *, burst: bool) -> int:
    from aioqueue.worker.supervisor import Supervisor

    async with app:  # the embedded server, if it is that one, outlives each of them
        broker = await app.broker()
        _logger.info("%d worker processes of the app %s start on %s", count, app.name, broker.description)
        return await Supervisor(_command, count, once=burst).run()


def _command(number: int) -> list[str]:
    """The command of one of several processes: this one's, with a name of its own."""
    context = click.get_current_context()
    words = [sys.executable, "-m", "aioqueue", *target().words(), "worker", "--supervised"]
    given = context.params
    words += ["--hostname", f"{given['hostname'] or 'worker@%h'}/{number}"]
    for name in ("concurrency", "loglevel", "logformat", "logfile", "shutdown_timeout"):
        if given[name] is not None:
            words += [f"--{name.replace('_', '-')}", str(given[name])]
    for queues in given["queues"]:
        words += ["--queues", queues]
    return [*words, "--burst"] if given["burst"] else words


async def _work(
    app: AioQueue,
    *,
    queues: list[str] | None,
    concurrency: int | None,
    hostname: str | None,
    shutdown_timeout: float | None,
    burst: bool,
    banner: bool,
) -> int:
    import asyncio

    from aioqueue.worker import Worker

    def ready() -> None:
        _logger.info("Worker %s is ready", it.hostname)

    it = Worker(
        app,
        queues=queues,
        concurrency=concurrency,
        hostname=hostname,
        shutdown_timeout=shutdown_timeout,
        burst=burst,
        on_ready=ready,
    )
    async with app:
        broker = await app.broker()
        if banner:
            from aioqueue.cli.banner import show_banner

            show_banner(it, broker.description, type(asyncio.get_running_loop()).__module__.partition(".")[0])
        else:
            _logger.info("Worker %s of the app %s starts on %s", it.hostname, app.name, broker.description)
        return await it.run(install_signals=True)
