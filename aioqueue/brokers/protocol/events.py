"""The stream of events: what programs and workers tell of tasks, kept for a while for those who listen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol


class StoredEvent(NamedTuple):
    """An event, and where it is.

    Attributes:
        cursor: its place, as `<entry>.<index>`; see `Events.events_after`.
        data: the event, which the broker does not look into.
    """

    cursor: str
    data: bytes


class Events(Protocol):
    """What is told, and heard. None of it is a promise: it is news, and what became of a task is in its record."""

    async def put_events(self, events: Sequence[bytes], *, keep: int) -> None:
        """Add events, all of them together; about `keep` are kept, the newest ones. One that is added when the
        connection is lost may be there twice.

        Raises:
            BrokerUnavailable: no answer.
        """
        ...

    async def last_event(self) -> str:
        """The cursor of the newest event; "" if there is none."""
        ...

    def events_after(self, cursor: str) -> AsyncGenerator[Sequence[StoredEvent]]:
        """The events after that one, as they come and without an end; "" is from the oldest on. Those that are not kept
        any more are left out.

        Raises:
            BrokerUnavailable: the connection was lost; go on after the last one that came.
        """
        ...

    async def events_wanted(self) -> bool | None:
        """What was said last of whether they are to be told; None if nobody has said anything."""
        ...

    async def want_events(self, wanted: bool) -> None:
        """Say whether they are to be told, until it is said otherwise."""
        ...
