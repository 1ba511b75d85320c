"""What a client has of the memory broker."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from aioqueue.brokers.memory.consumer import MemoryConsumer
from aioqueue.brokers.memory.inbox import Inbox
from aioqueue.brokers.memory.store import Store
from aioqueue.brokers.protocol import (
    Answer,
    Asked,
    Capabilities,
    Claim,
    Claimed,
    Finding,
    Lead,
    Lengths,
    Outgoing,
    Question,
    QueueStatus,
    StoredEvent,
    StoredLetter,
    StoredMessage,
    StoredSchedule,
    Watch,
    Whereabouts,
    WorkerStatus,
    WorkflowStatus,
)
from aioqueue.workflow import UNTOLD, Node, Part, Start, Told

# So many events are read at once.
_EVENTS_AT_ONCE = 1000

_CAPABILITIES = Capabilities(shared=False, withdraws=False)


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

    @property
    def version(self) -> str:
        """No program but this one."""
        return ""

    @property
    def capabilities(self) -> Capabilities:
        """All; but it is nowhere else."""
        return _CAPABILITIES

    @property
    def warnings(self) -> Sequence[str]:
        """Nothing can go wrong."""
        return ()

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
        with self._store.lock:
            self._store.schedules.postpone(milliseconds)

    async def erase(self) -> None:
        """Drop everything, for tests."""
        self._store.erase()

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: Lengths | None = None) -> None:
        """Put all of the messages into their queues, or none.

        Raises:
            QueueFull: a queue would hold more than `max_length` messages.
        """
        self._store.send(messages, max_length)

    async def put_part(
        self, workflow: str, part: Part, start: Start | None, *, timeout: float, max_length: Lengths | None = None
    ) -> str:
        """Put in a part of a workflow; with `start`, the last one, it begins.

        Raises:
            QueueFull: a queue would hold more than `max_length` messages; this part may be stored again.
        """
        return self._store.put_part(workflow, part, start, max_length)

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
        self, ids: Sequence[str], record: bytes, *, expires: int, terminate: bool, told: Told = UNTOLD
    ) -> list[bool]:
        """End tasks with `record`, unless they have ended. True: ended by this."""
        return self._store.revoke(ids, record, expires=expires, terminate=terminate, told=told)

    async def forget(self, ids: Sequence[str]) -> list[bool]:
        """Drop the records of tasks; and of one at the end of a workflow, all that is known of the workflow."""
        return self._store.forget(ids)

    async def dead_letters(self, *, limit: int, id: str | None = None) -> list[StoredLetter]:
        """The dead letters, newest first; or the one of that id."""
        if id is not None:
            data = self._store.letters.get(id)
            return [StoredLetter(id, data)] if data is not None else []
        with self._store.lock:
            return [StoredLetter(id, data) for id, data in self._store.letters.newest(limit)]

    async def requeue_dead(self, message: Outgoing) -> bool:
        """Put the dead letter of that id back into a queue, and drop its record. False: there is none."""
        return self._store.requeue_dead(message)

    async def remove_dead(self, ids: Sequence[str]) -> int:
        """Drop dead letters; returns how many there were."""
        return sum(map(self._store.letters.remove, ids))

    async def put_schedule(self, schedule: StoredSchedule, *, replace: bool) -> bool:
        """Add a schedule, or take the place of the one of that name. False: the name is taken."""
        with self._store.lock:
            return self._store.schedules.put(schedule, replace=replace)

    async def schedules(self, names: Sequence[str] | None = None) -> list[StoredSchedule]:
        """All schedules by name, or those of some names."""
        with self._store.lock:
            return self._store.schedules.get(names)

    async def remove_schedule(self, name: str) -> bool:
        """Drop a schedule. False: there is none."""
        with self._store.lock:
            return self._store.schedules.remove(name)

    async def pause_schedule(
        self, name: str, paused: bool, *, due: int | None = None, at: int | None = None, revision: int | None = None
    ) -> bool:
        """Pause a schedule, or resume it with its next due time. False: there is none."""
        with self._store.lock:
            return self._store.schedules.pause(name, paused, due=due, at=at, revision=revision)

    async def declare_schedules(self, scheduler: str, schedules: Sequence[StoredSchedule], *, lease: int) -> list[str]:
        """What a scheduler stands for from now on. Returns what was left alone."""
        with self._store.lock:
            return self._store.schedules.declare(scheduler, schedules, lease)

    async def sweep_schedules(self) -> list[str]:
        """Drop what programs declared and nobody stands for. Returns the names."""
        with self._store.lock:
            return self._store.schedules.sweep()

    async def due_schedules(self, limit: int, *, skip: int = 0) -> tuple[list[StoredSchedule], int | None]:
        """What is due, and when the next is."""
        with self._store.lock:
            return self._store.schedules.due(limit, skip)

    async def claim_schedules(
        self, claims: Sequence[Claim], *, until: int, max_length: Lengths | None = None
    ) -> list[Claimed]:
        """Send what is due, each whole or not at all."""
        with self._store.lock:
            return self._store.schedules.claim(claims, until, max_length)

    async def lead_schedules(self, scheduler: str, *, lease: int) -> Lead:
        """Be alive for so long, and lead if nobody else does."""
        with self._store.lock:
            return self._store.schedules.lead(scheduler, lease)

    async def resign_schedules(self, scheduler: str) -> None:
        """Be gone in good order."""
        with self._store.lock:
            self._store.schedules.resign(scheduler)

    async def schedulers(self) -> list[str]:
        """The schedulers that are alive."""
        with self._store.lock:
            return self._store.schedules.alive()

    async def schedule_changes(self) -> AsyncIterator[None]:
        """Wakes when schedules change."""
        listener: Inbox[None] = Inbox()
        listeners = self._store.schedules.listeners
        with self._store.lock:
            listeners.add(listener)
        try:
            yield None
            while True:
                yield await listener.get()
        finally:
            with self._store.lock:
                listeners.discard(listener)

    async def waiting(self, queue: str, *, limit: int) -> list[StoredMessage]:
        """What waits in a queue, in order."""
        return self._store.waiting(queue, limit)

    async def delayed(self, queue: str, *, limit: int) -> list[StoredMessage]:
        """What waits for its time, the earliest first."""
        return self._store.delayed(queue, limit)

    async def holds(self, ids: Sequence[str]) -> list[bool]:
        """Which of these are ids of tasks that wait, run, or wait for their time."""
        return self._store.holds(ids)

    async def find(self, id: str) -> Whereabouts | None:
        """Where a task's message is."""
        return self._store.find(id)

    async def idle(self) -> bool:
        """Whether nothing waits, runs, or waits for its time."""
        return not any(queue.waiting or queue.running or queue.delayed for queue in self._store.all_queues())

    async def going_on(self, ids: Sequence[str]) -> list[bool]:
        """Which of these are ids of tasks that wait or run."""
        return self._store.going_on(ids)

    async def pause_queue(self, queue: str, paused: bool) -> bool:
        """Pause a queue, or resume it. False: it was so already."""
        return self._store.pause_queue(queue, paused)

    async def paused_queues(self) -> list[str]:
        """Those that are paused."""
        return self._store.paused_queues()

    async def queues(self) -> list[QueueStatus]:
        """All queues that have been used, by name."""
        return self._store.all_queues()

    async def purge(self, queue: str, record: bytes = b"", *, expires: int = 0, told: Told = UNTOLD) -> int:
        """Drop what waits in a queue; what runs and what waits for its time stays. Returns how many."""
        return self._store.purge(queue, record, expires=expires, told=told)

    async def workers(self) -> list[WorkerStatus]:
        """All workers whose lease has not ended."""
        return self._store.leases.alive(self.now())

    async def examine(self) -> list[Finding]:
        """Nothing can go wrong."""
        return []

    async def ask(self, question: Question) -> AsyncGenerator[Answer]:
        """The answers of workers, as they come."""
        answers: Inbox[Answer] = Inbox()
        self._store.questions[question.id] = answers
        try:
            self._store.tell(Asked(question))
            while True:
                yield await answers.get()
        finally:
            self._store.questions.pop(question.id, None)

    async def put_events(self, events: Sequence[bytes], *, keep: int) -> None:
        """Add events."""
        with self._store.lock:
            self._store.events.add(events, keep)

    async def last_event(self) -> str:
        """The cursor of the newest event; "" if there is none."""
        with self._store.lock:
            return self._store.events.last

    async def events_after(self, cursor: str) -> AsyncGenerator[Sequence[StoredEvent]]:
        """The events after that one, as they come and without an end."""
        listener: Inbox[None] = Inbox()
        log = self._store.events
        with self._store.lock:
            log.listeners.add(listener)
        try:
            while True:
                with self._store.lock:
                    found = log.after(cursor, _EVENTS_AT_ONCE)
                if found:
                    cursor = found[-1].cursor
                    yield found
                else:
                    await listener.get()
        finally:
            with self._store.lock:
                log.listeners.discard(listener)

    async def events_wanted(self) -> bool | None:
        """What was said last of whether they are to be told."""
        with self._store.lock:
            return self._store.events.wanted

    async def want_events(self, wanted: bool) -> None:
        """Say whether they are to be told."""
        with self._store.lock:
            self._store.events.wanted = wanted

    def consumer(
        self, worker: WorkerStatus, *, visibility_timeout: float, dead_letters_max_length: int
    ) -> MemoryConsumer:
        """What a worker has of it; `worker.id` is that of its incarnation."""
        return MemoryConsumer(
            self._store,
            worker,
            visibility_timeout=visibility_timeout,
            dead_letters_max_length=dead_letters_max_length,
        )
