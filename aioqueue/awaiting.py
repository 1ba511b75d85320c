"""Calls that are to be awaited, and tell when nobody has.

A coroutine that is dropped does nothing, and one that is asked whether it is true says yes. Here the first is an error
in the log, with what was not sent, and the second raises; so does a method that is asked in place of its answer, as in
`if result.ready:`.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import wraps
from types import CoroutineType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, TypeVar

import msgspec

from aioqueue.logs import logger
from aioqueue.unanswered import Unanswered

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

OF_RESULTS = frozenset(
    {
        *("id", "task_id", "name", "get", "wait", "join", "state", "status", "result", "results", "info", "task_info"),
        *("ready", "successful", "failed", "completed_count", "as_completed", "watch", "traceback", "date_done"),
        *("parent", "children", "graph", "group", "revoke", "resume", "forget", "sync"),
    }
)
"""What results have, and those of Celery: what it is probably meant for where a call was not awaited."""

_SENDS = frozenset({"send", "delay", "apply_async", "call", "send_many", "send_task", "requeue", "trigger"})


class Done(Awaitable[T]):
    """Something that was awaited already, or need not be: dropped, it tells nothing."""

    def __init__(self, value: T) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, Any, T]:
        return self._value
        yield


class Spoken(NamedTuple):
    """How an object is spoken of, where a call of its methods was not awaited.

    Attributes:
        subject: what it is, as "task shop.add".
        expression: as it stands in code: "add".
        sync: the same where there is no event loop: "add.sync"; "" where there is nothing of the kind.
    """

    subject: str
    expression: str
    sync: str = ""


class Speaks(Protocol):
    """What has methods that are to be awaited."""

    def _spoken(self) -> Spoken:
        """How it is spoken of."""
        ...


class _Passed:
    """An attribute of the coroutine."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, call: Any, kind: Any) -> Any:
        return self if call is None else getattr(call._coroutine, self._name)


class _OfResults:
    """An attribute that awaiting it would give."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, call: Any, kind: Any) -> Any:
        if call is None:
            return self
        advice = call._advice()
        raise AttributeError(f"A call that was not awaited has no {self._name!r}: {advice}", name=self._name, obj=call)


class _Call(msgspec.Struct, eq=False, order=False):
    """A call of a method, to be awaited: the coroutine that does it, for all who ask. (A Struct is made and dropped
    with the least ado.)

    Attributes:
        coroutine: does it; None once it is awaited.
        owner: whose method that is.
        method: its name.
    """

    _coroutine: Any
    _owner: Any
    _method: str

    def __await__(self) -> Generator[Any, Any, Any]:
        # `await` lets go of this before it begins, so that it is no longer ours to tell of.
        coroutine = self._coroutine
        self._coroutine = None
        if coroutine is None:
            raise RuntimeError("cannot reuse already awaited coroutine")
        return coroutine.__await__()

    def send(self, value: Any, /) -> Any:
        """Go on with it, as asyncio's tasks do."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error in it."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """Give it up, and do not tell."""
        if self._coroutine is not None:
            self._coroutine.close()

    def __del__(self) -> None:
        coroutine = self._coroutine
        if coroutine is not None and coroutine.cr_frame is not None:
            self._dropped(coroutine)

    def _dropped(self, coroutine: Any) -> None:
        if inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED:
            return
        coroutine.close()  # or Python warns of an inner one, whose name says nothing to anybody
        try:
            logger.error("%s", self._advice(_place(self._method)), stacklevel=3)
        except Exception:  # at the interpreter's end there may be nothing left to tell it with
            pass

    def _advice(self, place: str = "") -> str:
        subject, expression, sync = _spoken_of(self._owner)
        done = "sent" if self._method in _SENDS else "done"
        call = f"{self._method}(...)"
        instead = f", or, where there is no event loop, `{sync}.{call}`" if sync else ""
        return (
            f"{expression}.{call} was not awaited{place}: nothing was {done} ({subject}). Write "
            f"`await {expression}.{call}`{instead}."
        )

    if not TYPE_CHECKING:
        # anyio's task groups, for one, ask for the type of a coroutine.
        __class__ = property(lambda _: CoroutineType)
        # No `__getattr__`, for that would take its time with each attribute.
        cr_await, cr_code, cr_frame, cr_origin, cr_running, cr_suspended, __name__ = map(
            _Passed,
            ("cr_await", "cr_code", "cr_frame", "cr_origin", "cr_running", "cr_suspended", "__name__"),
        )

    def _refuse(self) -> NoReturn:
        advice = self._advice()
        self.close()
        raise TypeError(advice)

    def __bool__(self) -> bool:
        # asyncio asks its tasks for it whenever it shows one (base_tasks.py, from Python 3.12 on).
        return _asked_by_asyncio() or self._refuse()

    def __eq__(self, other: object) -> bool:
        return self is other if isinstance(other, Coroutine) else self._refuse()

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<coroutine {_spoken_of(self._owner).expression}.{self._method}(...)>"


if not TYPE_CHECKING:
    _Call.__name__ = _Call.__qualname__ = "coroutine"  # where Python says what it has not
    for _name in OF_RESULTS:
        setattr(_Call, _name, _OfResults(_name))


def _spoken_of(owner: Speaks) -> Spoken:
    return owner._spoken()  # pyright: ignore[reportPrivateUsage]  # users' classes have the other names


def _place(method: str) -> str:
    """Where it was dropped, if that is where it was called."""
    try:
        frame: Any = sys._getframe(3)  # pyright: ignore[reportPrivateUsage]  # below: `_dropped`, `__del__`
    except ValueError:  # the collector, at the end of a thread
        return ""
    if method not in frame.f_code.co_names:  # it was kept, and a function's end has dropped it
        return ""
    return f" at {frame.f_code.co_filename}:{frame.f_lineno}"


def _asked_by_asyncio() -> bool:
    asking: Any = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]  # below: `__bool__`
    return asking.f_globals.get("__name__", "").startswith("asyncio.")


def coroutine_function(function: F) -> F:
    """Let a function pass for one that is defined with `async def`: what it returns can be awaited."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    else:  # as asyncio.iscoroutinefunction wants it, which is what frameworks ask there
        function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function


def tell_dropped(owner: Speaks, written: str, name: str) -> None:
    """Say that a composition was dropped that has not been sent, as it is of a call; for its `__del__`.

    Args:
        owner: the composition.
        written: how it stands in code, where sending it is meant.
        name: a word of that, by which the line that drops it is known.
    """
    subject, _, sync = _spoken_of(owner)
    try:
        logger.error(
            "%s was not awaited%s: nothing was sent (%s). Write `await %s`, or, where there is no event loop, `%s`.",
            *(written, _place(name), subject, written, sync),
            stacklevel=3,
        )
    except Exception:  # at the interpreter's end there may be nothing left to tell it with
        pass


def _awaited(method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    name = method.__name__

    @wraps(method)
    def call(self: Speaks, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        return AwaitedCall(method(self, *args, **kwargs), self, name)

    return coroutine_function(call)


class _Asked:
    """A method whose answer is what counts."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = _awaited(method) if inspect.iscoroutinefunction(method) else method
        self.__doc__ = method.__doc__
        self.__wrapped__ = method

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self._method if owner is None else Question(self._method, owner)


class Question(Unanswered):
    """A bound method, as any other; but to take it for the answer raises. To await it calls it, as Celery's users who
    have added an `await` expect: `await result.state`."""

    __slots__ = ("__func__", "__self__")

    def __init__(self, method: Callable[..., Any], owner: Speaks) -> None:
        self.__func__ = method
        self.__self__ = owner

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self().__await__()

    if not TYPE_CHECKING:
        __class__ = property(lambda _: MethodType)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                return getattr(self.__func__, name)
            return super().__getattr__(name)

    def _advice(self) -> str:
        method: Any = self.__func__
        call = f"{_spoken_of(self.__self__).expression}.{method.__name__}"
        is_awaited = inspect.iscoroutinefunction(inspect.unwrap(method))
        return f"`{call}` is a method, and not its answer: write `{'await ' if is_awaited else ''}{call}()`."

    def __eq__(self, other: object) -> bool:
        if type(other) is not Question:
            self._refuse()
        return self.__self__ is other.__self__ and self.__func__ is other.__func__

    __hash__ = Unanswered._refuse  # type: ignore[assignment]


if TYPE_CHECKING:

    def AwaitedCall(coroutine: Coroutine[Any, Any, T], owner: Speaks, method: str) -> Coroutine[Any, Any, T]:
        """A call of that method of `owner`, which the coroutine does."""
        ...

    def awaited(method: F) -> F:
        """A method that is to be awaited, and tells when it is not."""
        ...

    def asked(method: F) -> F:
        """A method whose answer is what counts: to ask the method in its place raises."""
        ...

else:
    AwaitedCall, awaited, asked = _Call, _awaited, _Asked
