"""Results of tasks that were sent, as values: an argument, or what a task returns. They travel as ids and names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from aioqueue.exceptions import PayloadError


class Handle:
    """What stands for something that was sent."""

    __slots__ = ()

    def names(self) -> list[Any]:
        """What it can be made of again: its id and its task's name; of a group a list of its members' names, too."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return handle_of, (self.names(),)


class _Names(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    id: str
    task: str
    members: list[_Names] | None = None


Make = Callable[[str, str, Sequence[Any] | None], Any]
"""Makes a result of an id, the name of its task, and the results of its members if it is a group's."""

_makers: list[Make] = []


def made_by(make: Make) -> None:
    """Say what makes them."""
    _makers[:] = [make]


def handle_of(names: Any) -> Any:
    """The reverse of `names`.

    Raises:
        PayloadError: it is none.
    """
    try:
        return _made(msgspec.convert(names, _Names))
    except msgspec.ValidationError:
        raise PayloadError("it holds the result of a task that was sent, which cannot be read") from None


def _made(names: _Names) -> Any:
    members = None if names.members is None else [_made(member) for member in names.members]
    return _makers[0](names.id, names.task, members)
