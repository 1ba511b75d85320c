"""Results of tasks that were sent, as values: an argument, or what a task returns. They travel as ids and names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aioqueue.exceptions import PayloadError

_MOST_LEVELS: Final = 50


class Handle:
    """What stands for something that was sent."""

    __slots__ = ()

    def names(self) -> list[Any]:
        """What it can be made of again: its id and its task's name; of a group a list of its members' names, too."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return handle_of, (self.names(),)


_makers: list[Callable[[str, str, list[Any] | None], Any]] = []


def made_by(make: Callable[[str, str, list[Any] | None], Any]) -> None:
    """Say what makes a result of an id, a task's name, and the results of its members if it is a group's."""
    _makers[:] = [make]


def handle_of(names: Any, level: int = 0) -> Any:
    """The reverse of `names`.

    Raises:
        PayloadError: it is none.
    """
    match names:
        case [str(id), str(name)]:
            members = None
        case [str(id), str(name), list()] if level < _MOST_LEVELS:
            found: list[Any] = names[2]
            members = [handle_of(one, level + 1) for one in found]
        case _:
            raise PayloadError("it holds the result of a task that was sent, which cannot be read")
    return _makers[0](id, name, members)
