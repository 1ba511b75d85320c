"""Into the queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aioqueue.brokers.protocol.data import Lengths, Outgoing


class Sending(Protocol):
    """How tasks come into the queues."""

    async def send(self, messages: Sequence[Outgoing], *, timeout: float, max_length: Lengths | None = None) -> None:
        """Put all of the messages into their queues, or none. Many are cut into shares before that; see `shares`.

        Raises:
            QueueFull: a queue would hold more than `max_length` messages.
            DuplicateTask: an id of the sender's own is that of another call.
            BrokerUnavailable: no answer within `timeout` seconds.
        """
        ...
