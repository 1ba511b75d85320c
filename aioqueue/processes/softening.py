"""The soft limit in a child: a signal, whose handler raises inside the function, also where that waits in C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

from aioqueue.exceptions import SoftTimeLimitExceeded

_SIGNAL: Final = signal.SIGUSR1


class Softening:
    """Raises `SoftTimeLimitExceeded` in the main thread, in the function of the call that it is meant for and nowhere
    else. It is made in the main thread."""

    def __init__(self) -> None:
        self._main = threading.get_ident()
        self._call = 0  # in hand
        self._meant = 0
        self._text = ""
        self._inside = False
        self._shielded = 0
        self._due = False
        signal.signal(_SIGNAL, self._raise)

    def soften(self, number: int) -> None:
        """The soft limit of that call is over; from any thread."""
        self._meant = number
        signal.pthread_kill(self._main, _SIGNAL)

    def begin(self, number: int, soft: float | None) -> None:
        """That call is in hand."""
        self._due = False
        self._text = f"soft_time_limit={soft or 0:g} s"
        self._call = number

    def end(self) -> None:
        """None is."""
        self._call = 0

    def call(self, function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        """What the function of the call in hand gives, or raises."""
        try:
            try:
                self._inside = True
                if self._due:
                    self._raise_now()
                return function(), None
            finally:
                self._inside = False
        except BaseException as error:
            return None, error

    @contextmanager
    def shield(self) -> Generator[None]:
        """What is done here is not cut in its middle: the error comes after it."""
        if threading.get_ident() != self._main:
            yield
            return
        self._shielded += 1
        try:
            yield
        finally:
            self._shielded -= 1
            if self._due and self._inside and not self._shielded:
                self._raise_now()

    def _raise(self, *_: object) -> None:
        if self._meant != self._call:  # it has ended in the meantime
            return
        if self._inside and not self._shielded:
            self._raise_now()
        self._due = True

    def _raise_now(self) -> None:
        self._inside = self._due = False
        raise SoftTimeLimitExceeded(self._text)
