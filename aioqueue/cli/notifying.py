"""Telling the service manager how this process is: systemd's `sd_notify`, a datagram to `$NOTIFY_SOCKET`."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from aioqueue.cli.restarting import Restart

_logger = logging.getLogger("aioqueue.worker")

_EVERY = 10.0
"""Seconds between two words of how it is."""
_PATIENCE = 3 * _EVERY
"""Seconds for which a start may go on after such a word."""


class ServiceManager:
    """What has started this process, if it wants to be told. Else all of it does nothing.

    Args:
        restart: whether a stop is one of a process that begins again.
        status: how it is, in a line.
    """

    def __init__(self, restart: Restart, status: Callable[[], str]) -> None:
        self._restart = restart
        self._status = status
        self._is_ready = False
        # What is started here does not speak for it.
        address = os.environ.pop("NOTIFY_SOCKET", "")
        watchdog, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        is_watched = watchdog.isdigit() and int(watchdog) > 0 and pid in ("", str(os.getpid()))
        self._watchdog = int(watchdog) / 1e6 if is_watched else None

    @asynccontextmanager
    async def told(self) -> AsyncGenerator[None]:
        """Tell it while the event loop turns, and of the stop."""
        if not self._address:
            yield
            return
        telling = asyncio.create_task(self._tell(), name="aioqueue service manager")
        try:
            yield
        finally:
            telling.cancel()
            self._say("RELOADING=1", _now()) if self._restart.is_wanted else self._say("STOPPING=1")

    def ready(self) -> None:
        """It has begun to work."""
        self._is_ready = True
        self._say("READY=1", f"STATUS={self._status()}")

    def stops(self) -> None:
        """A signal has told it to: the way to its end has begun."""
        what = ("RELOADING=1", _now()) if self._restart.is_wanted else ("STOPPING=1",)
        self._say(*what, f"STATUS={self._status()}")

    async def _tell(self) -> None:
        every = min(_EVERY, self._watchdog / 2) if self._watchdog else _EVERY
        while True:
            if not self._is_ready:  # it waits for its broker, and is no failure
                self._say(f"EXTEND_TIMEOUT_USEC={round(_PATIENCE * 1e6)}", f"STATUS={self._status()}")
            else:
                self._say(*(["WATCHDOG=1"] if self._watchdog else []), f"STATUS={self._status()}")
            await asyncio.sleep(every)

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
                ours.setblocking(False)
                ours.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            _logger.debug("The service manager could not be told: %s", error)


def _now() -> str:
    return f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
