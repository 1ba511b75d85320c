"""What tests of routing have in common."""

from __future__ import annotations

from typing import Any

from aioqueue import AioQueue
from aioqueue.brokers.protocol import Outgoing
from aioqueue.message import Message, decode_message


class Sent:
    """What an app sends, as it leaves."""

    def __init__(self, app: AioQueue) -> None:
        self.messages: list[Outgoing] = []
        app.observers.append(lambda *about: self.messages.append(about[-1]))

    @property
    def queues(self) -> list[str]:
        """To which queues, in order."""
        return [message.queue for message in self.messages]

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.messages]

    @property
    def last(self) -> Message:
        """The last one, as it travels."""
        return decode_message(self.messages[-1].data)

    def take(self) -> list[str]:
        """To which queues since the last time."""
        found = self.queues
        self.messages.clear()
        return found


async def waiting(app: AioQueue) -> dict[str, int]:
    """How many messages each queue holds, where there are any."""
    found = await (await app.broker()).queues()
    return {status.name: held for status in found if (held := status.waiting + status.delayed)}


def where(name: str, args: Any, kwargs: Any, options: Any) -> Any:
    """A router by the keyword `to`."""
    return kwargs.get("to")
