"""Commands in advice, so that they can be pasted as they stand: with the app, the namespace and the broker."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from aioqueue.url import masked

if TYPE_CHECKING:
    from aioqueue.core import Core

_NOWHERE = "MODULE:APP"
_USER = re.compile(r"(?<=//)[^/]*@")
_HIDDEN_OPTION = re.compile(r"([?&])[^?&=]*=\*\*\*(?:&|$)")


def command(app: Core, *words: str) -> str:
    """`aioqueue -A shop.tasks:app beat`: what is to be typed, in a shell's quotes where it needs them.

    Args:
        app: which the command is about.
        words: the command's own.
    """
    return command_line(app.reached_by or ("-A", _place_of(app)), words)


def command_line(options: Iterable[str], words: Iterable[str]) -> str:
    """The same, where the options that name the app are known."""
    return shlex.join(["aioqueue", *options, *words])


def without_password(url: str) -> str:
    """A broker's URL without what lets one in: who pastes it is told that this is missing, and not given it here."""
    return _HIDDEN_OPTION.sub(r"\1", _USER.sub("", masked(url), count=1)).rstrip("?&")


def _place_of(app: Core) -> str:
    """Where the app is to be imported from: the variable of a module that declares tasks of it, or includes them."""
    declared = [getattr(task.function, "__module__", None) for task in app.tasks.values()]
    for name in dict.fromkeys([*declared, *app.include, "__main__"]):
        module = sys.modules.get(name or "")
        for variable, value in list(vars(module).items()) if module is not None else ():
            if value is app:
                return f"{_importable(name)}:{variable}"
    return _NOWHERE


def _importable(name: str | None) -> str:
    if name != "__main__":
        return str(name)
    spec, file = sys.modules["__main__"].__spec__, getattr(sys.modules["__main__"], "__file__", None)
    return spec.name if spec is not None else Path(file).stem if file else "MODULE"
