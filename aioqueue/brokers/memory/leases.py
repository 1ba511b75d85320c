"""Which workers are alive: each holds a lease, and who lets it end may be declared fallen by another."""

from __future__ import annotations

import threading

import msgspec

from aioqueue.brokers.protocol import WorkerStatus


class Lease(msgspec.Struct, eq=False):
    """A worker's lease, and when it ends by the broker's clock."""

    worker: WorkerStatus
    until: int


class Leases:
    """The leases of all workers.

    They are extended from threads. The lock makes "extend, unless it was ended" and "end, unless it was extended" two
    steps that cannot mix: a worker that is told `True` has not been declared fallen.
    """

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self._lock = threading.Lock()

    def __contains__(self, worker: str) -> bool:
        return worker in self._leases

    def start(self, worker: WorkerStatus, until: int) -> None:
        """Give a worker its lease."""
        with self._lock:
            self._leases[worker.id] = Lease(worker, until)

    def extend(self, worker: str, until: int) -> bool:
        """Move a lease's end, also when it has passed; False if the lease was ended."""
        with self._lock:
            lease = self._leases.get(worker)
            if lease is None:
                return False
            lease.until = until
            return True

    def end(self, worker: str) -> None:
        """End a lease, for the worker that leaves."""
        with self._lock:
            self._leases.pop(worker, None)

    def clear(self) -> None:
        """End all leases."""
        with self._lock:
            self._leases.clear()

    def end_silent(self, now: int, *, by: str) -> list[WorkerStatus]:
        """End the leases that nobody extended in time. A worker never does so to itself."""
        with self._lock:
            silent = [lease.worker for id, lease in self._leases.items() if lease.until <= now and id != by]
            for worker in silent:
                del self._leases[worker.id]
        return silent

    def queues(self) -> set[str]:
        """What the workers consume that have a lease."""
        with self._lock:
            return {queue for lease in self._leases.values() for queue in lease.worker.queues}

    def end_of(self, worker: str) -> int:
        """When a worker's lease ends; 0 if it has none."""
        with self._lock:
            lease = self._leases.get(worker)
        return 0 if lease is None else lease.until

    def postpone(self, milliseconds: int) -> None:
        """Move all ends."""
        with self._lock:
            for lease in self._leases.values():
                lease.until += milliseconds

    def first_end(self, *, but: str) -> int | None:
        """When the first lease of the others ends, if it is not extended."""
        with self._lock:
            return min((lease.until for id, lease in self._leases.items() if id != but), default=None)

    def alive(self, now: int) -> list[WorkerStatus]:
        """The workers whose lease has not ended, with what is left of it."""
        with self._lock:
            return [
                msgspec.structs.replace(lease.worker, lease=lease.until - now)
                for lease in self._leases.values()
                if lease.until > now
            ]
