"""The same command again in the same process: what SIGHUP means to a service.

Service managers have a signal for "read it all again" (`ExecReload=kill -HUP $MAINPID`). New code can only be had by an
interpreter that begins anew; the process id stays the same, so that nobody takes it for a crash.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import NoReturn

from aioqueue.cli.beginning import begin_again
from aioqueue.cli.pidfile import PidFile
from aioqueue.exiting import leave
from aioqueue.stop_signals import HANGUP, Wishes


class Restart:
    """Begins the command again when SIGHUP has stopped it. One that was started at a terminal only stops: there the
    signal says that the terminal was closed, and nobody wants it to go on unseen.

    Attributes:
        wishes: what the signals that came have asked for.
        pidfile: the file that the process is known by, if there is one.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._is_service = HANGUP is not None and not _has_terminal()
        self.wishes = Wishes()
        self.pidfile: PidFile | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether it is what the last signal asks for."""
        return self._is_service and self.wishes.by is not None and self.wishes.by == HANGUP

    def now(self) -> NoReturn:
        """Begin again, in this process: nothing of what it does goes on."""
        assert HANGUP is not None
        self._logger.info("It begins again, with the code and the settings of now, as process %d", os.getpid())
        # Another one would end it before it has begun to listen.
        signal.pthread_sigmask(signal.SIG_BLOCK, {HANGUP})
        if self.pidfile is not None:
            self.pidfile.stay()
        begin_again()

    def or_leave(self, code: int) -> NoReturn:
        """End this process now; it begins again if that is wanted."""
        self.now() if self.is_wanted else leave(code)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
