"""How this process was begun, and how it begins again."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import NamedTuple, NoReturn

from aioqueue.exiting import flush


class _Beginning(NamedTuple):
    folder: Path | None
    environment: dict[str, str]


_beginning: list[_Beginning] = []


def remember_beginning() -> None:
    """Keep the folder and the environment, before anything changes them."""
    try:
        folder = Path.cwd()
    except OSError:  # it was removed
        folder = None
    _beginning[:] = [_Beginning(folder, dict(os.environ))]


def begin_again() -> NoReturn:
    """Begin anew with the same words, as the same process: nothing of what it does goes on."""
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    flush()
    [beginning] = _beginning
    if beginning.folder is not None:
        os.chdir(beginning.folder)
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], beginning.environment)
