"""Which workers of a private server have ended with their process, known at once and not by their silence.

Each holds a lock on a file of its own. All are on the server's machine, so the kernel frees the lock when the process
is gone, however it went, and never before: whoever finds the lock free knows that this worker does nothing more (D3).
One that is frozen holds it. Where a file is missing nothing is known, and the worker's lease decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .folders import make_private
from .locks import Deadline, is_held, release, take

_NOT_YET = "."


class WorkerLocks:
    """The locks of the workers of one namespace.

    Args:
        folder: where the files are, each under its worker's id; it lasts as long as the server's data.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def hold(self, worker: str) -> None:
        """Say that a worker of this process lives, until the process ends or `end` is called."""
        if worker in self._held:
            return
        make_private(self._folder)
        # Under the name that others look for it is locked from the first moment on.
        new = self._folder / f"{_NOT_YET}{worker}"
        lock = take(new, exclusive=True, deadline=Deadline(1.0))
        if lock is not None:
            self._held[worker] = lock
            new.rename(self._folder / worker)

    def end(self, worker: str) -> None:
        """Say that it does nothing more."""
        if (lock := self._held.pop(worker, None)) is not None:
            release(lock)

    def gone(self) -> list[str]:
        """The workers that do nothing more, and have not been forgotten."""
        try:
            names = [file.name for file in self._folder.iterdir() if not file.name.startswith(_NOT_YET)]
        except FileNotFoundError:
            return []
        return [name for name in names if name not in self._held and not is_held(self._folder / name)]

    def forget(self, workers: Iterable[str]) -> None:
        """Their ends are written down elsewhere."""
        for worker in workers:
            (self._folder / worker).unlink(missing_ok=True)
