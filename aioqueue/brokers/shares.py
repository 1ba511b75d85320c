"""Many things for a broker, cut into shares that it takes one after the other: by their number, and by their weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

MOST_ITEMS = 1000
MOST_BYTES = 4 * 1024 * 1024
"""What goes to a broker in one request; more only where one thing alone is more. So a request takes a small part of its
timeout, and memory holds no more copies than of one share."""


def shares(items: Sequence[T], weight: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """The items in order, in shares.

    Args:
        weight: how many bytes one is.
    """
    if len(items) <= 1:
        if items:
            yield items
        return
    start = size = 0
    for at, item in enumerate(items):
        more = weight(item)
        if at > start and (at - start >= MOST_ITEMS or size + more > MOST_BYTES):
            yield items[start:at]
            start, size = at, 0
        size += more
    yield items[start:] if start else items
