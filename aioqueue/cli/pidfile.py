"""`--pidfile`: where a service's process id is to be found, and no second one is started."""

from __future__ import annotations

import atexit
import logging
import os
from contextlib import suppress
from pathlib import Path

import click

_logger = logging.getLogger("aioqueue.worker")


class PidFile:
    """A file with the process id of this process, which nobody else takes while it lives: it is locked, and the lock
    goes with the process, however that ends. A file that was left behind is taken over.

    Args:
        path: where.

    Raises:
        ClickException: another process has it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        try:
            self._file = self._locked()
            found = os.read(self._file, 100).decode(errors="replace").strip()
            if found and found != str(os.getpid()):
                _logger.info("The pid file %s was left behind by process %s, which is gone", path, found)
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise click.ClickException(f"The pid file {path} cannot be written: {error.strerror}.") from error
        atexit.register(self.remove)

    def remove(self) -> None:
        """It is not needed any more."""
        atexit.unregister(self.remove)
        with suppress(OSError):
            self._path.unlink()
        os.close(self._file)

    def stay(self) -> None:
        """Leave it there: this process begins again, and takes it over."""
        atexit.unregister(self.remove)

    def _locked(self) -> int:
        try:
            from fcntl import LOCK_EX, LOCK_NB, flock
        except ImportError:
            raise click.UsageError("--pidfile is for systems with file locks, which Windows has none of.") from None
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                flock(file, LOCK_EX | LOCK_NB)
                if os.path.samestat(os.fstat(file), self._path.stat()):
                    return file
            except BlockingIOError:
                pid = os.read(file, 100).decode(errors="replace").strip() or "of an unknown id"
                os.close(file)
                raise click.ClickException(
                    f"The pid file {self._path} is that of process {pid}, which is alive. Nothing was started: stop "
                    "that one first, or give this one another file."
                ) from None
            except FileNotFoundError:  # whoever had it has just removed it
                pass
            os.close(file)


pidfile_option = click.option(
    "--pidfile",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the process id there; not if another live one has it.",
)
