"""A function that is called for each item of its argument: what can be such an argument."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aioqueue.exceptions import ConfigurationError


def each_item(given: Iterable[Any], *, task: str, kind: str) -> Iterator[Any]:
    """What is given to `map`, `starmap` or `chunks`; of the last two, each is looked at, but not read.

    Raises:
        ConfigurationError: it is something else.
    """
    what = "list, as in [1, 2]" if kind == "map" else "list of the arguments of each call, as in [(1, 2), (3, 4)]"
    wrong = f"{task}.{kind} takes a {what}"
    if not _is_iterable(given):
        raise ConfigurationError(f"{wrong}, not {given!r}. Nothing was sent.")
    for position, item in enumerate(given):
        if kind != "map" and not _is_iterable(item):
            raise ConfigurationError(
                f"{wrong}: item {position} is {item!r}. For one argument write ({item!r},). Nothing was sent."
            )
        yield item


def _is_iterable(given: Any) -> bool:
    try:
        iter(given)
    except TypeError:
        return False
    return True
