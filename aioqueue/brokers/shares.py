"""Many things for a broker, cut into shares that it takes one after the other: by their number, and by their weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

MOST_ITEMS = 1000
MOST_BYTES = 4 * 1024 * 1024
"""What goes to a broker in one request; more only where one thing alone is more. So a request takes a small part of its
timeout, and memory holds no more copies than of one share."""


def shares(
    items: Sequence[T],
    weight: Callable[[T], int],
    goes_along: Callable[[T], bool] | None = None,
    most: int = MOST_ITEMS,
) -> Iterator[Sequence[T]]:
    """The items in order, in shares.

    Args:
        weight: how many bytes one is.
        goes_along: whether it is to be in one share with the one before it, however large that gets; none is, if None.
        most: how many there may be in a share.
    """
    if len(items) <= 1:
        if items:
            yield items
        return
    start = size = 0
    cut = before = 0  # where this share may end, and how many bytes it has until there
    for at, item in enumerate(items):
        more = weight(item)
        if goes_along is None or not goes_along(item):
            cut, before = at, size
        if cut > start and (at - start >= most or size + more > MOST_BYTES):
            yield items[start:cut]
            start, size, before = cut, size - before, 0
        size += more
    yield items[start:] if start else items
