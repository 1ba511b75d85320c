"""`aioqueue beat`: fire schedules."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aioqueue.cli.celery import OF_BEAT, OF_SERVICES, Option, tell_without_effect, without_effect
from aioqueue.cli.completing import complete_apps
from aioqueue.cli.groups import Command
from aioqueue.cli.logs import log_file, log_options, set_up_logging
from aioqueue.cli.pidfile import PidFile, pidfile_option
from aioqueue.cli.running import end, run
from aioqueue.cli.target import target, target_options

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.brokers.protocol import Broker
    from aioqueue.cli.restarting import Restart

_logger = logging.getLogger("aioqueue.beat")

_WITHOUT_EFFECT = (
    *OF_BEAT,
    Option(("--max-interval",), "it sleeps until something is due, or changes"),
    *OF_SERVICES,
)


@without_effect(_WITHOUT_EFFECT)
@click.command(cls=Command)
@target_options
@log_options
@pidfile_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def beat(
    words: tuple[str, ...],
    loglevel: str,
    logformat: str,
    logfile: str | None,
    pidfile: Path | None,
    **others: object,
) -> None:
    """Fire the app's schedules until stopped.

    Any number of them may run, and workers with --beat beside them: one fires, the others wait to take its place. Each
    due time fires once. SIGHUP without a terminal, as to a service: it begins again with the code of now.
    """
    about = target()
    if rest := about.take(words, first=True):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    set_up_logging(loglevel, logformat, logfile and log_file(logfile, "beat@%h"))
    app = about.app()
    tell_without_effect(_WITHOUT_EFFECT, others)
    from aioqueue.cli.restarting import Restart  # which --help does without

    restart = Restart(_logger)
    restart.pidfile = PidFile(pidfile) if pidfile is not None else None
    code = run(_beat(app, restart), fast=True)
    restart.now() if restart.is_wanted else end(code)


async def _beat(app: AioQueue, restart: Restart) -> int:
    from aioqueue.beat.running import beat as run_beat
    from aioqueue.cli.notifying import ServiceManager

    manager = ServiceManager(restart, lambda: f"beat of {app.name}")
    restart.wishes.heard = manager.stops

    async def tell(broker: Broker) -> None:
        known = await known_schedules(app)
        manager.ready()
        _logger.info("Beat of the app %s starts on %s, with %s", app.name, broker.description, known)

    async with manager.told():
        return await run_beat(app, tell, wishes=restart.wishes)


async def known_schedules(app: AioQueue) -> str:
    """How many schedules there are, in the code and in the broker, as text."""
    from aioqueue.beat.declaring import code_of

    broker = await app.broker()
    code = code_of(app, broker.now())
    names = {one.name for one in code.schedules} | {one.name for one in await broker.schedules()}
    return f"{len(names)} {'schedule' if len(names) == 1 else 'schedules'}"
