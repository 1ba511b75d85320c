"""Which workers are alive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple, Protocol

from aioqueue.brokers.protocol.data import Notice


class Proxy(NamedTuple):
    """How a lease is renewed in another process.

    Attributes:
        maker: what is called there, as `module:name`; what it gives has a `renew()` like that of `Leases`.
        about: its arguments, as plain data.
    """

    maker: str
    about: dict[str, Any]


class Leases(Protocol):
    """A worker's lease, what it is told while it holds one, and what it does for those whose lease has ended."""

    @property
    def id(self) -> str:
        """The id of its incarnation: new for each consumer, so that no two ever share deliveries."""
        ...

    async def join(self) -> None:
        """Take out the lease. Before this nothing can be fetched."""
        ...

    async def leave(self) -> int:
        """Hand back everything that is still lent to this worker and end the lease; returns how many."""
        ...

    def renew(self) -> bool:
        """Extend the lease by the visibility timeout; called from a thread. False: the lease is lost."""
        ...

    def proxy(self) -> Proxy | None:
        """How another process renews the lease that was taken out; None where none can."""
        ...

    async def take_over(self) -> float:
        """Put back into the queues what silent workers held; returns the seconds until it is worth asking again."""
        ...

    def notices(self) -> AsyncIterator[Notice]:
        """What happens, as it happens; reconnects by itself, for ever."""
        ...
