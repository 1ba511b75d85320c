"""`aioqueue worker`: run an app's tasks."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Literal

import click

from aioqueue.cli.celery import OF_BEAT, Option, tell_without_effect, without_effect
from aioqueue.cli.groups import Command
from aioqueue.cli.logs import log_options, set_up_logging
from aioqueue.cli.running import end, run
from aioqueue.cli.target import target, target_options
from aioqueue.cli.terminal import complain
from aioqueue.cli.times import span_option
from aioqueue.exceptions import ConfigurationError

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

_logger = logging.getLogger("aioqueue.worker")

_WITHOUT_EFFECT = (
    Option(("-P", "--pool"), "coroutines run on the event loop, plain functions in threads"),
    Option(("-E", "--task-events"), "there are no events to switch on", flag=True),
    Option(("-O", "--optimization"), "the worker finds its own way to fetch"),
    Option(("--prefetch-multiplier",), "set worker_prefetch, or leave it to the worker"),
    Option(("--without-gossip",), "workers do not gossip", flag=True),
    Option(("--without-mingle",), "workers do not mingle", flag=True),
    Option(("--without-heartbeat",), "leases cannot be done without", flag=True),
    *OF_BEAT,
)


class _Command(Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # click would take the word after an option whose value may be left out for its value.
        for position, word in enumerate(args):
            option, given, value = word.partition("=")
            if option == "--burst" and given:
                if value != "now":
                    raise click.UsageError(f"--burst takes no value but --burst=now, not {value!r}.", ctx)
                args[position] = "--burst-now"
        return super().parse_args(ctx, args)


@without_effect(_WITHOUT_EFFECT)
@click.command(cls=_Command)
@target_options
@click.option(
    "-Q", "--queues", multiple=True, metavar="A,B", help="What to consume; by default the queues of its tasks."
)
@click.option(
    "-c", "--concurrency", type=click.IntRange(1), metavar="N", help="Tasks that run at once; by default 100."
)
@click.option(
    "--processes",
    type=click.IntRange(1, 10_000),
    default=1,
    metavar="N",
    help="Worker processes, each with --concurrency tasks at once; what ends is replaced. By default 1.",
)
@click.option("--supervised", is_flag=True, hidden=True)
@click.option("-n", "--hostname", metavar="NAME", help="Its name; %h is the host's, %p the process id: worker1@%h.")
@log_options
@span_option("--shutdown-timeout", help="How long running tasks may go on when it stops; by default 30.")
@click.option(
    "--burst",
    is_flag=True,
    help="Stop when there is nothing left to do, no retry nor what a dead worker holds; --burst=now leaves those.",
)
@click.option("--burst-now", is_flag=True, hidden=True)
@click.option("-B", "--beat", is_flag=True, help="Fire schedules, too; any number of workers may.")
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
    burst_now: bool,
    beat: bool,
    **others: object,
) -> None:
    """Run the app's tasks until stopped.

    SIGTERM or Ctrl-C: it takes nothing new and lets what runs end, for --shutdown-timeout at most; what has not ended
    then goes back to its queue at once. The second one: all of it goes back now. What does not end though it is told to
    is named in the log and left behind.

    Exit codes: 0 after a clean stop; 1 an error, or tasks had to be handed back or left behind; 2 there is no such app;
    3 --burst=now has left retries, or tasks of other workers.
    """
    about = target()
    if rest := about.take(words, first=True):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    set_up_logging(loglevel, logformat, logfile)
    app = about.app()
    tell_without_effect(_WITHOUT_EFFECT, others)
    names = [name for text in queues for name in text.split(",") if name]
    if queues and not names:
        raise click.UsageError(f"--queues takes names such as high,default, not {' '.join(queues)!r}.")
    if processes > 1:
        end(run(_supervise(app, processes, names or None, burst=burst or burst_now)))
        return
    if supervised:
        from aioqueue.worker.supervisor import stop_with_parent

        stop_with_parent()
    work = _work(
        app,
        queues=names or None,
        concurrency=concurrency,
        hostname=hostname,
        shutdown_timeout=shutdown_timeout,
        burst="now" if burst_now else burst,
        beat=beat,
        banner=not supervised and logformat == "text" and logging.getLogger().isEnabledFor(logging.INFO),
    )
    try:
        code = run(work, fast=True)
    except ConfigurationError as error:
        if not supervised:
            raise
        from aioqueue.worker.supervisor import MISUSE

        complain(str(error))
        code = MISUSE
    end(code)


async def _supervise(app: AioQueue, count: int, queues: list[str] | None, *, burst: bool) -> int:
    from aioqueue.cli.leaving import HANDING_BACK, MOMENT
    from aioqueue.worker import Worker
    from aioqueue.worker.supervisor import Supervisor

    # What none of the processes could work with is told once, before any is started.
    params = click.get_current_context().params
    values = {name: params[name] for name in ("concurrency", "shutdown_timeout")}
    for hostname in (_hostname(), f"{_hostname()}/{count}"):
        Worker(app, queues=queues, hostname=hostname, **values)
    async with app:  # the embedded server, if it is that one, outlives each of them
        broker = await app.broker()
        _logger.info("%d worker processes of the app %s start on %s", count, app.name, broker.description)
        given = click.get_current_context().params["shutdown_timeout"]
        patience = app.conf.worker_shutdown_timeout if given is None else given
        return await Supervisor(_command, count, once=burst, patience=patience + HANDING_BACK + 2 * MOMENT).run()


def _hostname() -> str:
    given = click.get_current_context().params["hostname"]
    return "worker@%h" if given is None else given


def _command(number: int) -> list[str]:
    """The command of one of several processes: this one's, with a name of its own."""
    context = click.get_current_context()
    words = [sys.executable, "-m", "aioqueue", *target().words(), "worker", "--supervised"]
    given = context.params
    words += ["--hostname", f"{_hostname()}/{number}"]
    for name in ("concurrency", "loglevel", "logformat", "logfile", "shutdown_timeout"):
        if given[name] is not None:
            words += [f"--{name.replace('_', '-')}", str(given[name])]
    for queues in given["queues"]:
        words += ["--queues", queues]
    flags = ("--burst", "--burst-now", "--beat")
    return [*words, *(option for option in flags if given[option[2:].replace("-", "_")])]


async def _work(
    app: AioQueue,
    *,
    queues: list[str] | None,
    concurrency: int | None,
    hostname: str | None,
    shutdown_timeout: float | None,
    burst: bool | Literal["now"],
    beat: bool,
    banner: bool,
) -> int:
    import asyncio

    from aioqueue.cli.leaving import MOMENT, Exit
    from aioqueue.worker import Worker

    leaving = Exit(asyncio.get_running_loop())

    def ready() -> None:
        leaving.on_signals(it.shutdown_timeout)
        _logger.info("Worker %s is ready", it.hostname)

    it = Worker(
        app,
        queues=queues,
        concurrency=concurrency,
        hostname=hostname,
        shutdown_timeout=shutdown_timeout,
        burst=burst,
        on_ready=ready,
        beat=beat,
    )
    async with app:
        broker = await app.broker()
        if banner:
            from aioqueue.cli.banner import show_banner
            from aioqueue.cli.beat import known_schedules

            loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
            show_banner(it, broker.description, loop, await known_schedules(app) if beat else "")
        else:
            _logger.info("Worker %s of the app %s starts on %s", it.hostname, app.name, broker.description)
        code = await it.run(install_signals=True)
    leaving.within(MOMENT, code)
    if it.left_behind:
        leaving.now(code)
    return code
