"""What the kernel knows of a process, on Linux."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

STACK_SIGNAL = getattr(signal, "SIGRTMAX", signal.SIGTERM) - 3
"""With it a thread is asked for its stack: one of those that nobody else uses."""

_STOPPED = frozenset("TtZXx")


def cpu_time(pid: int) -> int | None:
    """The CPU time that a process has used, in ticks; None if it is stopped or dead."""
    state, ticks = _stat(f"/proc/{pid}/stat")
    return None if state in _STOPPED else ticks


def thread_times(pid: int) -> dict[int, int]:
    """The CPU time that each of its threads has used, in ticks."""
    return {thread: _stat(f"/proc/{pid}/task/{thread}/stat")[1] for thread in _threads(pid)}


def ask_for_stack(pid: int, thread: int) -> bool:
    """Send `STACK_SIGNAL` to one of its threads. Returns whether that could be done."""
    import ctypes  # a megabyte

    try:
        return ctypes.CDLL(None).tgkill(pid, thread, STACK_SIGNAL) == 0
    except (OSError, AttributeError):  # a C library without it
        return False


def _threads(pid: int) -> Iterator[int]:
    try:
        yield from map(int, os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208, as below
    except OSError:
        return


def _stat(path: str) -> tuple[str, int]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123, pathlib takes a megabyte
            fields = file.read().rpartition(")")[2].split()  # the name before it may have anything in it
    except OSError:
        return "X", 0
    return fields[0], int(fields[11]) + int(fields[12])
