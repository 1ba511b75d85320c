"""What time it is. A process's wall clock decides nothing: somebody may set it at any moment.

`seconds` is for spans of time in this process, leases above all; `BrokerClock` knows from it what the broker's clock
says, which alone decides what is due, expired or dead.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial


def _that_goes_on() -> Callable[[], float]:
    # Each task reads it several times: no Python function stands in between.
    if hasattr(time, "CLOCK_BOOTTIME"):
        return partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return partial(time.clock_gettime, time.CLOCK_MONOTONIC)  # unlike time.monotonic(), which is another one there
    return time.monotonic


seconds: Callable[[], float] = _that_goes_on()
"""Seconds since some moment, those included in which the host was suspended: `time.monotonic` stands still then."""


class BrokerClock:
    """The broker's clock, as far as it is known here: what it said, and what has passed since.

    May be used from several threads: what they share is one number.
    """

    def __init__(self) -> None:
        self.shift: int = 0
        """ms that tests have moved it by; the broker itself knows nothing of it."""
        self._known = False
        self._ahead = 0.0
        """ms by which it is ahead of `seconds`."""

    def now(self) -> int:
        """ms since the epoch."""
        return int(seconds() * 1000 + self._ahead) + self.shift

    def learn(self, said: int, asked: float) -> None:
        """The broker has just said the time, in whole ms; it was asked at that moment, by `seconds`.

        It said so at some time in between. As long as that fits what is known already nothing changes: the clock does
        not tremble, and an answer that took long says little.
        """
        least, most = said - seconds() * 1000, said + 1 - asked * 1000
        known = self._ahead if self._known else (least + most) / 2
        self._ahead = min(max(known, least), most)
        self._known = True
