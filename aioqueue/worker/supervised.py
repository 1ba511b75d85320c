"""What a supervisor and each of its processes know of each other: by exit codes, and over the standard input of the
process, a socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

READY: Final = b"r"
"""It works."""
FULL: Final = b"f"
"""It has reached a limit, and waits for its successor."""
MISUSE: Final = 2
"""The exit code of one that cannot be started as it is told to: no other one could."""
LEFT: Final = 3
"""The exit code of a burst that has left something."""


class Child:
    """One of the processes. Its standard input is a socket, over which it says how it is (`say_to_parent`).

    Args:
        works: called when it does.

    Attributes:
        process: it.
        started: when, in the loop's time.
        is_ready: it works.
        is_full: it has reached a limit, and waits for its successor.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, connection: socket.socket, works: Callable[[], None]
    ) -> None:
        self.process = process
        self.started = asyncio.get_running_loop().time()
        self.is_ready = asyncio.Event()
        self.is_full = asyncio.Event()
        connection.setblocking(False)
        self._connection = connection
        self._works = works
        asyncio.get_running_loop().add_reader(connection, self._hear)

    def close(self) -> None:
        """It has ended."""
        asyncio.get_running_loop().remove_reader(self._connection)
        self._connection.close()

    def _hear(self) -> None:
        try:
            said = self._connection.recv(64)
        except OSError:
            said = b""
        if not said:
            asyncio.get_running_loop().remove_reader(self._connection)
        if READY in said:
            self.is_ready.set()
            self._works()
        if FULL in said:
            self.is_full.set()


def say_to_parent(word: bytes) -> None:
    """Say `READY` or `FULL` to the supervisor of this process."""
    with suppress(OSError):
        os.write(0, word)


def stop_with_parent() -> None:
    """Send SIGTERM to this process when its standard input ends, which its supervisor holds the other side of."""

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock the interpreter wants when it ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="aioqueue-parent", daemon=True).start()
