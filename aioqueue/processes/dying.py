"""A child dies with its worker, however that dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it is gone; where it can, which is on Linux.

    It is not enough alone: there is a moment before this call, and other systems. The end of the connection is seen in
    any case, but only where the interpreter lets a thread run.
    """
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        except (OSError, AttributeError):  # no such C library
            pass


def die() -> NoReturn:
    """End this process now, with all that it has started in its group."""
    try:
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(1)
