"""A client's line to the memory broker."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from aioqueue.brokers.memory.consumer import MemoryConsumer
from aioqueue.brokers.memory.store import Store
from aioqueue.brokers.protocol import Outgoing, QueueStatus, StoredLetter, Watch, WorkerStatus, WorkflowStatus
from aioqueue.workflow import Node, Part, Start, Step


class MemoryBroker:
    """Queues in this process's memory: gone with the object, never away, and as strict as a real broker.

    Clients and workers that share the object share its queues, in whatever event loops and threads they are; a
    consumer belongs to one loop, except for `Consumer.renew`. What an operation costs does not grow with what is
    queued.
    """

    def __init__(self) -> None:
        self._store = Store()

    @property
    def description(self) -> str:
        """What it is, for people."""
        return "memory (this process only)"

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to disconnect from; what is queued stays with the object."""

    def now(self) -> int:
        """The wall clock and the shift, ms since the epoch."""
        return self._store.clock.now()

    def shift_clock(self, milliseconds: int) -> None:
        """Move the clock, for tests: delays, leases and the expiry of records follow it at once."""
        self._store.shift_clock(milliseconds)

    async def postpone_leases(self, milliseconds: int) -> None:
        """Let the leases end later, for tests: when the clock is moved as much, the workers stay alive."""
        self._store.leases.postpone(milliseconds)

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: int | None = None) -> None:
        """Put all of the messages into their queues, or none.

        Raises:
            QueueFull: a queue would hold more than `max_length` messages.
        """
        self._store.send(messages, max_length)

    async def store(
        self, workflow: str, part: Part, start: Start | None, *, timeout: float, max_length: int | None = None
    ) -> None:
        """Store a part of a workflow; with `start`, the last one, it begins.

        Raises:
            QueueFull: a queue would hold more than `max_length` messages; this part may be stored again.
        """
        self._store.store_workflow(workflow, part, start, max_length)

    async def discard(self, workflow: str) -> None:
        """Drop the parts of a workflow that will not be started."""
        self._store.discard(workflow)

    async def workflow(self, workflow: str) -> WorkflowStatus | None:
        """The nodes of a workflow and their states; None when there is no such workflow (any more)."""
        return self._store.workflow_status(workflow)

    async def place(self, id: str) -> tuple[str, int] | None:
        """The workflow and the node of a task whose id the sender chose."""
        return self._store.workflows.place(id)

    async def members(self, workflow: str, node: int) -> list[Node] | None:
        """A join's members, in order; None when the node is no join, or nothing is known of it."""
        return self._store.workflow_members(workflow, node)

    async def resume(self, workflow: str, node: int | None = None) -> int:
        """Run again what failed or was revoked, and what was to come after it; or only that one node."""
        return self._store.resume(workflow, node)

    async def revoke_stamp(self, stamp: bytes, *, expires: int, terminate: bool) -> None:
        """Tell the workers to revoke what was sent until now with that stamp."""
        self._store.revoke_stamp(stamp, expires=expires, terminate=terminate)

    async def records(self, ids: Sequence[str]) -> list[bytes | None]:
        """The records of tasks, None where there is none."""
        return [self._store.records.get(id) for id in ids]

    def watch(self, id: str) -> AbstractAsyncContextManager[Watch]:
        """The records of a task: the one that is there, and then each that is written."""
        return self._store.records.watch(id)

    async def revoke(
        self, ids: Sequence[str], record: bytes, *, expires: int, terminate: bool, step: Step | None = None
    ) -> list[bool]:
        """End tasks with `record`, unless they have ended. True: ended by this."""
        return self._store.revoke(ids, record, expires=expires, terminate=terminate, step=step)

    async def forget(self, ids: Sequence[str]) -> None:
        """Drop the records of tasks."""
        for id in ids:
            self._store.records.drop(id)

    async def dead_letters(self, *, limit: int, id: str | None = None) -> list[StoredLetter]:
        """The dead letters, newest first; or the one of that id."""
        if id is not None:
            data = self._store.dead.get(id)
            return [StoredLetter(id, data)] if data is not None else []
        return [StoredLetter(id, data) for id, data in self._store.letters(limit)]

    async def requeue_dead(self, message: Outgoing) -> bool:
        """Put the dead letter of that id back into a queue, and drop its record. False: there is none."""
        return self._store.requeue_dead(message)

    async def remove_dead(self, ids: Sequence[str]) -> int:
        """Drop dead letters; returns how many there were."""
        return sum(self._store.dead.pop(id, None) is not None for id in ids)

    async def queues(self) -> list[QueueStatus]:
        """All queues that have been used, by name."""
        return self._store.all_queues()

    async def purge(self, queue: str, record: bytes = b"", *, expires: int = 0, step: Step | None = None) -> int:
        """Drop what waits in a queue; what runs and what waits for its time stays. Returns how many."""
        return self._store.purge(queue, record, expires=expires, step=step)

    async def workers(self) -> list[WorkerStatus]:
        """All workers whose lease has not ended."""
        return self._store.leases.alive(self.now())

    def consumer(
        self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int
    ) -> MemoryConsumer:
        """A worker's line; `worker.id` is its incarnation."""
        return MemoryConsumer(
            self._store,
            worker,
            visibility_timeout=visibility_timeout,
            dead_letters_max_length=dead_letters_max_length,
        )
