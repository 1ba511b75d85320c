"""Waiting for a while: whose time it was that ran out, and whether anything can come at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from aioqueue.brokers.protocol import Broker, Watch
from aioqueue.exceptions import AioQueueError
from aioqueue.kinds import TIMEOUT, Seconds
from aioqueue.unconsumed import tell_if_nobody_consumes

T = TypeVar("T")

# After so many seconds without a word it is asked for the first time whether there can be one, and seldom after that.
A_MOMENT = 0.25
_LONGEST = 30.0
# And from this pause on, whether anybody takes it at all: a worker may be starting just now.
_A_WHILE = 4 * A_MOMENT
# For how long others need not ask when something went on.
_GOES_ON_FOR = 1.0
# An end is told in the step that makes it, but the word may still be on its way.
_ON_ITS_WAY = 0.1


class OutOfTime(Exception):
    """The time that was given for waiting is over."""


async def within(seconds: float | None, work: Awaitable[T]) -> T:
    """What it gives, or raises: a `TimeoutError` of its own, such as one that a task has failed with, comes as it is.

    Args:
        seconds: for how long to wait; None is for as long as it takes.
        work: is cancelled when they are over.

    Raises:
        OutOfTime: they are over.
    """
    if seconds is None:
        return await work
    task = asyncio.current_task()
    assert task is not None
    cancelled_before, is_late = task.cancelling(), False

    def cut() -> None:
        nonlocal is_late
        is_late = True
        task.cancel()

    # What asyncio.timeout does, in a third of its time: whoever waits for a result needs it twice.
    timer = asyncio.get_running_loop().call_later(seconds, cut)
    try:
        return await work
    except asyncio.CancelledError:
        if is_late and task.uncancel() <= cancelled_before:
            raise OutOfTime from None
        raise
    except BaseException:
        if is_late:
            task.uncancel()
        raise
    finally:
        timer.cancel()


class Allowance:
    """Time that several waits share.

    Args:
        seconds: all of it; None is for as long as it takes.
        over: makes the error of a wait that the time does not suffice for, from the seconds.
    """

    def __init__(self, seconds: Seconds | None, over: Callable[[float], Exception]) -> None:
        self._seconds: float | None = TIMEOUT.of("The timeout of watch()", seconds)
        self._over = over
        self._until = None if self._seconds is None else asyncio.get_running_loop().time() + self._seconds

    async def to(self, work: Awaitable[T]) -> T:
        """What it gives, if it does within the time that is left."""
        if self._until is None or self._seconds is None:
            return await work
        left = self._until - asyncio.get_running_loop().time()
        try:
            return await within(max(0.0, left), work)
        except OutOfTime:
            if asyncio.get_running_loop().time() < self._until:
                raise  # of the work's own
            raise self._over(self._seconds) from None


async def news(broker: Broker, id: str, watch: Watch, queue: str = "") -> bytes | None:
    """The next record of a task of which none is known so far; None when there is none and nothing is left that could
    write one: no task waits, runs, or waits for its time.

    Args:
        queue: to which it was sent, where that is known: that nobody consumes it is told before long.
    """
    pause = A_MOMENT
    while True:
        try:
            return await within(pause, watch.next())
        except OutOfTime:
            pause = min(_LONGEST, 2 * pause)
        if queue and pause >= _A_WHILE:
            await tell_if_nobody_consumes(broker, queue, id)
            queue = ""
        if await nothing_goes_on(broker, id, known_for=_GOES_ON_FOR):
            try:
                return await within(_ON_ITS_WAY, watch.next())
            except OutOfTime:
                return None


async def nothing_goes_on(broker: Broker, id: str, *, known_for: float = 0.0) -> bool:
    """Whether a task has no record, and nothing is left that could write one.

    Args:
        known_for: that something goes on may have been seen so many seconds ago.
    """
    looks = _looks.setdefault(asyncio.get_running_loop(), WeakKeyDictionary())
    look = looks.setdefault(broker, _Look())
    try:
        return await look.is_idle(broker, known_for) and await broker.records([id]) == [None]
    except AioQueueError:  # it is away, and whoever waits for it waits for this too
        return False


class _Look:
    """Whether anything goes on: asked once for all who wait, however many they are."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._idle = False
        self._at = float("-inf")

    async def is_idle(self, broker: Broker, known_for: float) -> bool:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with self._lock:
            # An old no will do for a while; a yes has to be younger than the question.
            if self._at < (asked if self._idle else asked - known_for):
                self._idle = await broker.idle()
                self._at = loop.time()
            return self._idle


_looks: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[Broker, _Look]] = WeakKeyDictionary()
