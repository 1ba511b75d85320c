"""`aioqueue inspect` and `aioqueue control`: what of Celery's remote control other commands do here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from aioqueue.cli.asking import PATIENCE, asked_options, show_answers
from aioqueue.cli.celery import OF_REMOTES, tell_without_effect
from aioqueue.cli.groups import Command, Group
from aioqueue.cli.target import about_this, json_option, target, target_options
from aioqueue.exceptions import suggest

_LATER: Final = "comes with a later version."


class _Does(NamedTuple):
    """A command that does it.

    Attributes:
        name: the command's, which is in the module of that name.
        options: beside its words.
        skip: so many of the words are not for it.
    """

    name: str
    options: Mapping[str, Any] = {}
    skip: int = 0


class _Asks(NamedTuple):
    """The workers are asked, and `show_answers` shows what they say."""


class _Why(NamedTuple):
    """Why a task does not run yet."""


_INSPECT: Final[Mapping[str, _Does | _Asks | _Why | str]] = {
    "ping": _Asks(),
    "registered": _Does("tasks"),
    "stats": _Does("workers"),
    "active_queues": _Does("workers"),
    "query_task": _Does("result", {"waits": False, "timeout": None}),
    "task": _Why(),
    "report": _Does("report"),
    "conf": _Does("report"),
    "active": _Asks(),
    "reserved": _Asks(),
    "revoked": _Asks(),
    "scheduled": "`aioqueue queues show NAME` lists the tasks of a queue that wait for their time: they wait in the "
    "broker, not in workers. `aioqueue schedule list` shows schedules.",
    "clock": "There are no logical clocks: moments are told by the broker's clock.",
    "hello": "Workers don't gossip.",
    "memdump": f"Nothing of that kind is here: {_LATER}",
    "memsample": f"Nothing of that kind is here: {_LATER}",
    "objgraph": f"Nothing of that kind is here: {_LATER}",
}
_CONTROL: Final[Mapping[str, _Does | _Asks | _Why | str]] = {
    "revoke": _Does("revoke", {"terminate": False, "reason": None}),
    "terminate": _Does("revoke", {"terminate": True, "reason": None}, skip=1),
    "ping": _Asks(),
    "shutdown": "`await app.control.shutdown()`, or `app.sync.control.shutdown()`; "
    "or SIGTERM to the process: `aioqueue workers` shows "
    "its pid.",
    "revoke_by_stamped_headers": "`await app.revoke_by_stamp(key, value)`, or `app.sync.revoke_by_stamp(key, value)`.",
    "rate_limit": f"A rate limit {_LATER}",
    "time_limit": "`await app.control.time_limit(task, soft=10, hard=20)`, or `app.sync.control.time_limit(...)`.",
    "add_consumer": f"To add queues from afar {_LATER} Start a worker for it: `aioqueue worker -Q NAME`.",
    "cancel_consumer": f"To take queues away from afar {_LATER} Start the worker with -X NAME.",
    "pool_grow": f"To change the concurrency from afar {_LATER} `aioqueue worker -c N`: what is idle costs nothing.",
    "pool_shrink": f"To change the concurrency from afar {_LATER} `aioqueue worker -c N`.",
    "pool_restart": "Stop the worker with SIGTERM, and start it again: what it has not ended goes back at once.",
    "autoscale": "`aioqueue worker -c N`: what is idle costs nothing.",
    "enable_events": "`aioqueue events --enable`, or in code `await app.control.enable_events()`.",
    "disable_events": "`aioqueue events --disable`, or in code `await app.control.disable_events()`.",
    "heartbeat": "Workers hold leases, which `aioqueue workers` shows.",
    "election": "Workers don't elect anybody.",
}


def _command(name: str, known: Mapping[str, _Does | _Asks | _Why | str]) -> click.Command:
    """A command whose first word is one of `known`."""

    @click.command(name, cls=Command, hidden=True)
    @target_options
    @asked_options
    @json_option
    @click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] WHAT [ARG]...")
    def command(words: tuple[str, ...], destination: str | None, timeout: float | None, as_json: bool) -> None:
        about = target()
        named_first = len(words) > 1 and words[0] not in known and not about.is_said
        what, *rest = about.take(words, first=named_first) or ("",)
        does = known.get(what)
        if does is None:
            raise click.UsageError(f"There is no {name} {what!r}.{suggest(what, known)} There are: {', '.join(known)}.")
        if isinstance(does, str):
            raise click.UsageError(about_this(does))
        if isinstance(does, _Asks):
            if rest:
                raise click.UsageError(f"{name} {what} takes nothing more: {' '.join(rest)}")
            show_answers(about.connection(), what, timeout=timeout, destination=destination, as_json=as_json)
            return
        if isinstance(does, _Why):
            if len(rest) != 1:
                raise click.UsageError(f"{name} {what} takes the id of one task, not {len(rest)}.")
            from aioqueue.cli.task_status import show_status

            show_status(about.connection(), rest[0], timeout=timeout or PATIENCE, as_json=as_json)
            return
        tell_without_effect(OF_REMOTES, {"_timeout": timeout, "_destination": destination})
        found = getattr(import_module(f"aioqueue.cli.{does.name}"), does.name)
        if isinstance(found, Group) and found.default is not None:
            found = found.commands[found.default]
        context = click.get_current_context()
        context.invoke(found, words=tuple(rest[does.skip :]), as_json=as_json, **does.options)

    command.help = f"Celery's {name}: {', '.join(known)}."
    return command


inspect: Final = _command("inspect", _INSPECT)
control: Final = _command("control", _CONTROL)
