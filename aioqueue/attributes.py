"""What is known of a task, asked for as an attribute: Celery's way, where an attribute may wait for the broker."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from typing import Any, Generic, NoReturn, TypeVar

from aioqueue.unanswered import Unanswered

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class AwaitedAttribute(Unanswered, Generic[T_co]):
    """`await result.status` asks the broker; without the `await` it is no answer, and to take it for one raises.

    Args:
        name: how the attribute is called.
        ask: asks.
    """

    __slots__ = ("_ask", "_name")

    def __init__(self, name: str, ask: Callable[[], Coroutine[Any, Any, T_co]]) -> None:
        self._name = name
        self._ask = ask

    def __await__(self) -> Generator[Any, Any, T_co]:
        return self._ask().__await__()

    def _advice(self) -> str:
        return (
            f"result.{self._name} is asked of the broker: write `await result.{self._name}`, or `await result.info()`, "
            f"which has all of it. Where there is no event loop, `result.sync.{self._name}` waits for it."
        )


class KnownResults(list[T]):
    """Results that are known here, as a list. Awaited, all that the broker knows of: `await result.children`.

    Args:
        known: those.
        ask: asks for all.
    """

    def __init__(self, known: Iterable[T], ask: Callable[[], Coroutine[Any, Any, list[T]]]) -> None:
        super().__init__(known)
        self._ask = ask

    def __await__(self) -> Generator[Any, Any, list[T]]:
        return self._ask().__await__()


class Elsewhere:
    """An attribute that is not there, not even of the class, and says what is in its place. (A `__getattr__` would take
    its time with each attribute.)

    Args:
        says: that.
    """

    def __init__(self, says: str) -> None:
        self._says = says

    @classmethod
    def put(cls, kind: type[Any], words: Mapping[str, str]) -> None:
        """Give a class such attributes.

        Args:
            kind: the class.
            words: what to write instead, by their names.
        """
        for name, found in words.items():
            setattr(kind, name, cls(f"There is no {name!r}. {found}"))

    def __get__(self, owner: Any, kind: Any) -> NoReturn:
        raise AttributeError(self._says)
