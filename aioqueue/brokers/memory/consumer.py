"""What a worker has of the memory broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from time import monotonic

from aioqueue.brokers.memory.inbox import Inbox
from aioqueue.brokers.memory.store import Store
from aioqueue.brokers.protocol import (
    Answer,
    Connected,
    Delivery,
    Left,
    Notice,
    Portion,
    Settlement,
    Verdict,
    WorkerStatus,
)
from aioqueue.exceptions import LeaseLost
from aioqueue.workflow import NoValue, Value, is_place


class MemoryConsumer:
    """One incarnation of a worker. All of it belongs to one event loop, except `renew`."""

    def __init__(
        self, store: Store, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int
    ) -> None:
        self._store = store
        self._worker = worker
        self._lease = round(visibility_timeout * 1000)
        self._dead_letters_max_length = dead_letters_max_length
        self._joined = False
        self._listeners: list[Inbox[Notice]] = []

    @property
    def id(self) -> str:
        """The id of its incarnation."""
        return self._worker.id

    async def join(self) -> None:
        """Take out the lease.

        Raises:
            LeaseLost: this incarnation had one and lost it; a new one is needed.
        """
        if self._joined:
            self._require_lease()
        self._joined = True
        self._store.use(self._worker.queues)
        self._store.leases.start(self._worker, self._lease_end())

    async def fetch(
        self, limit: int, *, wait: float, portions: Sequence[Portion] = (), but: Collection[str] = ()
    ) -> list[Delivery]:
        """Up to `limit` messages; waits up to `wait` seconds for the first one.

        Between the last `await` and the return nothing can be cancelled, so what was lent is always returned.
        """
        deadline = monotonic() + wait
        if portions:
            names = list(dict.fromkeys(portion.queue for portion in portions))
        else:
            names = [name for name in self._worker.queues if name not in but] if but else self._worker.queues
        while True:
            self._require_lease()
            deliveries = self._store.lend(self.id, names, limit, portions)
            left = deadline - monotonic()
            if deliveries or left <= 0:
                return deliveries
            await self._store.queues.wait(names, left)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        """Apply each settlement whole or not at all."""
        return [self._settle(one) for one in settlements]

    def _settle(self, settlement: Settlement) -> Verdict:
        step = settlement.step
        if step is not None and step.workflow and not is_place(step.node):
            settlement.problem = f"{step.node!r:.100} is no node of a workflow"
            return Verdict.REFUSED
        return self._store.settle(self.id, settlement, self._dead_letters_max_length)

    async def hand_back(self, held: Sequence[Delivery]) -> int:
        """Hand back what is lent to this worker but not among `held`."""
        return self._store.take_back(self.id, but=(delivery.handle for delivery in held))

    async def give_back(self, deliveries: Sequence[Delivery]) -> int:
        """Hand back these."""
        return self._store.give_back(self.id, [delivery.handle for delivery in deliveries])

    def withdraw(self, held: Sequence[Delivery]) -> int:
        """Hand back nothing: the broker stands still with the loop that it is in."""
        return 0

    async def leave(self) -> int:
        """Hand back everything and end the lease."""
        self._store.leases.end(self.id)
        self._joined = False
        handed_back = self._store.take_back(self.id)
        self._store.queues.wake_all(self._worker.queues)
        return handed_back

    def renew(self) -> bool:
        """Extend the lease; called from a thread. False: it is lost."""
        return self._store.leases.extend(self.id, self._lease_end())

    def proxy(self) -> None:
        """Nobody else has this memory."""

    async def promote(self) -> float | None:
        """Queue what is due; returns the seconds until the next one is."""
        return self._store.promote()

    async def take_over(self) -> float:
        """Put back what silent workers held; returns the seconds until the next lease could end."""
        self._store.take_over(self.id)
        first = self._store.leases.first_end(but=self.id)
        now = self._store.clock.now()
        # A worker that joins later has a whole lease before it, so that nobody needs to look earlier.
        return (self._lease if first is None else min(max(first - now, 0), self._lease)) / 1000

    async def tidy(self) -> int:
        """Drop queues that are empty, that nobody consumes, and that were not used for a day."""
        return self._store.tidy()

    async def left(self) -> Left:
        """What is left in this worker's queues that it cannot fetch now."""
        return self._store.left(self.id, self._worker.queues)

    async def notices(self) -> AsyncIterator[Notice]:
        """What happens, as it happens."""
        listener: Inbox[Notice] = Inbox()
        self._listeners.append(listener)
        self._store.listeners.add(listener)
        try:
            yield Connected()
            while True:
                yield await listener.get()
        finally:
            self._listeners.remove(listener)
            self._store.listeners.discard(listener)

    async def revoked(self, ids: Sequence[str]) -> list[bool]:
        """Which of these have been revoked."""
        return [self._store.is_revoked(id) for id in ids]

    async def queued(self, ids: Sequence[str], queue: str | None = None) -> list[bool]:
        """Which of these tasks wait in the worker's queues, or in one; an id that ends with a dot is a workflow's."""
        waiting = self._store.queues.ids(self._worker.queues if queue is None else [queue])
        waiting |= {workflow + "." for workflow, dot, _ in (id.partition(".") for id in waiting) if dot}
        return [id in waiting for id in ids]

    async def value(self, workflow: str, node: int) -> Value | None:
        """What a node of a workflow gave."""
        return self._store.workflow_value(workflow, node)

    async def failure(self, workflow: str, subject: str) -> NoValue | None:
        """The failure of a node, for an error handler."""
        return self._store.workflow_failure(workflow, subject)

    async def stamps(self) -> list[tuple[bytes, int]]:
        """The stamps that were revoked, and when."""
        return self._store.revoked_stamps()

    async def paused(self) -> list[str]:
        """The queues that are paused."""
        return self._store.paused_queues()

    async def answer(self, question: str, answer: Answer) -> None:
        """Give an answer to whoever has asked, if that still waits."""
        if (asked := self._store.questions.get(question)) is not None:
            asked.put(answer)

    async def close(self) -> None:
        """Hear no more. The lease ends by itself, and what is still held goes to others then."""
        self._store.listeners.difference_update(self._listeners)

    def _lease_end(self) -> int:
        return self._store.clock.now() + self._lease

    def _require_lease(self) -> None:
        if self.id not in self._store.leases:
            raise LeaseLost(
                f"worker {self._worker.name!r} ({self.id}) has no lease on the memory broker: it has not joined, or "
                "it was silent for longer than its visibility timeout and its tasks went to others; start it anew"
            )
