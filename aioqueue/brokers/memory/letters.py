"""Dead letters, the newest last."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice


class Letters:
    """Dead letters by their tasks' ids."""

    def __init__(self) -> None:
        self._letters: OrderedDict[str, bytes] = OrderedDict()

    def __contains__(self, id: str) -> bool:
        return id in self._letters

    def get(self, id: str) -> bytes | None:
        """The one of that id."""
        return self._letters.get(id)

    def newest(self, limit: int) -> list[tuple[str, bytes]]:
        """The newest ones, newest first."""
        return list(islice(reversed(self._letters.items()), limit))

    def bury(self, id: str, letter: bytes, max_length: int) -> None:
        """Add one; the oldest make room for it."""
        self._letters[id] = letter
        self._letters.move_to_end(id)
        while len(self._letters) > max_length:
            self._letters.popitem(last=False)

    def remove(self, id: str) -> bool:
        """Take one out. False: there is none."""
        return self._letters.pop(id, None) is not None

    def clear(self) -> None:
        """Take out all."""
        self._letters.clear()
