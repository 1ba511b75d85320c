"""Everything that the memory broker holds, and the steps that change it.

Each step is a plain function without an `await`, under one lock, so that nothing comes between its parts: that is what
a script is on a Redis server.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import wraps
from itertools import islice
from typing import Concatenate, ParamSpec, TypeVar

from aioqueue.brokers.memory.inbox import Inbox
from aioqueue.brokers.memory.leases import Leases
from aioqueue.brokers.memory.queues import Message, Queues
from aioqueue.brokers.memory.records import Records
from aioqueue.brokers.memory.timeline import Clock, Expiring, Timeline
from aioqueue.brokers.memory.workflows import BadEnd, Revocation, Workflows
from aioqueue.brokers.protocol import (
    Delivery,
    Notice,
    Outgoing,
    QueueStatus,
    Settlement,
    Verdict,
    WorkflowStatus,
)
from aioqueue.exceptions import QueueFull
from aioqueue.workflow import JOIN, LENIENT, REVOKED, Node, Part, Start, Step, Value

P = ParamSpec("P")
R = TypeVar("R")

# For how long the sender of an id of its own may repeat the sending, in ms.
_MAY_REPEAT = 60_000


def _step(method: Callable[Concatenate[Store, P], R]) -> Callable[Concatenate[Store, P], R]:
    """A step that no other one comes into, from whatever thread."""

    @wraps(method)
    def step(self: Store, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **kwargs)

    return step


class Store:
    """What all clients and workers of one memory broker share."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clock = Clock()
        self.queues = Queues()
        self.leases = Leases()
        self.records = Records(self.clock.now, self.lock)
        self.dead: OrderedDict[str, bytes] = OrderedDict()
        self._stamps: Expiring[tuple[bytes, int]] = Expiring(self.clock.now)
        self.workflows = Workflows(self, self.clock.now)
        self.listeners: set[Inbox[Notice]] = set()
        self._delayed: Timeline[Outgoing] = Timeline()
        self._lent: defaultdict[str, dict[int, Message]] = defaultdict(dict)
        # How many messages of each id wait in queues or are with workers, and the ids whose messages are to be
        # thrown away when they are met. The second follows the first: a revoked task stays so while it has messages.
        self._present: defaultdict[str, int] = defaultdict(int)
        self._revoked: Expiring[bool] = Expiring(self.clock.now)
        # Acknowledged before their end, and running still, for as long as a sender may repeat the sending.
        self._early: Expiring[bool] = Expiring(self.clock.now)

    # Into the queues

    @_step
    def send(self, messages: Sequence[Outgoing], max_length: int | None = None) -> None:
        """Queue messages, or put them by until they are due; all of them or none."""
        now = self.clock.now()
        if max_length is not None:
            more: defaultdict[str, int] = defaultdict(int)
            for message in messages:
                more[message.queue] += _due(message, now) <= now
            self._check_room(more, max_length)
        for message in messages:
            self._send_one(message, now)

    def _check_room(self, more: Mapping[str, int], max_length: int) -> None:
        for name, number in more.items():
            queue = self.queues.by_name.get(name)
            held = 0 if queue is None else queue.waiting + queue.running
            if number and held + number > max_length:
                raise QueueFull(
                    f"The queue {name!r} is full: it holds {held} of its queue_max_length={max_length} tasks, and "
                    f"{number} more do not fit. Nothing was sent. Send later, start more workers, or set "
                    "queue_full='wait'."
                )

    def _send_one(self, message: Outgoing, now: int, value: bytes | None = None) -> None:
        waiting = self._delayed.get(message.id)
        if message.once and (message.id in self._early or (waiting is not None and not waiting.once)):
            return  # it runs, or waits for its retry
        waited = self._cancel_delayed(message.id)
        if message.once:
            if not waited and self._present.get(message.id):
                return
            if message.id not in self._revoked:  # else it was revoked before it came
                self.records.drop(message.id)
        due = _due(message, now)
        if due <= now:
            self._enqueue(message, now, value)
            return
        earliest = self._delayed.earliest()
        self._delayed.set(message.id, due, message)
        self.queues[message.queue].delayed += 1
        if earliest is None or due < earliest:
            self.tell(Notice("due"))

    def _enqueue(self, message: Outgoing, now: int, value: bytes | None = None) -> None:
        self._present[message.id] += 1
        entry = Message(0, message.id, message.queue, message.priority, message.data, now, value=value)
        self.queues.put(entry, now=now)

    def _cancel_delayed(self, id: str) -> bool:
        message = self._delayed.remove(id)
        if message is None:
            return False
        self.queues[message.queue].delayed -= 1
        return True

    @_step
    def promote(self) -> float | None:
        """Queue what is due."""
        now = self.clock.now()
        for _, message in self._delayed.pop_until(now):
            self.queues[message.queue].delayed -= 1
            self._enqueue(message, now)
        earliest = self._delayed.earliest()
        return None if earliest is None else (earliest - now) / 1000

    @_step
    def purge(self, name: str, record: bytes, *, expires: int, step: Step | None) -> int:
        """Drop what waits in a queue, and end its tasks with a record, if one is given."""
        if name not in self.queues.by_name:
            return 0
        messages = self.queues[name].clear()
        for message in messages:
            self._forget_message(message)
            if record and not self.records.has_ended(message.id):
                self.conclude(message.id, record, expires=expires)
                if step is not None:
                    end = BadEnd(REVOKED, step.value or b"", step.upstream, step.chord)
                    self.workflows.abandon(message.id, end)
        return len(messages)

    # To the workers and back

    @_step
    def lend(self, worker: str, names: Sequence[str], limit: int) -> list[Delivery]:
        """Take messages out of the queues for a worker."""
        messages = self.queues.take(names, limit)
        lent = self._lent[worker]
        for message in messages:
            lent[message.handle] = message
        return [
            Delivery(m.handle, m.id, m.data, m.queue, m.deliveries + 1, m.id in self._revoked, m.value)
            for m in messages
        ]

    @_step
    def take_back(self, worker: str, *, but: Iterable[int] = (), counts: bool = False) -> int:
        """Put what is lent to a worker at the front of its queues, except some; `counts` if that was a delivery."""
        lent = self._lent.get(worker, {})
        kept = set(but)
        now = self.clock.now()
        # In the order in which they were lent, which is the one of their priorities.
        handles = [handle for handle in lent if handle not in kept]
        for handle in handles:
            message = lent.pop(handle)
            message.deliveries += counts
            self._put_back(message, now)
        if not lent:
            self._lent.pop(worker, None)
        return len(handles)

    def _put_back(self, message: Message, now: int) -> None:
        self.queues[message.queue].running -= 1
        self.queues.put(message, now=now, front=True)

    @_step
    def take_over(self, worker: str) -> None:
        """Declare silent workers fallen, and put what they held back into the queues."""
        for fallen in self.leases.end_silent(self.clock.now(), by=worker):
            self.take_back(fallen.id, counts=True)
            self.queues.wake_all(fallen.queues)

    @_step
    def settle(self, worker: str, settlement: Settlement, dead_letters_max_length: int) -> Verdict:
        """Apply a settlement whole, or not at all."""
        id, handle = settlement.delivery.id, settlement.delivery.handle
        lent = self._lent.get(worker, {})
        message = lent.get(handle)
        if message is None and settlement.guarded:
            return Verdict.FENCED
        revoked = id in self._revoked
        if settlement.if_revoked and not revoked:  # no more: its workflow was resumed
            if message is not None:
                self._put_back(lent.pop(handle), self.clock.now())
            return Verdict.REVOKED
        if settlement.final or settlement.sends:
            self._early.remove(id)
        if message is not None and settlement.acknowledge:
            del lent[handle]
            self.queues[message.queue].running -= 1
            self._forget_message(message)
        if revoked:
            # With its last message gone it was forgotten above. A task whose message was acknowledged early has none:
            # the news of its end is the last that can be refused.
            if settlement.final and not self._present.get(id):
                self._revoked.remove(id)
            return Verdict.REVOKED
        if settlement.record is not None:
            self.records.write(id, settlement.record, final=settlement.final, expires=settlement.expires)
        if settlement.dead is not None:
            self._bury(id, settlement.dead, dead_letters_max_length)
        self.send(settlement.sends)
        if settlement.acknowledge and not settlement.final and not settlement.sends:
            self._early.set(id, True, _MAY_REPEAT)
        if settlement.step is not None:
            self.workflows.step(settlement.step)
        return Verdict.APPLIED

    def _forget_message(self, message: Message) -> None:
        self._present[message.id] -= 1
        if not self._present[message.id]:
            del self._present[message.id]
            self._revoked.remove(message.id)

    @_step
    def use(self, names: Iterable[str]) -> None:
        """Make queues, which are from now on among those that have been used."""
        for name in names:
            self.queues[name]

    @_step
    def all_queues(self) -> list[QueueStatus]:
        """The queues that have been used, by name."""
        return [
            QueueStatus(
                name=queue.name,
                waiting=queue.waiting,
                running=queue.running,
                delayed=queue.delayed,
                oldest=queue.oldest(),
            )
            for _, queue in sorted(self.queues.by_name.items())
        ]

    # Ends that come from outside

    @_step
    def revoke(
        self, ids: Sequence[str], record: bytes, *, expires: int, terminate: bool, step: Step | None = None
    ) -> list[bool]:
        """End tasks that have not ended, and what comes after them in their workflows."""
        end = BadEnd(REVOKED, step.value or b"", step.upstream, step.chord) if step else BadEnd(REVOKED)
        answers: list[bool] = []
        told: list[str] = []
        for id in ids:
            whole = self.workflows.is_whole(id)
            ended = self.workflows.has_ended(id) or (not whole and self.records.has_ended(id))
            answers.append(not ended)
            if ended:
                continue
            if not whole:  # else each of its tasks is
                self.records.write(id, record, final=True, expires=expires)
                if not self.workflows.is_waiting(id):
                    self.stop(id, expires=expires)
                    told.append(id)
            self.workflows.revoke(id, Revocation(record, terminate), end)
        if told:
            self.tell_revoked(told, terminate=terminate)
        return answers

    @_step
    def is_revoked(self, id: str) -> bool:
        """Whether a task was revoked and a message of it may still be met."""
        return id in self._revoked

    # Workflows

    @_step
    def store_workflow(self, workflow: str, part: Part, start: Start | None, max_length: int | None) -> None:
        """Keep a part of a workflow, and begin it with the last one."""
        if start is not None and max_length is not None:
            self._check_room(start.queues, max_length)
        if start is not None:
            self.use(start.queues)
        self.workflows.store(workflow, part, start)

    @_step
    def discard(self, workflow: str) -> None:
        """Drop the parts of a workflow that has not begun."""
        self.workflows.drop(workflow)

    @_step
    def workflow_status(self, workflow: str) -> WorkflowStatus | None:
        """A workflow's nodes and their states; what has not begun exists for nobody."""
        flow = self.workflows.get(workflow)
        return flow.status() if flow is not None and flow.end else None

    @_step
    def workflow_members(self, workflow: str, node: int) -> list[Node] | None:
        """A join's members."""
        flow = self.workflows.get(workflow)
        join = flow.nodes.get(node) if flow is not None else None
        if flow is None or join is None or join.kind not in (JOIN, LENIENT):
            return None
        return [flow.nodes[member] for member in flow.members[node]]

    @_step
    def workflow_value(self, workflow: str, node: int) -> Value | None:
        """What a node gave."""
        return self.workflows.value(workflow, node)

    @_step
    def workflow_failure(self, workflow: str, subject: str) -> Value | None:
        """The failure of a node, for an error handler."""
        return self.workflows.failure(workflow, subject)

    @_step
    def resume(self, workflow: str, node: int | None) -> int:
        """Run again what ended badly."""
        return self.workflows.resume(workflow, node)

    @_step
    def revoke_stamp(self, stamp: bytes, *, expires: int, terminate: bool) -> None:
        """Remember a stamp, and tell the workers."""
        self._stamps.set(stamp.hex(), (stamp, self.clock.now()), expires)
        self.tell(Notice("stamp", terminate=terminate))

    @_step
    def revoked_stamps(self) -> list[tuple[bytes, int]]:
        """The stamps that were revoked, and when."""
        return sorted(self._stamps.values(), key=lambda stamp: stamp[1])

    def put(self, message: Outgoing, value: bytes | None) -> None:
        """Queue a task of a workflow, now or when it is due."""
        self._send_one(message, self.clock.now(), value)

    def conclude(self, id: str, record: bytes, *, expires: int) -> None:
        """Store the record of a task that will not run."""
        self.records.write(id, record, final=True, expires=expires)

    def stop(self, id: str, *, expires: int) -> bool:
        """Take out a task's message, or have it thrown away when it is met: then True."""
        if self._cancel_delayed(id):
            return False
        self._revoked.set(id, True, 0 if self._present.get(id) else expires)
        return True

    def tell_revoked(self, ids: Collection[str], *, terminate: bool) -> None:
        """Tell the workers which tasks to throw away."""
        self.tell(Notice("revoked", tuple(ids), terminate))

    def readmit(self, id: str) -> bool:
        """Forget a task's end. True: a message of it that was to be thrown away is there, and runs."""
        self.records.drop(id)
        self.dead.pop(id, None)
        revoked = id in self._revoked
        self._revoked.remove(id)
        return revoked

    # Dead letters

    @_step
    def requeue_dead(self, message: Outgoing) -> bool:
        """Give a dead letter another life: no record, no revocation of the old one."""
        if self.dead.pop(message.id, None) is None:
            return False
        self.records.drop(message.id)
        if not self._present.get(message.id):
            self._revoked.remove(message.id)
        self.send([message])
        return True

    @_step
    def letters(self, limit: int) -> list[tuple[str, bytes]]:
        """The newest dead letters."""
        return list(islice(reversed(self.dead.items()), limit))

    def _bury(self, id: str, letter: bytes, max_length: int) -> None:
        self.dead[id] = letter
        self.dead.move_to_end(id)
        while len(self.dead) > max_length:
            self.dead.popitem(last=False)

    @_step
    def tell(self, notice: Notice) -> None:
        """Give a notice to all consumers."""
        for listener in tuple(self.listeners):
            listener.put(notice)

    @_step
    def shift_clock(self, milliseconds: int) -> None:
        """Move the clock; what waits for its time may be due now."""
        self.clock.shift += milliseconds
        if self._delayed:
            self.tell(Notice("due"))


def _due(message: Outgoing, now: int) -> int:
    if message.delay is not None:
        return now + message.delay
    return now if message.due is None else message.due
