"""What is said to those who make brokers, and what they make of it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Protocol

import msgspec

from aioqueue.brokers.protocol import Broker


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where an app's tasks are to wait.

    Attributes:
        url: the broker's URL as the user gave it; "" is none. Its scheme is in small letters or not.
        app: the app's name.
        namespace: the prefix of whatever the app keeps there: other apps may be there, too.
        timeout: seconds in which the broker has to answer.
        kept: brokers that live for as long as the app, by names of their own; one that is not here is made for one
            event loop, and closed with it.
        folder: what the app's tasks are imported from; "" where it has none.
        tasks: their names.
    """

    url: str
    app: str
    namespace: str
    timeout: float
    kept: dict[str, Broker]
    folder: str = ""
    tasks: tuple[str, ...] = ()


class Factory(Protocol):
    """Makes brokers of one scheme. Others register theirs as an entry point of the group `aioqueue.brokers`, whose name
    is the scheme."""

    async def __call__(self, address: Address, stack: AsyncExitStack, /) -> Broker:
        """A broker, not open yet. `stack` ends what it needs beside, after it is closed.

        Raises:
            ConfigurationError: there is something wrong with the URL.
        """
        ...
