"""Whether a worker is to stop: warm, when what runs has ended, or cold, now."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from weakref import WeakSet

from aioqueue.stop_signals import HANGUP, Wish, Wishes, on_stop_signals
from aioqueue.worker.life import Life


class Stopping:
    """What it was told.

    Attributes:
        warm: set when it is to fetch no more, and to end when what runs has ended.
        cold: set when it is to hand back what runs, too.
        wishes: what the signals that came have asked for.
        retire: called when the worker has reached a limit, by a process that has a successor begun, and is told to stop
            when that is ready; where there is none, the worker stops.
    """

    def __init__(self, life: Life) -> None:
        self.warm = asyncio.Event()
        self.cold = asyncio.Event()
        self.wishes = Wishes()
        self.retire: Callable[[], object] | None = None
        self._life = life
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hurried_by: signal.Signals | None = None

    @contextmanager
    def heard(self, *, by_signals: bool) -> Generator[None]:
        """It works in the running event loop, and is told there: from other threads too, and by signals if so asked."""
        self._loop = asyncio.get_running_loop()
        _working.add(self)
        try:
            with on_stop_signals(self._signalled) if by_signals else nullcontext():
                yield
        finally:
            _working.discard(self)

    def ask(self, *, now: bool = False) -> None:
        """It is to stop; with `now`, cold. Any thread may call it."""
        loop = self._loop
        if loop is None or loop.is_closed() or loop is asyncio._get_running_loop():
            self._set(now)
        else:
            loop.call_soon_threadsafe(self._set, now)

    def _signalled(self, number: signal.Signals) -> None:
        stops, before = self.warm.is_set(), self.wishes.by
        wish = None if stops and number == HANGUP else self.wishes.of(number)
        if wish is None:
            return
        if wish is Wish.COLD or (stops and before != HANGUP):
            self.hurry(number)
            return
        if stops:
            self._life.say(": %s, it stops, and does not begin again", number.name)
        self._life.stops(number, may_be_hurried=number == signal.SIGINT)
        self.ask()

    def hurry(self, number: signal.Signals) -> None:
        """A signal has asked it to stop cold. So do the others of this process, as soon as they are to stop: whoever is
        in a hurry has not one of them in mind."""
        for one in list(_working):
            one._hurried_by = number
            if one is self or one.warm.is_set():
                one._leave(number)

    def _leave(self, number: signal.Signals) -> None:
        if not self.cold.is_set():
            self._life.say(": %s, it leaves now and hands its tasks back", number.name, level=logging.WARNING)
            self.ask(now=True)

    def _set(self, now: bool) -> None:
        self.warm.set()
        if now:
            self.cold.set()
        elif self._hurried_by is not None:
            self._leave(self._hurried_by)


_working: WeakSet[Stopping] = WeakSet()
"""Those that are told here."""
