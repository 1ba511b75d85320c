"""Signals that ask a program to end: for programs of our own, and for those of others that have a worker in them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from enum import Enum
from time import monotonic
from types import FrameType

HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""The terminal was closed, or a service is to begin again. It may come more than once, so it never says that
somebody is in a hurry."""
QUIT: signal.Signals | None = getattr(signal, "SIGQUIT", None)
"""Leave now."""
SAME_SIGNAL = 0.1
"""Seconds in which a signal that comes again is the same one: a container's runtime and the shell inside may both pass
one on."""


class Wish(Enum):
    """What a signal asks for."""

    WARM = "stop when what runs has ended"
    COLD = "stop now"


class Wishes:
    """What signals that come one after the other ask for.

    The first one is a warm stop, and a second one, or SIGQUIT, a cold one. SIGHUP is only ever a warm one, and does not
    make the next one a second.

    Attributes:
        by: the last that has asked for something.
        heard: called whenever one has.
    """

    def __init__(self) -> None:
        self.heard: Callable[[], object] = lambda: None
        self.by: signal.Signals | None = None
        self._at = float("-inf")
        self._count = 0

    def of(self, number: signal.Signals) -> Wish | None:
        """What this one, which comes now, asks for; None: for nothing more than those before it."""
        wish = self._of(number)
        if wish is not None:
            self.heard()
        return wish

    def _of(self, number: signal.Signals) -> Wish | None:
        if number == HANGUP:
            if self.by is not None:
                return None
            self.by = number
            return Wish.WARM
        now = monotonic()
        if number != QUIT and now - self._at < SAME_SIGNAL:
            return None
        self.by, self._at, self._count = number, now, self._count + 1
        return Wish.WARM if self._count == 1 and number != QUIT else Wish.COLD


def stop_signals() -> list[signal.Signals]:
    """Those that end a program: SIGTERM, SIGINT, SIGQUIT, and SIGHUP unless it is ignored, as `nohup` has it."""
    found = [signal.SIGTERM, signal.SIGINT, *([QUIT] if QUIT is not None else [])]
    if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:
        found.append(HANGUP)
    return found


@contextmanager
def on_stop_signals(call: Callable[[signal.Signals], object]) -> Generator[None]:
    """Call it in the running event loop for each of them. In a thread other than the main one there are none."""
    loop = asyncio.get_running_loop()
    numbers = stop_signals() if _is_main_thread() else []
    for number in numbers:
        loop.add_signal_handler(number, call, number)
    if HANGUP is not None and HANGUP in numbers:  # whoever has begun this program again holds it back until it is heard
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {HANGUP})
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextmanager
def overheard(
    numbers: Iterable[signal.Signals], call: Callable[[signal.Signals], object], *, keep_loop: bool = False
) -> Generator[bool]:
    """Call it in the running event loop for each of these signals, beside what the program itself does on them.

    Args:
        numbers: which.
        call: what.
        keep_loop: the first of them raises no `KeyboardInterrupt`, as `asyncio.run` does on a second Ctrl-C: that would
            cancel everything in the loop, and so also what ends in good order.

    Yields:
        Whether any is heard: not in a thread other than the main one, nor what the program ignores or dies of.
    """
    loop = asyncio.get_running_loop()
    before: dict[int, Callable[[int, FrameType | None], object]] = {}

    heard: set[int] = set()

    def told(number: int, frame: FrameType | None) -> None:
        is_first = number not in heard
        heard.add(number)
        loop.call_soon_threadsafe(call, signal.Signals(number))
        try:
            before[number](number, frame)
        except KeyboardInterrupt:
            if not (keep_loop and is_first):
                raise

    for number in numbers if _is_main_thread() else ():
        theirs = signal.getsignal(number)
        if callable(theirs):
            before[number] = theirs
            signal.signal(number, told)
    try:
        yield bool(before)
    finally:
        for number, theirs in before.items():
            if signal.getsignal(number) is told:
                signal.signal(number, theirs)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def pass_on(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to another process, if it is still there."""
    # Not by its own `send_signal`, which takes the exit code of one that has just ended, and nobody is told of it.
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
