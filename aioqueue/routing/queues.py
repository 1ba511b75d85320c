"""The value of the setting `task_queues`: a list that stays one of queues, whatever is put into it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsIndex

from aioqueue.routing.queue import Queue, read_queues


class Queues(list[Queue]):
    """Queues, of which no two have the same name. Names and dicts that are put into it become queues at once.

    Raises:
        ConfigurationError: by each of its methods, for what is no queue, or is there already; nothing is changed then.
    """

    def append(self, one: Any, /) -> None:
        """Put one at the end."""
        self._become([*self, one])

    def extend(self, more: Iterable[Any], /) -> None:
        """Put several at the end."""
        self._become([*self, *more])

    def insert(self, at: SupportsIndex, one: Any, /) -> None:
        """Put one before another."""
        after: list[Any] = [*self]
        after.insert(at, one)
        self._become(after)

    def __setitem__(self, at: Any, one: Any, /) -> None:
        after: list[Any] = [*self]
        after[at] = one
        self._become(after)

    def __iadd__(self, more: Iterable[Any], /) -> Queues:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.extend(more)
        return self

    def _become(self, after: list[Any]) -> None:
        super().__setitem__(slice(None), read_queues("app.conf.task_queues", after))


def queues_of(where: str, value: Any) -> Queues:
    """See `read_queues`."""
    return Queues(read_queues(where, value))
