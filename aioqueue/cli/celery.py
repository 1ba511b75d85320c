"""What people have in their scripts for Celery's command, and is none of this one: options, and commands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import click

_logger = logging.getLogger("aioqueue.worker")


class Option(NamedTuple):
    """An option of Celery's that has no effect.

    Attributes:
        names: as it is written, the long one last.
        why: it has none, and what to write instead.
        flag: it takes no value.
        needed: whoever gives it would miss its effect, so it is an error.
    """

    names: tuple[str, ...]
    why: str
    flag: bool = False
    needed: bool = False

    @property
    def name(self) -> str:
        """The keyword argument of the command."""
        return "_" + self.names[-1].lstrip("-").replace("-", "_")


_SERVICE: Final = "a service manager (systemd, Docker, supervisord) starts it as whom and where you tell that"
OF_SERVICES: Final = (
    Option(("-D", "--detach"), f"it stays in the foreground; {_SERVICE}", flag=True, needed=True),
    Option(("--uid",), _SERVICE, needed=True),
    Option(("--gid",), _SERVICE, needed=True),
    Option(("--umask",), _SERVICE),
    Option(("--executable",), _SERVICE),
)
"""Those of commands that stay."""
OF_BEAT: Final = (
    Option(("-s", "--schedule"), "schedules are kept in the broker, not in a file"),
    Option(("--schedule-filename",), "schedules are kept in the broker, not in a file"),
    Option(("-S", "--scheduler"), "there is one scheduler, and schedules are kept in the broker"),
)
"""Those of each command that may fire schedules."""
OF_ALL: Final = (
    Option(("--result-backend",), "results are kept in the broker"),
    Option(("--loader",), "an app is found by -A"),
    Option(("--config",), "write app.config_from_object(...) where the app is made", needed=True),
    Option(("-C", "--no-color"), "set NO_COLOR=1 in the environment", flag=True),
    Option(("-q", "--quiet"), "notes for people go to stderr: 2>/dev/null", flag=True),
    Option(("--skip-checks",), "there are none", flag=True),
)
"""Those that come before the command."""
OF_REMOTES: Final = (
    Option(("-t", "--timeout"), "the broker answers at once, no worker is asked"),
    Option(("-d", "--destination"), "all workers are shown"),
)
"""Those of commands that ask workers."""

_LATER: Final = "comes with a later version"
ELSEWHERE: Final[Mapping[str, str]] = {
    "amqp": "There is no AMQP. `aioqueue queues` lists the queues, `aioqueue queues purge NAME` empties one.",
    "flower": f"A web page {_LATER}. `aioqueue workers`, `aioqueue queues`, `aioqueue dead` and `aioqueue schedule` "
    "show what there is, each with --json.",
    "graph": "`aioqueue workflow show ID` draws a workflow.",
    "list": "There are no bindings. `aioqueue queues` lists the queues, `aioqueue tasks` the tasks.",
    "logtool": "`aioqueue worker --logformat json` writes lines that programs can read.",
    "migrate": "Messages are not moved from one broker to another: let workers run until `aioqueue queues` shows "
    "nothing, and start them with the new one. Of Celery's messages none can be read.",
    "multi": "`aioqueue worker --processes 4` runs several, and replaces what ends; a service manager (systemd, "
    "Docker, supervisord) starts and stops it.",
    "shell": "`python -m asyncio`, and there `from shop.tasks import *`: await works at its prompt.",
    "upgrade": "Nothing has to be rewritten: app.config_from_object(...) reads Celery's settings, old names and new.",
}
"""Commands of Celery's, and what does it here."""


def without_effect(options: tuple[Option, ...]) -> Callable[[click.Command], click.Command]:
    """Let a command take these options; they are not in its help."""

    def add(command: click.Command) -> click.Command:
        for option in options:
            command.params.append(click.Option([option.name, *option.names], is_flag=option.flag, hidden=True))
        return command

    return add


def tell_without_effect(options: tuple[Option, ...], given: Mapping[str, object]) -> None:
    """Say so of those that were given.

    Raises:
        UsageError: one of them would be missed.
    """
    for option in options:
        if given.get(option.name) in (None, False):
            continue
        if option.needed:
            raise click.UsageError(f"{option.names[-1]} is no option here: {option.why}.")
        _logger.warning("%s has no effect: %s", option.names[-1], option.why)
