"""What stands where an answer has to be asked for: whoever takes it for the answer is told how to ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn


class Unanswered(ABC):
    """To compare it, to count with it, to look into it and to go through it raises."""

    __slots__ = ()

    @abstractmethod
    def _advice(self) -> str:
        """What to write."""

    def _refuse(self, *_: Any) -> NoReturn:
        raise TypeError(self._advice())

    if not TYPE_CHECKING:
        # Without `__iter__`: it would pass for an iterable. A loop over it asks for its first item.
        __bool__ = __eq__ = __hash__ = __getitem__ = __len__ = __int__ = __float__ = __neg__ = __abs__ = _refuse
        __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
        __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __or__ = _refuse

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(self._advice(), name=name, obj=self)

    def __repr__(self) -> str:
        return f"<{self._advice()}>"
