"""Counts the tasks that ran in this process, where the suite can read it: the same few instructions for every peer.

Each process writes to a file of its own in `$BENCHMARK_TALLY`, named by its pid: how many tasks have ended, when the
first and the last of them did, how many are running, and how many ran at once at most. Five 64-bit numbers in shared
memory: no system call, no round trip.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from pathlib import Path

SLOTS = 5
ENDED, FIRST, LAST, RUNNING, PEAK = range(SLOTS)

_lock = threading.Lock()
_numbers: memoryview | None = None


def _forget() -> None:
    global _numbers, _lock
    _numbers, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def _opened() -> memoryview:
    global _numbers
    with (Path(os.environ["BENCHMARK_TALLY"]) / str(os.getpid())).open("w+b") as file:
        file.truncate(8 * SLOTS)
        _numbers = memoryview(mmap.mmap(file.fileno(), 8 * SLOTS)).cast("Q")
    return _numbers


def ran() -> None:
    """A task has ended."""
    now = time.monotonic_ns()
    with _lock:
        numbers = _numbers or _opened()
        if not numbers[ENDED]:
            numbers[FIRST] = now
        numbers[LAST] = now
        numbers[ENDED] += 1


def starts() -> None:
    """A task that takes its time begins."""
    with _lock:
        numbers = _numbers or _opened()
        numbers[RUNNING] += 1
        numbers[PEAK] = max(numbers[PEAK], numbers[RUNNING])


def stops() -> None:
    """A task that took its time ends."""
    with _lock:
        (_numbers or _opened())[RUNNING] -= 1
    ran()
