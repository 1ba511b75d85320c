"""What a worker receives of a transport: of all its queues together, or of each in its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aioqueue.brokers.pair.transport import Reader, Ticket, Transport


class Tag(NamedTuple):
    """A delivery of a transport, and the reader to which it was made."""

    reader: Reader
    tag: Any


class Intake:
    """The readers of a worker: one for all its queues, or one for each, made when they are asked for."""

    def __init__(self, transport: Transport, queues: Sequence[str]) -> None:
        self._transport = transport
        self._queues = queues
        self._together: Reader | None = None
        self._apart: dict[str, Reader] = {}

    async def receive(self, limit: int, *, wait: float, queue: str | None = None) -> list[tuple[int, Tag]]:
        """Up to `limit` tickets, of one queue or of all; waits up to `wait` seconds for the first one.

        Raises:
            BrokerUnavailable: there is no answer.
        """
        if queue is None:
            if self._together is None:
                self._together = self._transport.reader(self._queues)
            reader = self._together
        else:
            reader = self._of(queue)
        return _tagged(reader, await reader.receive(limit, wait=wait))

    async def receive_first(self, queues: Iterable[str], *, wait: float) -> list[tuple[int, Tag]]:
        """A ticket of the first queue that has one, within `wait` seconds; perhaps one of each of several.

        Raises:
            BrokerUnavailable: there is no answer.
        """
        receiving = {asyncio.ensure_future(self._of(queue).receive(1, wait=wait)): self._of(queue) for queue in queues}
        try:
            await asyncio.wait(receiving, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await _cancelled(receiving)
            for receiver, reader in receiving.items():
                if not receiver.cancelled() and receiver.exception() is None:
                    reader.give_back([ticket.tag for ticket in receiver.result()])
            raise
        await _cancelled(receiving)
        found: list[tuple[int, Tag]] = []
        error: BaseException | None = None
        for receiver, reader in receiving.items():
            if receiver.cancelled():
                continue
            if (failure := receiver.exception()) is not None:
                error = failure
            else:
                found += _tagged(reader, receiver.result())
        if error is not None and not found:
            raise error
        return found

    async def acknowledge(self, tags: Iterable[Tag]) -> None:
        """As of a reader.

        Raises:
            BrokerUnavailable: there is no answer.
        """
        for reader, own in _by_reader(tags):
            await reader.acknowledge(own)

    def give_back(self, tags: Iterable[Tag]) -> None:
        """As of a reader."""
        for reader, own in _by_reader(tags):
            reader.give_back(own)

    async def close(self) -> None:
        """As of a reader."""
        for reader in (self._together, *self._apart.values()):
            if reader is not None:
                await reader.close()

    def _of(self, queue: str) -> Reader:
        reader = self._apart.get(queue)
        if reader is None:
            reader = self._apart[queue] = self._transport.reader([queue])
        return reader


def _tagged(reader: Reader, tickets: Sequence[Ticket]) -> list[tuple[int, Tag]]:
    return [(ticket.number, Tag(reader, ticket.tag)) for ticket in tickets]


def _by_reader(tags: Iterable[Tag]) -> list[tuple[Reader, list[Any]]]:
    found: dict[int, tuple[Reader, list[Any]]] = {}
    for reader, tag in tags:
        found.setdefault(id(reader), (reader, []))[1].append(tag)
    return list(found.values())


async def _cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel what has not ended, and wait for it."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
