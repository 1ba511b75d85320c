"""Messages that wait, by queue and priority, and the consumers that wait for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count

import msgspec

from aioqueue.brokers.memory.inbox import call_in
from aioqueue.brokers.protocol import UNUSED_FOR, Lengths, Portion, QueueStatus, most_of
from aioqueue.exceptions import QueueFull

_PRIORITIES = 10
_LANES = _PRIORITIES + 1
_FRONT = 0


class Entry(msgspec.Struct, eq=False):
    """A message in a queue or with a worker.

    Attributes:
        handle: names this stay in the queue; a new one each time the message is put into the queue, so that a
            worker from whom it was taken cannot name it any more.
        deliveries: how often it was delivered before, without those that were handed back.
        entered: when this stay in the queue began, ms since the epoch.
        value: what the node before it in its workflow gave.
        acknowledged: its worker has acknowledged it before its end.
    """

    handle: int
    id: str
    queue: str
    priority: int
    data: bytes
    entered: int
    deliveries: int = 0
    value: bytes | None = None
    acknowledged: bool = False


class Queue:
    """One queue: a lane for each priority, and the front, which is read before them.

    Attributes:
        used: when something came into it last, ms since the epoch; or when it was looked at first.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lanes: list[deque[Entry]] = [deque() for _ in range(_LANES)]
        self.waiting = 0
        self.running = 0
        self.delayed = 0
        self.used = 0

    def oldest(self) -> int | None:
        """When the message came that has waited longest. Each lane is in order, so only its head counts."""
        return min((lane[0].entered for lane in self.lanes if lane), default=None)

    def clear(self) -> list[Entry]:
        """Take out everything that waits."""
        messages = [message for lane in self.lanes for message in lane]
        for lane in self.lanes:
            lane.clear()
        self.waiting = 0
        return messages


class Queues:
    """All queues, and the consumers that wait for something to come into them.

    A message wakes one consumer, not all of them. A consumer that was woken and then cancelled passes it on, so a
    message never lies in a queue while somebody waits for it.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Queue] = {}
        self._waiters: dict[str, dict[asyncio.Future[None], None]] = {}
        self._handles = count(1)
        self._turn = 0

    def __getitem__(self, name: str) -> Queue:
        queue = self.by_name.get(name)
        if queue is None:
            queue = self.by_name[name] = Queue(name)
        return queue

    def put(self, message: Entry, *, now: int, front: bool = False) -> None:
        """Put a message at the end of its priority's lane, or of the front; it gets a new handle."""
        queue = self[message.queue]
        message.handle = next(self._handles)
        message.entered = queue.used = now
        queue.lanes[_FRONT if front else _PRIORITIES - message.priority].append(message)
        queue.waiting += 1
        self._wake(message.queue)

    def take(self, names: Sequence[str], limit: int) -> list[Entry]:
        """Lend out up to `limit` messages, higher priorities first.

        Queues take turns at being first, so that one which is always full starves none beside it.
        """
        start, self._turn = self._turn % max(len(names), 1), self._turn + 1
        queues = [self[name] for name in (*names[start:], *names[:start])]
        taken: list[Entry] = []
        for number in range(_LANES):
            for queue in queues:
                self._take(queue, number, limit, taken)
        return taken

    def take_in_turn(self, portions: Iterable[Portion], limit: int) -> list[Entry]:
        """Lend out up to `limit` messages: of each portion's queue as many as it says, higher priorities first."""
        taken: list[Entry] = []
        for name, most in portions:
            queue, until = self[name], min(limit, len(taken) + most)
            for number in range(_LANES):
                self._take(queue, number, until, taken)
        return taken

    @staticmethod
    def _take(queue: Queue, number: int, limit: int, taken: list[Entry]) -> None:
        """Move messages out of one lane until `limit` are taken."""
        lane = queue.lanes[number]
        while lane and len(taken) < limit:
            taken.append(lane.popleft())
            queue.waiting -= 1
            queue.running += 1

    def ids(self, names: Sequence[str]) -> set[str]:
        """The tasks that wait in these queues."""
        queues = [self.by_name[name] for name in names if name in self.by_name]
        return {message.id for queue in queues for lane in queue.lanes for message in lane}

    def withdraw(self, id: str) -> list[Entry]:
        """Take out the messages of a task, wherever they wait."""
        found: list[Entry] = []
        for queue in self.by_name.values():
            for lane in queue.lanes:
                for message in [one for one in lane if one.id == id]:
                    lane.remove(message)
                    queue.waiting -= 1
                    found.append(message)
        return found

    def check_room(self, more: Mapping[str, int], max_length: Lengths) -> None:
        """See that so many more messages fit into each queue.

        Raises:
            QueueFull: they do not.
        """
        for name, number in more.items():
            queue = self.by_name.get(name)
            held = 0 if queue is None else queue.waiting + queue.running
            most = most_of(max_length, name)
            if number and most is not None and held + number > most:
                raise QueueFull.of(name, most)

    def tidy(self, now: int, consumed: Collection[str]) -> int:
        """Drop queues that are empty, that nobody consumes, and that were not used for a while; returns how many."""
        dropped = 0
        for queue in list(self.by_name.values()):
            if queue.name not in consumed and not (queue.waiting or queue.running or queue.delayed):
                queue.used = queue.used or now
                if now - queue.used >= UNUSED_FOR:
                    del self.by_name[queue.name]
                    dropped += 1
        return dropped

    def statuses(self) -> list[QueueStatus]:
        """The queues that have been used, by name."""
        return [
            QueueStatus(
                name=queue.name,
                waiting=queue.waiting,
                running=queue.running,
                delayed=queue.delayed,
                oldest=queue.oldest(),
            )
            for _, queue in sorted(self.by_name.items())
        ]

    async def wait(self, names: Iterable[str], timeout: float) -> None:
        """Return when something may have come into one of the queues, or after `timeout` seconds."""
        woken = asyncio.get_running_loop().create_future()
        names = list(names)
        for name in names:
            self._waiters.setdefault(name, {})[woken] = None
        if any(self[name].waiting for name in names):
            _release(woken)  # another thread put it there just now
        try:
            async with asyncio.timeout(timeout):
                await woken
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            # The message that woke this consumer, if one did, is still there for another.
            for name in names:
                if self[name].waiting:
                    self._wake(name)
            raise
        finally:
            for name in names:
                waiters = self._waiters[name]
                waiters.pop(woken, None)
                if not waiters:
                    del self._waiters[name]

    def wake_all(self, names: Iterable[str]) -> None:
        """Let everyone who waits for these queues look again: one of them may have lost its lease."""
        for name in names:
            for waiter in tuple(self._waiters.get(name, ())):
                _release(waiter)

    def _wake(self, name: str) -> None:
        for waiter in tuple(self._waiters.get(name, ())):
            if not waiter.done():
                _release(waiter)
                return


def _release(waiter: asyncio.Future[None]) -> None:
    call_in(waiter.get_loop(), _set, waiter)


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
