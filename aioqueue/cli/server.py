"""`aioqueue server`: the private server that apps without a broker use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from aioqueue.cli.completing import completion
from aioqueue.cli.confirming import confirm
from aioqueue.cli.groups import Group
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import bold, dim, facts, note, printable, say, say_json, size_text, table
from aioqueue.cli.times import span_text
from aioqueue.exceptions import AioQueueError, suggest

if TYPE_CHECKING:
    from aioqueue.embedded import ServerStatus


def _servers(ctx: click.Context, incomplete: str) -> list[str]:
    from aioqueue import embedded
    from aioqueue.cli.completing import apps_here

    return [*(one.name for one in embedded.statuses()), *apps_here()]


_complete_servers = completion(_servers)


@click.group(cls=Group, default="status")
@target_options
def server() -> None:
    """The private server of an app without a broker's URL. Without a command: status.

    It starts with the first process that needs it and stops with the last; `start` keeps it until `stop`.
    """


@server.command()
@target_options
@click.option("--durable/--no-durable", default=True, help="Write to disk; the default.")
@json_option
@click.argument("words", nargs=-1, metavar="[NAME|MODULE:APP]", shell_complete=_complete_servers)
def start(words: tuple[str, ...], durable: bool, as_json: bool) -> None:
    """Start the server and keep it until `aioqueue server stop`, also without users."""
    from aioqueue import embedded

    _show_one(embedded.start(_name(words), durable=durable), as_json)


@server.command()
@target_options
@json_option
@click.argument("words", nargs=-1, metavar="[NAME|MODULE:APP]", shell_complete=_complete_servers)
def stop(words: tuple[str, ...], as_json: bool) -> None:
    """Stop the server, also when it is used. Its data are kept."""
    from aioqueue import embedded

    name = _name(words)
    stopped = embedded.stop(name)
    if as_json:
        say_json({"name": name, "stopped": stopped})
    else:
        say(f"The server of {name!r} {'has been stopped; its data are kept' if stopped else 'was not running'}.")


@server.command()
@target_options
@json_option
@click.argument("words", nargs=-1, metavar="[NAME|MODULE:APP]", shell_complete=_complete_servers)
def status(words: tuple[str, ...], as_json: bool) -> None:
    """Show the server of one app, or list all of this user.

    Exit codes: 0 also where none runs; see "running" in the JSON.
    """
    from aioqueue import embedded

    if words or target().app_place is not None:
        _show_one(embedded.status(_name(words)), as_json)
        return
    _show_all(embedded.statuses(), as_json)


def _show_all(found: list[ServerStatus], as_json: bool) -> None:
    if as_json:
        say_json([_as_data(one) for one in found])
    elif found:
        table(
            ["server", "state", "pid", "users", "up", "size", "program", "data"],
            [
                [
                    bold(printable(one.name)),
                    _state(one),
                    str(one.pid or dim("-")),
                    str(one.users) if one.running and one.users is not None else dim("-"),
                    span_text(one.uptime) or dim("-"),
                    size_text(one.size),
                    f"{one.program} {one.version}".strip(),
                    str(one.data_dir or ""),
                ]
                for one in found
            ],
            right=(2, 3, 4, 5),
            whole=True,
        )
    else:
        note("No server has been used so far; one starts with the first app that names no broker.")


@server.command()
@target_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@click.argument("words", nargs=-1, metavar="[NAME|MODULE:APP]", shell_complete=_complete_servers)
def remove(words: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Drop what is left of a server that does not run: its data, with the tasks and results in them, and its log.

    Exit codes: 0 done; 1 it runs, or there is nothing of that name.
    """
    from aioqueue import embedded

    name = _name(words)
    one = embedded.status(name)
    if one.data_dir is None:
        known = [found.name for found in embedded.statuses()]
        raise AioQueueError(f"There is nothing of a server {name!r}.{suggest(name, known)} {_there(known)}")
    if not one.running:
        confirm(f"Drop the data of the server {name!r} in {one.data_dir}, with all tasks and results in them?", yes=yes)
    removed = embedded.remove(name)
    if as_json:
        say_json({"name": name, "removed": removed, "data_dir": os.fspath(one.data_dir)})
    else:
        say(f"The server of {name!r} {'has been removed' if removed else 'was not there any more'}.")


def _there(known: list[str]) -> str:
    return f"There are: {', '.join(known)}." if known else "There is none."


@server.command("list")
@target_options
@json_option
def list_servers(as_json: bool) -> None:
    """List all servers of this user, whether they run or have only left their data."""
    from aioqueue import embedded

    _show_all(embedded.statuses(), as_json)


def _name(words: tuple[str, ...]) -> str:
    """The server's name: as given, or that of the app's server."""
    about = target()
    rest = about.take(words)
    if len(rest) > 1:
        raise click.UsageError(f"It takes one name, not {len(rest)}: {' '.join(rest)}")
    if rest:
        return rest[0]
    if about.app_place is None:
        raise click.UsageError("Whose server? Give a name (`aioqueue server status` lists them), or the app.")
    from aioqueue.brokers.private import embedded_name, is_embedded

    app = about.app()
    url = app.conf.broker
    if not is_embedded(url):
        from aioqueue.url import masked

        raise AioQueueError(f"The app {app.name!r} has the broker {masked(url or '')}, not a server of its own.")
    return embedded_name(url) or app.name


def _state(one: ServerStatus) -> str:
    if not one.running:
        return dim("stopped")
    return click.style("running, kept" if one.kept else "running", fg="green")


def _show_one(one: ServerStatus, as_json: bool) -> None:
    if as_json:
        say_json(_as_data(one))
        return
    facts(
        [
            ("server", f"{bold(printable(one.name))}  {_state(one)}"),
            ("program", f"{one.program} {one.version}".strip()),
            ("pid", str(one.pid or "")),
            ("up", span_text(one.uptime)),
            ("users", str(one.users) if one.running and one.users is not None else ""),
            ("restarts", str(one.restarts) if one.restarts else ""),
            ("socket", os.fspath(one.socket) if one.running else ""),
            ("data", f"{one.data_dir}{'' if one.durable else '  (not written to disk)'}" if one.data_dir else ""),
            ("size", size_text(one.size) if one.data_dir else ""),
            ("log", os.fspath(one.log) if one.log is not None else ""),
        ]
    )
    if not one.running and one.data_dir is None:
        note("It has never been started.")


def _as_data(one: ServerStatus) -> dict[str, Any]:
    return {
        "name": one.name,
        "running": one.running,
        "kept": one.kept,
        "pid": one.pid,
        "users": one.users,
        "uptime": one.uptime,
        "program": one.program,
        "version": one.version,
        "durable": one.durable,
        "restarts": one.restarts,
        "socket": os.fspath(one.socket),
        "data_dir": None if one.data_dir is None else os.fspath(one.data_dir),
        "size": one.size,
        "log": None if one.log is None else os.fspath(one.log),
    }
