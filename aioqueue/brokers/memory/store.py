"""Everything that the memory broker holds, and what changes it atomically.

Each change is a plain function without an `await`, under one lock, so that nothing comes between its parts: that is
what a script is on a Redis server.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import msgspec
from msgspec.structs import replace

from aioqueue.brokers.memory.events import EventLog
from aioqueue.brokers.memory.inbox import Inbox
from aioqueue.brokers.memory.leases import Leases
from aioqueue.brokers.memory.letters import Letters
from aioqueue.brokers.memory.own_ids import OwnIds
from aioqueue.brokers.memory.queues import Entry, Queues
from aioqueue.brokers.memory.records import Records
from aioqueue.brokers.memory.schedules import Schedules
from aioqueue.brokers.memory.shelf import MemoryShelf
from aioqueue.brokers.memory.timeline import Clock, Expiring, Timeline
from aioqueue.brokers.protocol import (
    UNKEPT,
    Answer,
    Delivery,
    Due,
    Left,
    Lengths,
    Notice,
    Outgoing,
    Portion,
    QueuesPaused,
    QueueStatus,
    Settlement,
    StampRevoked,
    StoredMessage,
    TasksRevoked,
    Verdict,
    Whereabouts,
    WorkflowStatus,
)
from aioqueue.exceptions import DuplicateTask
from aioqueue.message import decode_message
from aioqueue.workflow import JOIN, LENIENT, REVOKED, Node, NoValue, Part, Start, Told, Value
from aioqueue.workflows import BadEnd, Engine, Revocation

P = ParamSpec("P")
R = TypeVar("R")


def _atomic(method: Callable[Concatenate[Store, P], R]) -> Callable[Concatenate[Store, P], R]:
    """Done whole before anything else of the store is, from whatever thread."""

    @wraps(method)
    def atomic(self: Store, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **kwargs)

    return atomic


class Store:
    """What all clients and workers of one memory broker share."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clock = Clock()
        self.queues = Queues()
        self.leases = Leases()
        self.records = Records(self.clock.now, self.lock)
        self.letters = Letters()
        self.events = EventLog()
        self._stamps: Expiring[tuple[bytes, int]] = Expiring(self.clock.now)
        self.shelf = MemoryShelf(self.clock.now)
        self.workflows = Engine(self, self.shelf)
        self.schedules = Schedules(self.clock.now, self.send)
        self.listeners: set[Inbox[Notice]] = set()
        self.questions: dict[str, Inbox[Answer]] = {}
        self._delayed: Timeline[Outgoing] = Timeline()
        self._lent: defaultdict[str, dict[int, Entry]] = defaultdict(dict)
        # How many messages of each id wait in queues or are with workers, and the ids whose messages are to be
        # thrown away when they are met. The second follows the first: a revoked task stays so while it has messages.
        self._present: defaultdict[str, int] = defaultdict(int)
        self._revoked: Expiring[bool] = Expiring(self.clock.now)
        self._paused: set[str] = set()
        self.own_ids = OwnIds(lambda id: self.workflows.holder(id), self._is_there)

    @_atomic
    def erase(self) -> None:
        """Hold nothing any more. Who waits or listens goes on doing so."""
        for held in (
            self.queues.by_name,
            self.letters,
            self.events,
            self._lent,
            self._present,
            self._paused,
            self.own_ids,
        ):
            held.clear()
        for expiring in (
            self._stamps,
            self._revoked,
            self._delayed,
            self.records,
            self.shelf,
            self.leases,
            self.schedules,
        ):
            expiring.clear()

    # Into the queues

    @_atomic
    def send(self, messages: Sequence[Outgoing], max_length: Lengths | None = None) -> None:
        """Queue messages, or put them by until they are due; all of them or none."""
        now = self.clock.now()
        self.own_ids.refuse_other_calls(messages)
        if max_length is not None:
            more: defaultdict[str, int] = defaultdict(int)
            for message in messages:
                more[message.queue] += _due(message, now) <= now and not self._is_known(message)
            self.queues.check_room(more, max_length)
        for message in messages:
            self._send_one(message, now)

    def _send_one(self, message: Outgoing, now: int, value: bytes | None = None) -> None:
        if message.once:
            if self._is_known(message):
                return
            self._claim(message.id)
            self.own_ids[message.id] = message.call
        self._cancel_delayed(message.id)
        due = _due(message, now)
        if due <= now:
            self._enqueue(message, now, value)
            return
        earliest = self._delayed.earliest()
        self._delayed.set(message.id, due, message)
        self.queues[message.queue].delayed += 1
        if earliest is None or due < earliest:
            self.tell(Due())

    def _is_known(self, message: Outgoing) -> bool:
        """Whether its task waits or runs already. What waits as it was sent is replaced."""
        if not message.once or self.own_ids.holder(message.id) is None:
            return False
        waiting = self._delayed.get(message.id)
        return waiting is None or not waiting.once

    def _is_there(self, id: str) -> bool:
        """Whether a task waits or runs, that is none of a workflow."""
        if id in self._revoked or self.records.has_ended(id):
            return False
        return bool(self._present.get(id)) or self._delayed.get(id) is not None

    def _claim(self, id: str) -> None:
        """The id is a new task's: nothing is known any more of the last one, but for that it was revoked before it
        came. Its message, if it was revoked and is there still, is taken from whoever has it."""
        if id in self._revoked and self._present.get(id):
            for lent in self._lent.values():
                for entry in [one for one in lent.values() if one.id == id]:
                    del lent[entry.handle]
                    self.queues[entry.queue].running -= 1
                    self._forget_message(entry)
            for entry in self.queues.withdraw(id) if self._present.get(id) else ():
                self._forget_message(entry)
        if id not in self._revoked:
            self.records.drop(id)
        self.workflows.release(id)

    def _enqueue(self, message: Outgoing, now: int, value: bytes | None = None) -> None:
        self._present[message.id] += 1
        entry = Entry(0, message.id, message.queue, message.priority, message.data, now, value=value)
        self.queues.put(entry, now=now)

    def _cancel_delayed(self, id: str) -> bool:
        message = self._delayed.remove(id)
        if message is None:
            return False
        self.queues[message.queue].delayed -= 1
        return True

    @_atomic
    def promote(self) -> float | None:
        """Queue what is due."""
        now = self.clock.now()
        for _, message in self._delayed.pop_until(now):
            self.queues[message.queue].delayed -= 1
            self._enqueue(message, now)
        earliest = self._delayed.earliest()
        return None if earliest is None else (earliest - now) / 1000

    # To the workers and back

    @_atomic
    def lend(self, worker: str, names: Sequence[str], limit: int, portions: Sequence[Portion] = ()) -> list[Delivery]:
        """Take messages out of the queues for a worker: out of all of these together, or portion by portion."""
        queues = self.queues
        return self.deliver(worker, queues.take_in_turn(portions, limit) if portions else queues.take(names, limit))

    def deliver(self, worker: str, entries: Sequence[Entry]) -> list[Delivery]:
        """What was taken out of the queues is a worker's from now on."""
        lent = self._lent[worker]
        for entry in entries:
            lent[entry.handle] = entry
        return [
            Delivery(
                one.handle,
                one.id,
                one.data,
                one.queue,
                one.deliveries + 1,
                one.id in self._revoked,
                one.value,
                one.acknowledged,
            )
            for one in entries
        ]

    @_atomic
    def take_back(self, worker: str, *, but: Iterable[int] = (), counts: bool = False) -> int:
        """Put what is lent to a worker at the front of its queues, except some; `counts` if that was a delivery."""
        lent = self._lent.get(worker, {})
        kept = set(but)
        return self._take_back(worker, [handle for handle in lent if handle not in kept], counts=counts)

    @_atomic
    def give_back(self, worker: str, handles: Iterable[int]) -> int:
        """Put these at the front of their queues, as far as they are lent to a worker."""
        asked = set(handles)
        return self._take_back(worker, [handle for handle in self._lent.get(worker, {}) if handle in asked])

    def _take_back(self, worker: str, handles: Sequence[int], *, counts: bool = False) -> int:
        """The same, in the order in which they were lent, which is the one of their priorities."""
        lent = self._lent.get(worker, {})
        now = self.clock.now()
        for handle in handles:
            entry = lent.pop(handle)
            entry.deliveries += counts
            self._put_back(entry, now)
        if not lent:
            self._lent.pop(worker, None)
        return len(handles)

    def _put_back(self, entry: Entry, now: int) -> None:
        self.queues[entry.queue].running -= 1
        self.queues.put(entry, now=now, front=True)

    @_atomic
    def take_over(self, worker: str) -> None:
        """Declare silent workers fallen, and put what they held back into the queues."""
        for fallen in self.leases.end_silent(self.clock.now(), by=worker):
            self.take_back(fallen.id, counts=True)
            self.queues.wake_all(fallen.queues)

    # Ends

    @_atomic
    def settle(self, worker: str, settlement: Settlement, dead_letters_max_length: int) -> Verdict:
        """Apply a settlement whole, or not at all."""
        id, handle = settlement.delivery.id, settlement.delivery.handle
        lent = self._lent.get(worker, {})
        entry = lent.get(handle)
        if entry is None:
            return Verdict.FENCED
        revoked = id in self._revoked
        if settlement.if_revoked and not revoked:  # no more: its workflow was resumed
            entry.acknowledged = False  # it is to run again
            self._put_back(lent.pop(handle), self.clock.now())
            return Verdict.REVOKED
        if settlement.final and not revoked:
            self.own_ids.pop(id, None)
        if settlement.acknowledge or (settlement.early and revoked):
            del lent[handle]
            self.queues[entry.queue].running -= 1
            self._forget_message(entry)
        if settlement.early and not revoked:
            entry.acknowledged = True
        if revoked:
            return Verdict.REVOKED
        untimely = settlement.step is not None and self.workflows.is_untimely(settlement.step)
        if settlement.record is not None and not untimely:
            expires = self._keep(settlement)
            self.records.write(id, settlement.record, final=settlement.final, expires=expires)
        if settlement.dead is not None:
            self.letters.bury(id, settlement.dead, dead_letters_max_length)
        self.send(settlement.sends)
        if settlement.step is not None:
            self.workflows.step(settlement.step)
        return Verdict.APPLIED

    def _keep(self, settlement: Settlement) -> int:
        """For how long to keep a record: that of a workflow's task for as long as the workflow goes on, and from then
        on as that says. What error handlers give is nobody's but their own."""
        step = settlement.step
        if step is None or settlement.expires == UNKEPT or "." in step.node:
            return settlement.expires
        keep = self.workflows.keeping(step.workflow)
        return settlement.expires if keep is None else keep

    def _forget_message(self, entry: Entry) -> None:
        self._present[entry.id] -= 1
        if not self._present[entry.id]:
            del self._present[entry.id]
            self._revoked.remove(entry.id)

    # What clients do to what was sent

    @_atomic
    def revoke(self, ids: Sequence[str], record: bytes, *, expires: int, terminate: bool, told: Told) -> list[bool]:
        """End tasks that have not ended, and what comes after them in their workflows."""
        end = BadEnd(REVOKED, told)
        answers: list[bool] = []
        stopped: list[str] = []
        for id in ids:
            whole = self.workflows.is_whole(id)
            ended = self.workflows.has_ended(id) or (not whole and self.records.has_ended(id))
            answers.append(not ended)
            if ended:
                continue
            self.own_ids.pop(id, None)
            if not whole:  # else each of its tasks is
                keep = self.workflows.keeping_of(id)
                self.records.write(id, record, final=True, expires=expires if keep is None else keep)
                if not self.workflows.is_waiting(id):
                    self.stop(id, expires=expires)
                    stopped.append(id)
            self.workflows.revoke(id, Revocation(record, terminate), end)
        if stopped:
            self.tell_revoked(stopped, terminate=terminate)
        return answers

    @_atomic
    def is_revoked(self, id: str) -> bool:
        """Whether a task was revoked and a message of it may still be met."""
        return id in self._revoked

    @_atomic
    def revoke_stamp(self, stamp: bytes, *, expires: int, terminate: bool) -> None:
        """Remember a stamp, and tell the workers."""
        self._stamps.set(stamp.hex(), (stamp, self.clock.now()), expires)
        self.tell(StampRevoked(terminate))

    @_atomic
    def revoked_stamps(self) -> list[tuple[bytes, int]]:
        """The stamps that were revoked, and when."""
        return sorted(self._stamps.values(), key=lambda stamp: stamp[1])

    @_atomic
    def pause_queue(self, name: str, paused: bool) -> bool:
        """Note that a queue is paused, or not any more, and tell the workers."""
        if (name in self._paused) is paused:
            return False
        (self._paused.add if paused else self._paused.discard)(name)
        self.tell(QueuesPaused())
        return True

    @_atomic
    def paused_queues(self) -> list[str]:
        """The queues that are paused."""
        return sorted(self._paused)

    @_atomic
    def purge(self, name: str, record: bytes, *, expires: int, told: Told) -> int:
        """Drop what waits in a queue, and end its tasks with a record, if one is given."""
        if name not in self.queues.by_name:
            return 0
        entries = self.queues[name].clear()
        for entry in entries:
            self._forget_message(entry)
            self.own_ids.pop(entry.id, None)
            if record and not self.records.has_ended(entry.id):
                keep = self.workflows.keeping_of(entry.id)
                self.conclude(entry.id, record, expires=expires if keep is None else keep)
                self.workflows.abandon(entry.id, BadEnd(REVOKED, told))
        return len(entries)

    @_atomic
    def forget(self, ids: Sequence[str]) -> list[bool]:
        """Drop records, and of those that stand for whole workflows all that is known of these."""
        for id in ids:
            self.records.drop(id)
        return [self.workflows.forget(id) for id in ids]

    @_atomic
    def requeue_dead(self, message: Outgoing) -> bool:
        """Give a dead letter another life: no record, no revocation of the old one."""
        if message.id not in self.letters:
            return False
        if message.once and self.own_ids.holder(message.id) is not None:
            raise DuplicateTask.of(message.id)
        self.letters.remove(message.id)
        self.records.drop(message.id)
        if not self._present.get(message.id):
            self._revoked.remove(message.id)
        self.send([message])
        return True

    # Workflows, as clients and workers see them

    @_atomic
    def put_part(self, workflow: str, part: Part, start: Start | None, max_length: Lengths | None) -> str:
        """Keep a part of a workflow, and begin it with the last one; returns its id, or that of the one that it is."""
        if start is not None and (same := self.own_ids.same_workflow(start)):
            return same
        if start is not None and max_length is not None:
            self.queues.check_room(start.queues, max_length)
        if start is not None:
            self.use(start.queues)
        # One that is held may never begin: it may be of a run that was taken for dead, while another run has ended.
        for name in start.claims if start is not None and not start.held else ():
            self._cancel_delayed(name)
            self.own_ids.pop(name, None)
            self._claim(name)
        self.workflows.put_part(workflow, part, start)
        return workflow

    @_atomic
    def discard(self, workflow: str) -> None:
        """Drop the parts of a workflow that has not begun."""
        self.workflows.drop(workflow)

    @_atomic
    def workflow_status(self, workflow: str) -> WorkflowStatus | None:
        """A workflow's nodes and their states; what has not begun exists for nobody."""
        flow = self.workflows.get(workflow)
        return flow.status() if flow is not None and flow.end else None

    @_atomic
    def workflow_members(self, workflow: str, node: int) -> list[Node] | None:
        """A join's members."""
        flow = self.workflows.get(workflow)
        join = flow.nodes.get(node) if flow is not None else None
        if flow is None or join is None or join.kind not in (JOIN, LENIENT):
            return None
        return [flow.nodes[member] for member in flow.members[node]]

    @_atomic
    def workflow_value(self, workflow: str, node: int) -> Value | None:
        """What a node gave."""
        return self.workflows.value(workflow, node)

    @_atomic
    def workflow_failure(self, workflow: str, subject: str) -> NoValue | None:
        """The failure of a node, for an error handler."""
        return self.workflows.failure(workflow, subject)

    @_atomic
    def resume(self, workflow: str, node: int | None) -> int:
        """Run again what ended badly."""
        return self.workflows.resume(workflow, node)

    # What the engine of workflows asks for

    def put(self, message: Outgoing, value: bytes | None) -> None:
        """Queue a task of a workflow, now or when it is due."""
        self._send_one(message, self.clock.now(), value)

    def conclude(self, id: str, record: bytes, *, expires: int) -> None:
        """Store the record of a task that will not run."""
        self.records.write(id, record, final=True, expires=expires)

    def keep(self, id: str, *, expires: int) -> None:
        """Keep the record of a task for so long from now on; `UNKEPT` is no longer."""
        self.records.keep(id, expires)

    def stop(self, id: str, *, expires: int) -> bool:
        """Take out a task's message, or have it thrown away when it is met: then True."""
        if self._cancel_delayed(id):
            return False
        self._revoked.set(id, True, 0 if self._present.get(id) else expires)
        return True

    def tell_revoked(self, ids: Collection[str], *, terminate: bool) -> None:
        """Tell the workers which tasks to throw away."""
        self.tell(TasksRevoked(tuple(ids), terminate))

    def readmit(self, id: str) -> bool:
        """Forget a task's end. True: a message of it that was to be thrown away is there, and runs."""
        self.records.drop(id)
        self.letters.remove(id)
        revoked = id in self._revoked
        self._revoked.remove(id)
        return revoked

    # Looking in

    @_atomic
    def going_on(self, ids: Sequence[str]) -> list[bool]:
        """Which of these are ids of tasks that wait or run."""
        return [self.own_ids.holder(id) is not None for id in ids]

    @_atomic
    def waiting(self, name: str, limit: int) -> list[StoredMessage]:
        """What waits in a queue, in the order in which it will be lent."""
        queue = self.queues.by_name.get(name)
        entries = [entry for lane in queue.lanes for entry in lane] if queue is not None else []
        return [StoredMessage(entry.id, entry.data, entry.entered) for entry in entries[:limit]]

    @_atomic
    def delayed(self, name: str, limit: int) -> list[StoredMessage]:
        """What waits for its time to go into a queue, the earliest first."""
        found = sorted((at, one.id, one.data) for at, one in self._delayed.all() if one.queue == name)
        return [StoredMessage(id, data, at) for at, id, data in found[:limit]]

    @_atomic
    def holds(self, ids: Sequence[str]) -> list[bool]:
        """Which of these are ids of tasks that wait, run, or wait for their time."""
        return [self._is_there(id) or self.own_ids.holder(id) is not None for id in ids]

    @_atomic
    def find(self, id: str) -> Whereabouts | None:
        """Where a task's message is."""
        for at, message in self._delayed.all():
            if message.id == id:
                return Whereabouts(queue=message.queue, data=message.data, at=at, delayed=True)
        for queue in self.queues.by_name.values():
            for place, entry in enumerate(entry for lane in queue.lanes for entry in lane):
                if entry.id == id:
                    return Whereabouts(queue=queue.name, data=entry.data, at=entry.entered, ahead=place)
        for worker, lent in self._lent.items():
            for entry in lent.values():
                if entry.id == id:
                    return Whereabouts(queue=entry.queue, data=entry.data, at=entry.entered, worker=worker)
        return None

    @_atomic
    def left(self, worker: str, queues: Sequence[str]) -> Left:
        """What is left in some queues that a worker cannot fetch now."""
        now = self.clock.now()
        delayed = [(at, message) for at, message in self._delayed.all() if message.queue in queues]
        retries = [at for at, message in delayed if _is_retry(message)]
        held = {
            id: sum(entry.queue in queues for entry in lent.values()) for id, lent in self._lent.items() if id != worker
        }
        return Left(
            retries=len(retries),
            due=max(0, min(retries, default=now) - now) / 1000,
            delayed=len(delayed) - len(retries),
            holders={id: self.leases.end_of(id) for id, count in held.items() if count},
            held=sum(held.values()),
        )

    @_atomic
    def all_queues(self) -> list[QueueStatus]:
        """The queues that have been used or paused, by name."""
        found = self.queues.statuses()
        if not self._paused:
            return found
        unused = self._paused - self.queues.by_name.keys()
        found += [QueueStatus(name=name, waiting=0, running=0, delayed=0) for name in unused]
        return [replace(one, paused=one.name in self._paused) for one in sorted(found, key=lambda one: one.name)]

    @_atomic
    def use(self, names: Iterable[str]) -> None:
        """Make queues, which are from now on among those that have been used."""
        for name in names:
            self.queues[name]

    @_atomic
    def tidy(self) -> int:
        """Drop queues that nobody uses; returns how many."""
        return self.queues.tidy(self.clock.now(), self.leases.queues())

    # Notices, and the clock

    @_atomic
    def tell(self, notice: Notice) -> None:
        """Give a notice to all consumers."""
        for listener in tuple(self.listeners):
            listener.put(notice)

    @_atomic
    def shift_clock(self, milliseconds: int) -> None:
        """Move the clock; what waits for its time may be due now."""
        self.clock.shift += milliseconds
        if self._delayed:
            self.tell(Due())
        self.schedules.wake()


def _is_retry(message: Outgoing) -> bool:
    try:
        return decode_message(message.data).retries > 0
    except msgspec.MsgspecError:  # none of ours
        return False


def _due(message: Outgoing, now: int) -> int:
    if message.delay is not None:
        return now + message.delay
    return now if message.due is None else message.due
