"""Sending: at once when nothing is under way, else many at a time.

Whatever is sent while a request is under way goes out together in the next one. One request at a time, numbered: the
server keeps the last answer of each client, so a request whose reply was lost is repeated as it was, and cannot queue
a task twice.

Who sends while there is nothing else to do makes the request himself, which saves the way to another task and back. He
tries once only, over a connection that stands; what takes longer is left to `run`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

import msgspec
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from aioqueue.brokers.protocol import Lengths, Outgoing, most_of
from aioqueue.brokers.redis import plans
from aioqueue.brokers.redis.link import Argument, Backoff, Link, is_transient
from aioqueue.brokers.redis.scripts import Script, script
from aioqueue.brokers.redis.server import NotTrusted
from aioqueue.brokers.shares import MOST_BYTES, MOST_ITEMS
from aioqueue.exceptions import AioQueueError, BrokerUnavailable, DuplicateTask, QueueFull
from aioqueue.shortcuts import nothing_beside


class _Parcel(msgspec.Struct, eq=False):
    """Messages that go together or not at all, and who waits for them."""

    messages: Sequence[Outgoing]
    max_length: Lengths
    timeout: float
    deadline: float
    sent: asyncio.Future[None]

    def fail(self, error: AioQueueError) -> None:
        if not self.sent.done():
            self.sent.set_exception(error)


class _Request(msgspec.Struct, eq=False):
    """Parcels that go out together under one number, however often that is tried."""

    parcels: list[_Parcel]
    script: Script
    arguments: list[Argument]
    new_queues: set[str]
    backoff: Backoff

    @property
    def over(self) -> bool:
        """Whether nobody waits for it any more."""
        return all(parcel.sent.done() for parcel in self.parcels)

    def fail(self, error: AioQueueError) -> None:
        for parcel in self.parcels:
            parcel.fail(error)


class Outbox:
    """What a client sends. `run` must be running."""

    def __init__(self, link: Link, prefix: str, client: str, description: str, offset: Callable[[], int]) -> None:
        self._link = link
        self._prefix = prefix
        self._client = client
        self._description = description
        self._offset = offset
        self._waiting: deque[_Parcel] = deque()
        self._unfinished: _Request | None = None
        self._busy = False
        self._over = False
        self._wake = asyncio.Event()
        self._number = 0
        self._known_queues: set[str] = set()

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: Lengths | None) -> None:
        """Send messages, all of them or none."""
        if not messages:
            return
        if self._over:
            raise _never_sent()
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        parcel = _Parcel(messages, max_length or 0, timeout, monotonic() + timeout, sent)
        if self._busy or self._waiting or self._unfinished is not None or not self._link.connected:
            self._waiting.append(parcel)
            self._wake.set()
        else:
            await self._send_alone(parcel)
        await sent

    async def _send_alone(self, parcel: _Parcel) -> None:
        """Try once, and leave the rest to `run`."""
        self._busy = True
        try:
            request = self._request([parcel])
            if not await self._try(request):
                self._unfinished = request
        finally:  # cancelled, too: it may have been sent, and with its number nothing can be taken for it
            self._busy = False
            if self._over and self._unfinished is not None:
                self._unfinished.fail(_maybe_sent())
            elif self._unfinished is not None or self._waiting:
                self._wake.set()

    async def run(self) -> None:
        """Send what comes, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while not self._busy and (request := self._next()) is not None:
                await self._finish(request)

    def close(self) -> None:
        """Nobody will send what still waits, or what comes. `run` has been cancelled."""
        self._over = True
        if self._unfinished is not None:
            self._unfinished.fail(_maybe_sent())
        while self._waiting:
            self._waiting.popleft().fail(_never_sent())

    def _next(self) -> _Request | None:
        """What is to be sent now, if there is anything."""
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None:
            unfinished.backoff.failures = 1
            return unfinished
        while self._waiting:
            if parcels := self._take():
                return self._request(parcels)
        return None

    async def _finish(self, request: _Request) -> None:
        """Try until it is over."""
        self._busy = True
        try:
            while not await self._try(request):
                await request.backoff.wait()
        finally:  # cancelled, in whatever it was doing
            self._busy = False
            request.fail(_maybe_sent())

    def _take(self) -> list[_Parcel]:
        """As many parcels as fit into one request, at least one; those given up by their senders are left out."""
        parcels: list[_Parcel] = []
        messages = size = 0
        while self._waiting:
            parcel = self._waiting[0]
            if not parcel.sent.done():
                messages += len(parcel.messages)
                size += sum([len(message.data) for message in parcel.messages])
                if parcels and (messages > MOST_ITEMS or size > MOST_BYTES):
                    break
                parcels.append(parcel)
            self._waiting.popleft()
        return parcels

    def _request(self, parcels: list[_Parcel]) -> _Request:
        self._number += 1
        parcel = parcels[0]
        if len(parcels) == 1 and len(parcel.messages) == 1 and not parcel.max_length:
            message = parcel.messages[0]
            if _is_plain(message) and message.queue in self._known_queues:
                return self._of_one(parcels, message)
        data: list[Argument] = []
        made: list[plans.Parcel] = []
        queues: set[str] = set()
        for parcel in parcels:
            made.append(plans.Parcel(parcel.max_length, rows(parcel.messages, data)))
            queues.update([message.queue for message in parcel.messages])
        queues -= self._known_queues
        plan = plans.Send(self._client, self._number, self._offset(), sorted(queues), made)
        return _Request(parcels, script("send"), [msgspec.msgpack.encode(plan), *data], queues, Backoff())

    def _of_one(self, parcels: list[_Parcel], message: Outgoing) -> _Request:
        """The most frequent request: half of what `send` would take in the server."""
        arguments: list[Argument] = [self._client, self._number, message.queue, message.priority]
        return _Request(parcels, script("send_one"), [*arguments, message.id, message.data], set(), Backoff())

    async def _try(self, request: _Request) -> bool:
        """Make a request; returns whether that is all there is to do."""
        parcels, first = request.parcels, not request.backoff.failures
        remaining = min([parcel.deadline for parcel in parcels if not parcel.sent.done()], default=0.0) - monotonic()
        # Two tries fit into a timeout: the first may go into a connection that is half open.
        attempt = max(0.05, remaining / 2 if first else remaining)
        try:
            letters: bytes = await self._link.run(request.script, self._prefix, *request.arguments, timeout=attempt)
        except Exception as error:
            self._failed(request, error)
            return request.over
        self._known_queues |= request.new_queues
        answers, *reasons = letters.decode(errors="backslashreplace").split("\n")
        for parcel, letter in zip(parcels, answers, strict=True):
            if letter == "f":
                queue = reasons.pop(0)
                parcel.fail(QueueFull.of(queue, most_of(parcel.max_length, queue)))
            elif letter == "d":
                parcel.fail(DuplicateTask.of(reasons.pop(0)))
            elif letter == "x":
                parcel.fail(self._refused(ResponseError(reasons.pop(0).removeprefix("BLOCKED "))))
            elif not parcel.sent.done():
                parcel.sent.set_result(None)
        return True

    def _failed(self, request: _Request, error: Exception) -> None:
        """Tell those who cannot wait for another try."""
        if not is_transient(error):
            request.fail(self._refused(error))
            return
        now = monotonic()
        for parcel in request.parcels:
            if parcel.deadline <= now:
                parcel.fail(self._unavailable(error, parcel.timeout))

    def _unavailable(self, error: Exception, timeout: float) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"No answer from {self._description} in {timeout:g} s ({error}). Is the server running? The task may have "
            "been sent, if only the answer was lost. With a task_id of your own it can be sent again and runs once."
        )

    def _refused(self, error: Exception) -> AioQueueError:
        if isinstance(error, NotTrusted):
            return BrokerUnavailable(f"{self._description}: {error}. Nothing was sent.")
        if isinstance(error, AuthenticationError | NoPermissionError):
            return BrokerUnavailable(
                f"{self._description} does not let us in: {error}. Nothing was sent. Check the user and the password "
                "in the broker's URL, and the user's rights."
            )
        return BrokerUnavailable(f"{self._description} refused: {error}. Nothing was sent.")


def weight_of(message: Outgoing) -> int:
    """How many bytes a message is, all but."""
    return len(message.data)


def rows(messages: Sequence[Outgoing], data: list[Argument]) -> list[plans.Message]:
    """Messages as the scripts take them; their data are added to `data`, which follow a plan in ARGV[1]."""
    made: list[plans.Message] = []
    for message in messages:
        data.append(message.data)
        delay = max(0, message.delay or 0)
        call: int | str = message.call or 1 if message.once else 0
        due = message.due or 0
        made.append(plans.Message(message.id, message.queue, message.priority, len(data) + 1, due, delay, call))
    return made


# Whether a message has only to be queued: what send_one.lua takes is all there is of it.
_is_plain = nothing_beside(Outgoing, "id", "queue", "priority", "data")


def _never_sent() -> BrokerUnavailable:
    return BrokerUnavailable("The app was closed before this was sent. Nothing was sent.")


def _maybe_sent() -> BrokerUnavailable:
    return BrokerUnavailable("The app was closed while this was being sent; it may have been.")
