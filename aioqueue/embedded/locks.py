"""Locks between processes, by flock: the kernel frees them when their holder ends, however it ends.

A lock belongs to an open file, which a forked child would hold too, and keep held after its parent died. So a child
of `os.fork` closes its copies at once: a share is never inherited, a child that needs one acquires it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

_guard = threading.Lock()
_held: set[int] = set()


class Deadline:
    """A moment in time, `seconds` from now, to be shared by all steps of one wait."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._naps = 0

    @property
    def left(self) -> float:
        """Seconds; 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    def nap(self) -> bool:
        """Sleeps for a few milliseconds, at first 2, then up to 40. False when the time is over."""
        self._naps += 1
        time.sleep(min(0.002 * self._naps, 0.04, self.left))
        return self.left > 0


def take(path: Path, *, exclusive: bool, deadline: Deadline) -> int | None:
    """An open file that holds the lock, to be given to `release`; None if it was not to be had in time."""
    while True:
        file = _open(path)
        try:
            # A cleaner of temporary folders may have removed the file meanwhile: then the lock is worth nothing.
            if _try(file, exclusive) and is_at(file, path):
                return file
        except BaseException:
            release(file)
            raise
        release(file)
        if not deadline.nap():
            return None


def release(file: int) -> None:
    """Closes the file, and so frees the lock."""
    with _guard:
        if file in _held:
            _held.discard(file)
            os.close(file)


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock exclusively.

    Looking means to hold it for a moment: those who want it exclusively have to try more than once.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        return not _try(file, exclusive=False)
    finally:
        os.close(file)


def is_at(file: int, path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    with _guard:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        _held.add(file)
    return file


def _try(file: int, exclusive: bool) -> bool:
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _forget_in_child() -> None:
    for file in _held:
        os.close(file)
    _held.clear()
    _guard.release()


# Held across the fork, so that no file is open and not yet (or no longer) in the set.
os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_forget_in_child)
