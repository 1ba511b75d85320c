"""What a deputy does: it waits until its worker is silent, and renews for it as long as that works."""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from aioqueue.deputy import kernel

if TYPE_CHECKING:
    from logging import Logger

_SHORT = 5.0
"""Seconds of a lease that does not leave the time to import a broker when it is needed."""
_SAY_AFTER = 2.0
_STACK_WITHIN = 1.0
_A_MOMENT = 0.1


def main(descriptor: int, stacks: int, parent: int) -> None:
    """Serve a worker until it is gone.

    Args:
        descriptor: of the socket over which it speaks.
        stacks: of the pipe into which its threads write their stacks.
        parent: its process id.
    """
    # What stops a worker may be sent to all of its service, or container.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(stacks, False)
    with socket.socket(fileno=descriptor) as connection:
        _serve(connection, Duty(parent, stacks))


def _serve(connection: socket.socket, duty: Duty) -> None:
    rest = b""
    while True:
        if select.select([connection], [], [], duty.pause())[0]:
            try:
                data = connection.recv(65536)
            except OSError:
                return
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                duty.hear(json.loads(line) if line else None)
        # A process that was forked from the worker may hold the other end open.
        if os.getppid() != duty.parent:
            return
        duty.look()


class Duty:
    """Knows one lease, and when its worker was last heard of.

    Args:
        parent: the worker's process id.
        stacks: where its threads write their stacks.
    """

    def __init__(self, parent: int, stacks: int) -> None:
        self.parent = parent
        self._stacks = stacks
        self._lease: dict[str, Any] | None = None
        self._timeout = 0.0
        self._heard_at = self._look_at = monotonic()
        self._cpu: int | None = None
        self._renewal: Any = None
        self._logger: Logger | None = None
        self._is_told = self._has_failed = False

    def pause(self) -> float | None:
        """Seconds until it has to look; None while there is no lease."""
        return None if self._lease is None else max(0.0, self._look_at - monotonic())

    def hear(self, said: dict[str, Any] | None) -> None:
        """The worker has said something: None is that it turns, {} that it has no lease, all else what its lease is."""
        now = monotonic()
        if self._is_told:
            self._is_told = False
            self._log().info("Worker %s has its interpreter again, after %.1f s", self._name(), now - self._heard_at)
        self._heard_at, self._cpu, self._has_failed = now, None, False
        if said is not None:
            self._lease, self._renewal = said or None, None
            if self._lease is not None:
                self._timeout = self._lease["timeout"]
                self._look_at = now + self._timeout / 8
                if self._timeout <= _SHORT:
                    self._prepare()

    def look(self) -> None:
        """Look at the worker, if it is time, and renew if that has to be done for it."""
        now = monotonic()
        if self._lease is None or now < self._look_at:
            return
        self._look_at = now + self._timeout / 8
        silent = now - self._heard_at
        if silent < self._timeout / 4:
            return
        before, self._cpu = self._cpu, kernel.cpu_time(self.parent)
        works = before is not None and self._cpu is not None and self._cpu > before
        if not works:
            return
        try:
            if self._renewal is None:  # which takes a while, so that it is made before it is needed
                self._renewal = self._made()
            if silent < self._timeout * 3 / 8:
                return
            if not self._renewal.renew():
                self._log().warning("The lease of worker %s is lost, and its tasks are others'", self._name())
                self._lease = None
                return
        except Exception as error:
            if not self._has_failed and silent >= _SAY_AFTER:
                self._has_failed = True
                self._log().warning("The lease of worker %s could not be renewed, tried again: %s", self._name(), error)
            return
        limit = self._lease["limit"]
        if not self._is_told and (silent >= _SAY_AFTER or (limit is not None and silent >= limit)):
            self._is_told = True
            self._tell(silent)
        if limit is not None and silent >= limit:
            self._log().error(
                "Worker %s is killed, for its event loop has not turned for %.1f s, and loop_stall_limit=%g. What it "
                "ran is run again when its lease has ended",
                self._name(),
                silent,
                limit,
            )
            os.kill(self.parent, signal.SIGKILL)

    def _prepare(self) -> None:
        """Be connected when it is needed: there would be no time to import the broker's code then."""
        self._renewal = self._made()
        with suppress(Exception):  # it is tried again
            self._renewal.renew()

    def _made(self) -> Any:
        """What renews, as the broker has it."""
        assert self._lease is not None
        return _imported(self._lease["path"], self._lease["maker"])(**self._lease["about"])

    def _name(self) -> str:
        return self._lease["worker"] if self._lease is not None else "?"

    def _tell(self, silent: float) -> None:
        stack = self._stack()
        self._log().warning(
            "Worker %s has not had its interpreter for %.1f s: code in C holds it that does not release it, such as a "
            "regular expression. Its lease is renewed for it, and no task is run again; but none moves meanwhile, and "
            'no limit can end this one. Give it pool="process", where limits hold.%s',
            self._name(),
            silent,
            f" It is at:\n{stack}" if stack else "",
        )

    def _stack(self) -> str:
        """The stack of the thread that works; "" if it is none of Python's."""
        before = kernel.thread_times(self.parent)
        sleep(_A_MOMENT)
        after = kernel.thread_times(self.parent)
        grown = {thread: ticks - before[thread] for thread, ticks in after.items() if thread in before}
        busiest = max(grown, key=grown.__getitem__, default=None)
        # Asked there, and nowhere else: no other thread's frames can be read while they may change.
        if busiest is None or not grown[busiest] or not kernel.ask_for_stack(self.parent, busiest):
            return ""
        text, until = b"", monotonic() + _STACK_WITHIN
        while select.select([self._stacks], [], [], _A_MOMENT if text else max(0.0, until - monotonic()))[0]:
            data = os.read(self._stacks, 65536)
            if not data:
                break
            text += data
        return text.decode(errors="replace").rstrip()

    def _log(self) -> Logger:
        """Where its worker logs, in the same form."""
        if self._logger is None:
            import logging

            assert self._lease is not None
            _imported(self._lease["path"], self._lease["logging"][0])(*self._lease["logging"][1:])
            self._logger = logging.getLogger("aioqueue.worker")
        return self._logger


def _imported(path: list[str], place: str) -> Any:
    """What is at such a `module:name`."""
    sys.path[:] = path
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
