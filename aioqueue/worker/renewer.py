"""The thread that keeps a worker's lease alive.

In a thread of its own, with a connection of its own, so that a task that blocks the event loop is not taken for a dead
worker (D3); what blocks that thread as well, the deputy is for. The same thread watches the loop, see `blocking`. The
lease is counted by a clock that goes on while the host is suspended, as the broker's does; the loop by one that stands
still, as the loop does.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from aioqueue import clock
from aioqueue.brokers.protocol import Consumer
from aioqueue.deputy.appointing import Deputy
from aioqueue.logs import logger
from aioqueue.worker.blocking import LOOK_EVERY, LoopWatch

_END_WITHIN = 1.0


class Renewer:
    """Renews a lease four times in each visibility timeout, until closed.

    Args:
        consumer: whose lease it is.
        visibility_timeout: seconds.
        lost: called in the event loop when the lease turns out to be lost.
        resumed: called there when it stands again after it may have been lost.
        watch: looks at the loop meanwhile.
        deputy: renews when this thread cannot, if there is one.
        hostname: the worker's name.
    """

    def __init__(
        self,
        consumer: Consumer,
        visibility_timeout: float,
        lost: Callable[[], None],
        resumed: Callable[[], None],
        watch: LoopWatch,
        deputy: Deputy | None,
        hostname: str,
    ) -> None:
        self._consumer = consumer
        self._timeout = visibility_timeout
        self._lost = lost
        self._resumed = resumed
        self._renewed = clock.seconds()
        self._loop = asyncio.get_running_loop()
        self._watch = watch
        self._deputy = deputy
        self._hostname = hostname
        self._closed = threading.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=f"aioqueue-renewer-{consumer.id}", daemon=True)
        self.resumed_at = float("-inf")
        """When renewing succeeded again after it had failed for more than half of the timeout; by `clock.seconds`."""

    def start(self) -> None:
        """Start the thread; the lease has just been taken out."""
        self._renewed = clock.seconds()
        proxy = None if self._deputy is None else self._consumer.proxy()
        if self._deputy is None or proxy is None:
            self._deputy = None
        else:
            self._deputy.hold(self._hostname, self._timeout, proxy, self._watch.limit)
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
            if self._deputy is not None:
                self._deputy.release()
            self._call(self._ended.set)

    def _renew(self) -> None:
        due = clock.seconds() + self._timeout / 4
        while not self._closed.wait(max(0.01, min(LOOK_EVERY, due - clock.seconds()))):
            self._look()
            if self._deputy is not None:
                self._deputy.beat()
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

    def _look(self) -> None:
        try:
            self._watch.look()
        except RuntimeError:  # the loop is closed
            self._closed.set()

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed
            self._closed.set()
