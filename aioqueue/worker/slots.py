"""Who runs, who is next, and how many may: at most so many at once, higher priorities first (or all in order)."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Collection

from aioqueue.brokers.protocol import Delivery
from aioqueue.worker.run import GIVEN_UP, OVER, Run

_PRIORITIES = 10


class Slots:
    """The slots of a worker, and the runs in its hands.

    Args:
        start: starts one, as its turn has come.

    Attributes:
        running: those that have started, and not ended.
        stuck: those that were given up, and still have not ended.
        waiting: how many are ready.
        started_count, ended_count: how many have.
        unsettled: deliveries in hand: ready, running, or ended and not settled yet.
        accepting: whether anything is to be started.
        may_start: whether what is held may be started now: not while the lease may have ended, for then others may
            have it (D3).
        changed: set when there is more room.
        moving: held while a run is taken out of what is ready, or put there: a thread takes it to look.
        starting: what has been taken out, and is not among `running` yet.
    """

    def __init__(self, concurrency: int, start: Callable[[Run], None]) -> None:
        self._concurrency = concurrency
        self._start = start
        self._lanes = _PRIORITIES
        self._ready: tuple[deque[Run], ...] = tuple(deque[Run]() for _ in range(_PRIORITIES))
        self._highest = 0  # no task of a higher priority is ready
        self._starting = False
        self.waiting: int = 0
        self.running: set[Run] = set()
        self.stuck: set[Run] = set()
        self.started_count: int = 0
        self.ended_count: int = 0
        self.unsettled: int = 0
        self.changed = asyncio.Event()
        self.moving = threading.Lock()
        self.starting: Run | None = None
        self.accepting = True
        self.may_start: Callable[[], bool] = lambda: True

    def keep_order(self) -> None:
        """All that is put from now on is next in the order in which it is put, whatever its priority."""
        self._lanes = 1

    def put(self, run: Run) -> None:
        """It is ready."""
        self.unsettled += 1
        self.waiting += 1
        priority = run.message.priority
        if priority:
            priority = priority if 0 <= priority < self._lanes else 0
            if priority > self._highest:
                self._highest = priority
        self._ready[priority].append(run)

    def start_ready(self) -> None:
        """Start as many as there are slots for.

        Those that end within their start make room at once. The event loop has its turn all the same when as many as
        there are slots have been started.
        """
        if self._starting:  # one that ends within its start; this loop goes on then
            return
        self._starting = True
        try:
            running, ready, most = self.running, self._ready, self._concurrency
            turn = most
            while self.waiting and len(running) < most and self.accepting and self.may_start():
                if not turn:
                    asyncio.get_running_loop().call_soon(self.start_ready)
                    return
                turn -= 1
                with self.moving:
                    while not (next := ready[self._highest]):
                        if not self._highest:  # it was taken out by `take_ready`
                            return
                        self._highest -= 1
                    self.waiting -= 1
                    run = self.starting = next.popleft()
                self._start(run)
        finally:
            self._starting, self.starting = False, None

    def ready_runs(self) -> list[Run]:
        """Those that have not started."""
        return [run for queue in self._ready for run in tuple(queue)]

    def ready(self) -> list[Delivery]:
        """The deliveries that have not started."""
        return [run.delivery for run in self.ready_runs()]

    def drop_ready(self) -> int:
        """Forget what has not started; the caller hands it back."""
        dropped = self.take_ready()
        self.taken(dropped)
        return dropped

    def drop_ready_of(self, queues: Collection[str]) -> list[Delivery]:
        """The same with what came from these queues; returns what it was."""
        found: list[Delivery] = []
        with self.moving:
            for lane in self._ready:
                found += [run.delivery for run in lane if run.delivery.queue in queues]
                left = [run for run in lane if run.delivery.queue not in queues]
                lane.clear()
                lane.extend(left)
        self.taken(len(found))
        return found

    def take_ready(self, patience: float = -1) -> int:
        """Take out what has not started; any thread may, and has to tell the loop of it by `taken`. Returns how many.

        Args:
            patience: for so many seconds it may wait for what moves runs; by default for as long as that takes.

        Raises:
            TimeoutError: that took longer.
        """
        if not self.moving.acquire(timeout=patience):
            raise TimeoutError("the loop stands still while it looks at what it has fetched")
        try:
            count = sum(map(len, self._ready))
            for queue in self._ready:
                queue.clear()
            return count
        finally:
            self.moving.release()

    def taken(self, count: int) -> None:
        """So many were taken out."""
        self.waiting -= count
        self.unsettled -= count
        self.changed.set()

    def give_up(self, run: Run) -> None:
        """Its slot is free, though it goes on."""
        run.phase = GIVEN_UP
        self.stuck.add(run)
        self.running.discard(run)
        self.ended_count += 1

    def forget(self, run: Run) -> None:
        """It was given up, and has ended after all."""
        run.phase = OVER
        self.stuck.discard(run)
        self.changed.set()  # its queue may have had no room

    async def until_settled(self) -> None:
        """Wait until nothing is in hand."""
        while self.unsettled:
            self.changed.clear()
            await self.changed.wait()
