"""What a transport has to do: hand tickets to workers, each at least once.

A ticket is published until the transport has taken it, and not again. So what it has taken has to outlive it: its
queues and what is in them are kept on disk, and it confirms what it has written (RabbitMQ: durable queues, persistent
messages, publisher confirms; SQS does so by itself). The task of a ticket that is lost after that waits for ever, and
promise D1 is broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec


class Parcel(msgspec.Struct, frozen=True):
    """What is published of a message: which it is, and where it goes. The rest is in the store.

    Attributes:
        ticket: the store's number for this stay of the message in its queue.
        queue: its queue.
        priority: from 0 to 9; a transport may know fewer.
    """

    ticket: int
    queue: str
    priority: int = 0


class Ticket(msgspec.Struct, frozen=True):
    """A parcel as it was delivered.

    Attributes:
        number: the ticket.
        tag: the transport's own word for this delivery, to acknowledge it. It fences nothing.
    """

    number: int
    tag: Any


class Reader(Protocol):
    """What one worker has of the transport."""

    async def receive(self, limit: int, *, wait: float) -> list[Ticket]:
        """Up to `limit` tickets; waits up to `wait` seconds for the first one. When it is cancelled, none is lost.

        Raises:
            BrokerUnavailable: there is no answer.
        """
        ...

    async def acknowledge(self, tags: Sequence[Any]) -> None:
        """These need not be delivered again, though they may be. Tags of a connection that is gone are passed over.

        Raises:
            BrokerUnavailable: there is no answer.
        """
        ...

    def give_back(self, tags: Sequence[Any]) -> None:
        """These are to be delivered again, to whomever; need not have happened when it returns."""
        ...

    async def close(self) -> None:
        """What is not acknowledged is delivered again, to whomever."""
        ...


class Transport(Protocol):
    """Queues of tickets.

    Attributes:
        priorities: how many of the ten priorities it tells apart, 1 or more; the pair warns of others that are used.
    """

    priorities: int

    @property
    def description(self) -> str:
        """What and where it is, for people; without passwords."""
        ...

    async def open(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...

    async def publish(self, parcels: Sequence[Parcel]) -> None:
        """Return when the transport has them all and keeps them over a restart, so that each will be delivered at least
        once.

        Raises:
            BrokerUnavailable: it does not say so; some may have come nevertheless.
        """
        ...

    def reader(self, queues: Sequence[str]) -> Reader:
        """What a worker has of some queues."""
        ...
