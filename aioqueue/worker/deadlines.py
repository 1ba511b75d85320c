"""Time limits: one timer for all runs, not one each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush

from aioqueue.logs import logger
from aioqueue.worker.run import GIVEN_UP, Run

Expire = Callable[[Run], None]

_SWEEP_FROM = 1000


class Deadlines:
    """Calls back when a run has lasted too long; runs that have left their slots by then are passed over."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, int, Run, Expire]] = []
        self._count = 0
        self._sweep_at = _SWEEP_FROM
        self._timer: asyncio.TimerHandle | None = None

    def add(self, seconds: float, run: Run, expire: Expire) -> None:
        """Call `expire(run)` in `seconds`, unless the run has left its slot by then."""
        self._count += 1
        if len(self._heap) >= self._sweep_at:  # runs that ended long before their limit are not kept until it
            self._heap = [entry for entry in self._heap if entry[2].phase < GIVEN_UP]
            heapify(self._heap)
            self._sweep_at = max(_SWEEP_FROM, 2 * len(self._heap))
            self._set_timer()
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
        while self._heap and (self._heap[0][0] <= now or self._heap[0][2].phase >= GIVEN_UP):
            _, _, run, expire = heappop(self._heap)
            if run.phase < GIVEN_UP:
                try:
                    expire(run)
                except Exception:  # the limits of the others are to be kept
                    logger.exception("The limit of task %s could not be kept", run.delivery.id)
        self._set_timer()
