"""Ending a process without what the interpreter does at its end."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End this process, now, with what it has written."""
    flush()
    os._exit(code)


def flush() -> None:
    """Write what is to be written, as far as that can be."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
