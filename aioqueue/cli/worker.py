"""`aioqueue worker`: run an app's tasks."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from aioqueue.cli.celery import OF_BEAT, OF_SERVICES, Option, tell_without_effect, without_effect
from aioqueue.cli.completing import complete_apps, complete_queues
from aioqueue.cli.groups import Command
from aioqueue.cli.logs import log_file, log_options, numbered, set_up_logging
from aioqueue.cli.overrides import override, override_options, words_of
from aioqueue.cli.pidfile import PidFile, pidfile_option
from aioqueue.cli.running import end, run
from aioqueue.cli.target import target, target_options
from aioqueue.cli.terminal import complain
from aioqueue.cli.times import span_option
from aioqueue.exceptions import ConfigurationError
from aioqueue.wording import counted

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.brokers.protocol import Broker
    from aioqueue.cli.restarting import Restart

_logger = logging.getLogger("aioqueue.worker")

_REPLACED = ("max_tasks_per_child", "max_memory_per_child")
"""Options of a process that is replaced when it has come so far."""
_WITHOUT_EFFECT = (
    Option(("-O", "--optimization"), "the worker finds its own way to fetch"),
    Option(("--disable-prefetch",), "write --prefetch-multiplier 1: then it holds none ready", flag=True, needed=True),
    Option(("--discard", "--purge"), "empty the queues before: aioqueue queues purge NAME", flag=True, needed=True),
    Option(("--statedb",), "what was revoked is kept in the broker"),
    Option(("--heartbeat-interval",), "a worker's lease says that it is alive: visibility_timeout"),
    Option(("--without-gossip",), "workers do not gossip", flag=True),
    Option(("--without-mingle",), "workers do not mingle", flag=True),
    Option(("--without-heartbeat",), "leases cannot be done without", flag=True),
    *OF_BEAT,
    *OF_SERVICES,
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
    "-Q",
    "--queues",
    multiple=True,
    metavar="A,B",
    shell_complete=complete_queues,
    help="What to consume: a,b in that order, a:5,b:1 by weight; by default task_queues and the queues of its tasks.",
)
@click.option(
    "-X",
    "--exclude-queues",
    multiple=True,
    metavar="A,B",
    shell_complete=complete_queues,
    help="What of that not to consume.",
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
@click.option("--stops-with-stdin", is_flag=True, hidden=True)
@click.option("--reload", is_flag=True, help="For development: begin again whenever the code here changes.")
@override_options
@click.option("-n", "--hostname", metavar="NAME", help="Its name; %h is the host's, %p the process id: worker1@%h.")
@log_options
@pidfile_option
@span_option("--shutdown-timeout", help="How long running tasks may go on when it stops; by default 30.")
@click.option(
    "--burst",
    is_flag=True,
    help="Stop when there is nothing left to do, no retry nor what a dead worker holds; --burst=now leaves those.",
)
@click.option("--burst-now", is_flag=True, hidden=True)
@click.option("-I", "--include", multiple=True, metavar="A,B", help="Modules to import, beside those of the app.")
@click.option("-B", "--beat", is_flag=True, help="Fire schedules, too; any number of workers may.")
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def worker(
    words: tuple[str, ...],
    queues: tuple[str, ...],
    exclude_queues: tuple[str, ...],
    concurrency: int | None,
    processes: int,
    supervised: bool,
    stops_with_stdin: bool,
    reload: bool,
    hostname: str | None,
    loglevel: str,
    logformat: str,
    logfile: str | None,
    pidfile: Path | None,
    shutdown_timeout: float | None,
    burst: bool,
    burst_now: bool,
    beat: bool,
    include: tuple[str, ...],
    **others: object,
) -> None:
    """Run the app's tasks until stopped.

    SIGTERM, Ctrl-C, or the end of its terminal: it takes nothing new and lets what runs end, for --shutdown-timeout at
    most; what has not ended then goes back to its queue at once. The second SIGTERM or Ctrl-C, or SIGQUIT: all of it
    goes back now. SIGHUP without a terminal, as to a service: it stops, and begins again with the code of now.
    SIGUSR1: it writes what runs to the log, with stacks.
    What does not end though it is told to is named in the log and left behind.

    Exit codes: 0 after a clean stop; 1 an error, or tasks had to be handed back or left behind; 2 there is no such app;
    3 --burst=now has left retries, or tasks of other workers.
    """
    about = target()
    if rest := about.take(words, first=True):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    set_up_logging(loglevel, logformat, logfile and log_file(logfile, _name_from(hostname)))
    if reload:
        from aioqueue.cli.reloading import Reloader, own_command

        end(run(Reloader(own_command(), Path.cwd()).run()))
        return
    if stops_with_stdin:
        from aioqueue.worker.supervised import stop_with_parent

        stop_with_parent()
    app = about.app()
    if not supervised:
        tell_without_effect(_WITHOUT_EFFECT, others)
    override(app, others)
    app.include = (*app.include, *(name for one in include for name in one.split(",") if name))
    app.import_tasks()
    wanted, unwanted = _joined("--queues", queues), _joined("--exclude-queues", exclude_queues)
    from aioqueue.cli.restarting import Restart  # which --help does without

    restart = Restart(_logger)
    restart.pidfile = PidFile(pidfile) if pidfile is not None else None
    if processes > 1 or (not supervised and (app.conf.loop_stall_limit or any(others[name] for name in _REPLACED))):
        code = run(_supervise(app, processes, wanted, unwanted, restart, burst=burst or burst_now))
        restart.now() if restart.is_wanted else end(code)
        return
    if supervised:
        from aioqueue.worker.supervised import stop_with_parent

        stop_with_parent()
    work = _work(
        app,
        queues=wanted,
        exclude=unwanted,
        supervised=supervised,
        concurrency=concurrency,
        hostname=hostname,
        shutdown_timeout=shutdown_timeout,
        burst="now" if burst_now else burst,
        beat=beat,
        logging_words=(loglevel, logformat, logfile),
        restart=restart,
        banner=not supervised and logformat == "text" and logging.getLogger().isEnabledFor(logging.INFO),
    )
    try:
        code = run(work, fast=True)
    except ConfigurationError as error:
        if not supervised:
            raise
        from aioqueue.worker.supervised import MISUSE

        complain(str(error))
        code = MISUSE
    restart.now() if restart.is_wanted and not supervised else end(code)


def _name_from(hostname: str | None) -> str:
    """What the worker is called.

    Raises:
        UsageError: nothing can be called so.
    """
    from aioqueue.worker.naming import name_of

    with _values_told():
        return name_of("worker-%p@%h" if hostname is None else hostname)


@contextmanager
def _values_told() -> Generator[None]:
    """Values that a worker cannot have are wrong on the command line."""
    try:
        yield
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


def _joined(option: str, given: tuple[str, ...]) -> str | None:
    """What an option says that may be given more than once."""
    text = ",".join(given)
    if given and not text.strip(", "):
        raise click.UsageError(f"{option} takes names such as high,default, not {' '.join(given)!r}.")
    return text or None


async def _supervise(
    app: AioQueue, count: int, queues: str | None, exclude: str | None, restart: Restart, *, burst: bool
) -> int:
    import asyncio

    from aioqueue.cli.leaving import HANDING_BACK, MOMENT
    from aioqueue.cli.notifying import ServiceManager
    from aioqueue.startup import StoppedBefore, connected
    from aioqueue.stop_signals import on_stop_signals
    from aioqueue.worker import Worker
    from aioqueue.worker.supervisor import Supervisor

    # What none of the processes could work with is told once, before any is started.
    params = click.get_current_context().params
    values = {name: params[name] for name in ("concurrency", "shutdown_timeout")}
    with _values_told():
        it = Worker(app, queues=queues, exclude=exclude, hostname=params["hostname"], **values)
        Worker(app, hostname=_of(it.hostname, count))
    app.import_tasks()
    it.consuming.tell(it.hostname)
    stop = asyncio.Event()
    manager = ServiceManager(restart, lambda: f"{counted(count, 'worker process', 'worker processes')} of {app.name}")
    restart.wishes.heard = manager.stops

    def told(number: signal.Signals) -> None:
        restart.wishes.of(number)
        stop.set()

    patience = it.shutdown_timeout + HANDING_BACK + 2 * MOMENT
    async with AsyncExitStack() as stack:  # the embedded server, if it is that one, outlives each of them
        await stack.enter_async_context(manager.told())
        try:
            with on_stop_signals(told):
                broker = await stack.enter_async_context(connected(app, "The worker", stop, patient=not burst))
        except StoppedBefore as error:
            _logger.info("%s", error)
            return 0
        many = f"{count} worker processes" if count > 1 else "1 worker process"
        starts = "start" if count > 1 else "starts"
        _logger.info("%s of the app %s %s on %s", many, app.name, starts, broker.description)
        command = partial(_command, params["hostname"] or it.hostname)
        supervisor = Supervisor(command, count, once=burst, patience=patience, on_ready=manager.ready)
        restart.wishes = supervisor.wishes
        restart.wishes.heard = manager.stops
        return await supervisor.run()


def _of(hostname: str, number: int) -> str:
    """The name of one of the processes; a single one has the worker's."""
    return f"{hostname}/{number}" if click.get_current_context().params["processes"] > 1 else hostname


def _command(hostname: str, number: int) -> list[str]:
    """The command of one of several processes: this one's, with a name of its own."""
    context = click.get_current_context()
    words = [sys.executable, "-m", "aioqueue", *target().words(), "worker", "--supervised"]
    given = context.params
    words += ["--hostname", _of(hostname, number), *words_of(given)]
    for name in ("concurrency", "loglevel", "logformat", "logfile", "shutdown_timeout"):
        if given[name] is not None:
            value = numbered(given[name], number if given["processes"] > 1 else 0) if name == "logfile" else given[name]
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name in ("queues", "exclude_queues", "include"):
        words += [word for value in given[name] for word in (f"--{name.replace('_', '-')}", value)]
    flags = ("--burst", "--burst-now", "--beat")
    return [*words, *(option for option in flags if given[option[2:].replace("-", "_")])]


async def _work(
    app: AioQueue,
    *,
    queues: str | None,
    exclude: str | None,
    supervised: bool,
    concurrency: int | None,
    hostname: str | None,
    shutdown_timeout: float | None,
    burst: bool | Literal["now"],
    beat: bool,
    logging_words: tuple[str, str, str | None],
    restart: Restart,
    banner: bool,
) -> int:
    import asyncio

    from aioqueue.cli.leaving import MOMENT, Exit
    from aioqueue.cli.notifying import ServiceManager
    from aioqueue.deputy.appointing import Deputy
    from aioqueue.exiting import leave
    from aioqueue.worker import Worker
    from aioqueue.worker.showing import show_on_signal
    from aioqueue.worker.supervised import FULL, READY, say_to_parent

    leaving = Exit(asyncio.get_running_loop(), leave if supervised else restart.or_leave)

    def ready() -> None:
        leaving.on_signals(it.shutdown_timeout)
        if supervised:
            say_to_parent(READY)
        manager.ready()

    with nullcontext() if supervised else _values_told():
        it = Worker(
            app,
            queues=queues,
            exclude=exclude,
            concurrency=concurrency,
            hostname=hostname,
            shutdown_timeout=shutdown_timeout,
            burst=burst,
            on_ready=ready,
            beat=beat,
        )
    restart.wishes = it.stopping.wishes
    if supervised:
        it.stopping.retire = partial(say_to_parent, FULL)
    manager = ServiceManager(restart, it.life.status)
    restart.wishes.heard = manager.stops
    show_on_signal(it)
    it.consuming.told = supervised  # what started it has said it

    async def tell(broker: Broker) -> None:
        if banner:
            from aioqueue.cli.banner import show_banner
            from aioqueue.cli.beat import known_schedules

            loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
            show_banner(it, broker.description, loop, await known_schedules(app) if beat else "")
        else:
            _logger.info("Worker %s of the app %s starts on %s", it.hostname, app.name, broker.description)

    it.on_connected = tell
    if Deputy.is_possible():
        it.deputy = Deputy(f"{set_up_logging.__module__}:{set_up_logging.__name__}", *logging_words)
    try:
        async with manager.told():
            code = await it.run(install_signals=True)
    finally:
        if it.deputy is not None:
            it.deputy.close()
    leaving.within(MOMENT, code)
    if it.left_behind:
        leaving.now(code)
    return code
