"""Sending, many at a time.

Whatever is sent while a request is under way goes out together in the next one. One request at a time, numbered: the
server keeps the last answer of each client, so a request whose reply was lost is repeated as it was, and cannot queue
a task twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

import msgspec
from redis.exceptions import AuthenticationError, NoPermissionError

from aioqueue.brokers.protocol import Outgoing
from aioqueue.brokers.redis.link import Argument, Backoff, Link, is_transient
from aioqueue.brokers.redis.scripts import script
from aioqueue.exceptions import AioQueueError, BrokerUnavailable, QueueFull

MOST_MESSAGES = 1000
_MOST_BYTES = 4 * 1024 * 1024

Row = tuple[str, str, int, int, int, int, int]


class _Parcel(msgspec.Struct, eq=False):
    """Messages that go together or not at all, and who waits for them."""

    messages: Sequence[Outgoing]
    max_length: int
    timeout: float
    deadline: float
    sent: asyncio.Future[None]

    def fail(self, error: AioQueueError) -> None:
        if not self.sent.done():
            self.sent.set_exception(error)


class Outbox:
    """What a client sends. `run` must be running."""

    def __init__(self, link: Link, prefix: str, client: str, description: str, offset: Callable[[], int]) -> None:
        self._link = link
        self._prefix = prefix
        self._client = client
        self._description = description
        self._offset = offset
        self._waiting: deque[_Parcel] = deque()
        self._wake = asyncio.Event()
        self._number = 0
        self._known_queues: set[str] = set()

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: int | None) -> None:
        """Send messages, 1,000 at a time, each thousand whole or not at all."""
        loop = asyncio.get_running_loop()
        for start in range(0, len(messages), MOST_MESSAGES):
            part = messages[start : start + MOST_MESSAGES] if len(messages) > MOST_MESSAGES else messages
            parcel = _Parcel(part, max_length or 0, timeout, monotonic() + timeout, loop.create_future())
            self._waiting.append(parcel)
            self._wake.set()
            await parcel.sent

    async def run(self) -> None:
        """Send what comes, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                parcels = self._take()
                try:
                    await self._request(parcels)
                finally:  # cancelled, in whatever it was doing
                    for parcel in parcels:
                        parcel.fail(
                            BrokerUnavailable("The app was closed while this was being sent; it may have been.")
                        )

    def fail_all(self, error: AioQueueError) -> None:
        """Nobody will send what still waits."""
        while self._waiting:
            self._waiting.popleft().fail(error)

    def _take(self) -> list[_Parcel]:
        """As many parcels as fit into one request, at least one; those given up by their senders are left out."""
        parcels: list[_Parcel] = []
        messages = size = 0
        while self._waiting and messages < MOST_MESSAGES and size < _MOST_BYTES:
            if parcels and messages + len(self._waiting[0].messages) > MOST_MESSAGES:
                break
            parcel = self._waiting.popleft()
            if not parcel.sent.done():
                parcels.append(parcel)
                messages += len(parcel.messages)
                size += sum(len(message.data) for message in parcel.messages)
        return parcels

    async def _request(self, parcels: list[_Parcel]) -> None:
        if not parcels:
            return
        self._number += 1
        arguments, new_queues = self._arguments(parcels)
        backoff = Backoff()
        while True:
            remaining = min((p.deadline for p in parcels if not p.sent.done()), default=0.0) - monotonic()
            try:
                # Two tries fit into a timeout: the first may go into a connection that is half open.
                attempt = max(0.05, remaining if backoff.failures else remaining / 2)
                letters: bytes = await self._link.run(script("send"), self._prefix, *arguments, timeout=attempt)
            except Exception as error:
                if not is_transient(error):
                    for parcel in parcels:
                        parcel.fail(self._refused(error))
                    return
                now = monotonic()
                for parcel in parcels:
                    if parcel.deadline <= now:
                        parcel.fail(self._unavailable(error, parcel.timeout))
                if all(parcel.sent.done() for parcel in parcels):
                    return
                await backoff.wait()
                continue
            self._known_queues |= new_queues
            for parcel, letter in zip(parcels, letters.decode(), strict=True):
                if letter == "f":
                    parcel.fail(_full(parcel))
                elif not parcel.sent.done():
                    parcel.sent.set_result(None)
            return

    def _arguments(self, parcels: list[_Parcel]) -> tuple[list[Argument], set[str]]:
        data: list[Argument] = []
        groups: list[tuple[int, list[Row]]] = []
        queues: set[str] = set()
        for parcel in parcels:
            groups.append((parcel.max_length, rows(parcel.messages, data)))
            queues.update([message.queue for message in parcel.messages])
        queues -= self._known_queues
        plan = (self._client, self._number, self._offset(), sorted(queues), groups)
        return [msgspec.msgpack.encode(plan), *data], queues

    def _unavailable(self, error: Exception, timeout: float) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"No answer from {self._description} in {timeout:g} s ({error}). Is the server running? The task may have "
            "been sent, if only the answer was lost. With a task_id of your own it can be sent again and runs once."
        )

    def _refused(self, error: Exception) -> AioQueueError:
        if isinstance(error, AuthenticationError | NoPermissionError):
            return BrokerUnavailable(
                f"{self._description} does not let us in: {error}. Nothing was sent. Check the user and the password "
                "in the broker's URL, and the user's rights."
            )
        return BrokerUnavailable(f"{self._description} refused: {error}. Nothing was sent.")


def rows(messages: Sequence[Outgoing], data: list[Argument]) -> list[Row]:
    """Messages as the scripts take them; their data are added to `data`, which follow a plan in ARGV[1]."""
    made: list[Row] = []
    for message in messages:
        data.append(message.data)
        delay = max(0, message.delay or 0)
        once = 1 if message.once else 0
        made.append((message.id, message.queue, message.priority, len(data) + 1, message.due or 0, delay, once))
    return made


def _full(parcel: _Parcel) -> QueueFull:
    queues = sorted({message.queue for message in parcel.messages})
    return QueueFull(
        f"The queue {', '.join(map(repr, queues))} is full: it holds its queue_max_length={parcel.max_length} tasks. "
        "Nothing was sent. Send later, start more workers, or set queue_full='wait'."
    )
