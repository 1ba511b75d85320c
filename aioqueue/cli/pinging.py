"""`aioqueue workers ping`: whether workers answer, with as little as can be."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import click

from aioqueue.brokers.redis.probing import CannotProbe, Probed, can_probe
from aioqueue.brokers.redis.probing import ping as probe
from aioqueue.cli.running import UNAVAILABLE, run
from aioqueue.cli.target import Target
from aioqueue.cli.terminal import bold, complain, printable, say, say_json
from aioqueue.cli.times import span_text
from aioqueue.exceptions import BrokerUnavailable

if TYPE_CHECKING:
    from aioqueue.app import AioQueue


def ping(about: Target, *, of_this_host: bool, seconds: float, as_json: bool) -> int:
    """Ask them, say who has answered, and who has not; returns the exit code.

    Args:
        about: whose workers.
        of_this_host: no others.
        seconds: for how long to wait.
        as_json: for programs.
    """
    if not seconds:
        raise click.UsageError("--timeout 0 would hear no answer: give the seconds to wait.")
    host = socket.gethostname() if of_this_host else None
    try:
        found = _asked(about, host, seconds)
    except BrokerUnavailable as error:
        complain(str(error))
        return UNAVAILABLE
    if as_json:
        say_json({name: {"ok": "pong"} for name in found.answered})
    else:
        for name in found.answered:
            say(f"{bold(printable(name))}: OK")
    if found.silent:
        complain(f"No answer within {span_text(seconds)} from {', '.join(found.silent)}.")
    elif not found.answered:
        complain(f"No worker{f' of the host {host}' if host else ''} is alive.")
    return 0 if found.answered else UNAVAILABLE


def _asked(about: Target, host: str | None, seconds: float) -> Probed:
    namespace = about.namespace or (os.environ.get("AIOQUEUE_NAMESPACE") if about.app_place is None else None)
    url = about.broker or os.environ.get("AIOQUEUE_BROKER")
    if namespace and url and can_probe(url):
        try:
            return probe(url, namespace, host=host, timeout=seconds)
        except CannotProbe:  # then with all that there is, which says what is wrong as well
            pass
    return run(_ask(about.connection(), host, seconds))


async def _ask(app: AioQueue, host: str | None, seconds: float) -> Probed:
    async with app:
        broker = await app.broker()
        names = None if host is None else [one.name for one in await broker.workers() if one.host == host]
        if names == []:
            return Probed([], [])
        found = await app.inspect.ping(destination=names, timeout=seconds)
        return Probed(sorted(found), list(found.silent))
