"""The thread that keeps a worker's lease alive.

In a thread of its own, with a connection of its own, so that a task that blocks the event loop is not taken for a dead
worker (D3). The same thread watches the loop, and says which task it is that blocks it. The lease is counted by a clock
that goes on while the host is suspended, as the broker's does; the loop by one that stands still, as the loop does.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from aioqueue import clock
from aioqueue.brokers.protocol import Consumer
from aioqueue.logs import logger

_LOOK_EVERY = 1.0
_BLOCKED_AFTER = 2.0
_END_WITHIN = 1.0


class Renewer:
    """Renews a lease four times in each visibility timeout, until closed.

    Args:
        consumer: whose lease it is.
        visibility_timeout: seconds.
        lost: called in the event loop when the lease turns out to be lost.
        resumed: called there when it stands again after it may have been lost.
    """

    def __init__(
        self, consumer: Consumer, visibility_timeout: float, lost: Callable[[], None], resumed: Callable[[], None]
    ) -> None:
        self._consumer = consumer
        self._timeout = visibility_timeout
        self._lost = lost
        self._resumed = resumed
        self._renewed = clock.seconds()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._closed = threading.Event()
        self._ended = asyncio.Event()
        self._turned = monotonic()
        self._warned = False
        self._thread = threading.Thread(target=self._run, name=f"aioqueue-renewer-{consumer.id}", daemon=True)
        self.resumed_at = float("-inf")
        """When renewing succeeded again after it had failed for more than half of the timeout; by `clock.seconds`."""

    def start(self) -> None:
        """Start the thread; the lease has just been taken out."""
        self._renewed = clock.seconds()
        self._thread.start()

    def stands(self) -> bool:
        """Whether the lease cannot have ended: nobody else has been given our tasks."""
        return clock.seconds() - self._renewed < self._timeout

    async def close(self) -> None:
        """Stop the thread."""
        self._closed.set()
        if self._thread.is_alive():
            # It says so itself: an executor's thread to wait for it is what stuck tasks may have taken.
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_WITHIN):
                    await self._ended.wait()

    def _run(self) -> None:
        try:
            self._renew()
        finally:
            self._call(self._ended.set)

    def _renew(self) -> None:
        due = clock.seconds() + self._timeout / 4
        while not self._closed.wait(max(0.01, min(_LOOK_EVERY, due - clock.seconds()))):
            self._watch_loop()
            now = clock.seconds()
            if now < due:
                continue
            try:
                kept = self._consumer.renew()
            except Exception as error:
                logger.warning("The lease could not be renewed, tried again: %s", error)
                due = clock.seconds() + min(1.0, self._timeout / 16)
                continue
            if not kept:
                self._call(self._lost)
                return
            stood = self.stands()
            if clock.seconds() - self._renewed > self._timeout / 2:
                self.resumed_at = clock.seconds()
            self._renewed = now  # from when it was asked for: the broker counts from later on
            if not stood:
                self._call(self._resumed)
            due = now + self._timeout / 4

    def _watch_loop(self) -> None:
        blocked = monotonic() - self._turned
        if blocked > _BLOCKED_AFTER and not self._warned:
            self._warned = True
            frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]
            frame = frames.get(self._loop_thread)
            stack = "".join(traceback.format_stack(frame)[-8:]) if frame is not None else ""
            logger.warning(
                "The event loop has not turned for %.1f s: something blocks it. Its tasks are kept alive, but none of "
                "them moves. Move the blocking call into a plain function, which runs in a thread. It is at:\n%s",
                blocked,
                stack,
            )
        self._call(self._turn)

    def _turn(self) -> None:
        self._turned = monotonic()
        self._warned = False

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed
            self._closed.set()
