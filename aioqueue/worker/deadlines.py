"""Time limits: one timer for all runs, not one each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush

from aioqueue.worker.run import Run

Expire = Callable[[Run], None]


class Deadlines:
    """Calls back when a run has lasted too long; runs that are done by then are passed over."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, int, Run, Expire]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, seconds: float, run: Run, expire: Expire) -> None:
        """Call `expire(run)` in `seconds`, unless the run is done by then."""
        self._count += 1
        heappush(self._heap, (self._loop.time() + seconds, self._count, run, expire))
        if self._heap[0][1] == self._count:
            self._set_timer()

    def close(self) -> None:
        """Call nobody any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._heap[0][0], self._expire) if self._heap else None

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._heap and (self._heap[0][0] <= now or self._heap[0][2].done):
            _, _, run, expire = heappop(self._heap)
            if not run.done:
                expire(run)
        self._set_timer()
