"""`Depends`: a parameter that the worker fills in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar, cast, overload

from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.kinds import shown

if TYPE_CHECKING:
    # What functions decorated with contextlib's decorators give: there is no public name for it.
    from contextlib import _AsyncGeneratorContextManager, _GeneratorContextManager  # pyright: ignore

    AsyncEntered = _AsyncGeneratorContextManager
    Entered = _GeneratorContextManager

Scope = Literal["task", "worker"]

T = TypeVar("T")
_File = TypeVar("_File", bound=IO[Any])
_Lock = TypeVar("_Lock", bound="_Locking")
_T_co = TypeVar("_T_co", covariant=True)


class Dependency(NamedTuple):
    """What `Depends(...)` says.

    Attributes:
        function: gives the value; None is the one that the annotation names.
        scope: for how long it is open.
    """

    function: Callable[..., Any] | None
    scope: Scope | None


class _Locking(Protocol):
    def acquire(self) -> Any: ...
    def release(self) -> Any: ...


class _AsyncContext(Protocol[_T_co]):
    async def __aenter__(self) -> _T_co: ...
    async def __aexit__(self, kind: Any, error: Any, traceback: Any, /) -> Any: ...


class _Context(Protocol[_T_co]):
    def __enter__(self) -> _T_co: ...
    def __exit__(self, kind: Any, error: Any, traceback: Any, /) -> Any: ...


# What gives a value comes before what gives something else that has one, for a file is an iterator as well.
@overload
def Depends(function: type[_Lock], /, *, scope: Scope = "task") -> _Lock: ...  # pyright: ignore[reportOverlappingOverload]
@overload
def Depends(function: type[_AsyncContext[T]], /, *, scope: Scope = "task") -> T: ...
@overload
def Depends(function: type[_Context[T]], /, *, scope: Scope = "task") -> T: ...
@overload
def Depends(function: Callable[..., AsyncEntered[T]], /, *, scope: Scope = "task") -> T: ...
@overload
def Depends(function: Callable[..., Entered[T]], /, *, scope: Scope = "task") -> T: ...
@overload
def Depends(function: Callable[..., _File], /, *, scope: Scope = "task") -> _File: ...
@overload
def Depends(function: Callable[..., AsyncIterator[T]], /, *, scope: Scope = "task") -> T: ...
@overload
def Depends(function: Callable[..., Awaitable[T]], /, *, scope: Scope = "task") -> T: ...
@overload
def Depends(function: Callable[..., Iterator[T]], /, *, scope: Scope = "task") -> T: ...
@overload
def Depends(function: Callable[..., T], /, *, scope: Scope = "task") -> T: ...
@overload
def Depends(*, scope: Scope = "task") -> Any: ...
def Depends(function: Callable[..., Any] | None = None, /, *, scope: Scope | None = None) -> Any:
    """The default of a parameter that the worker fills in: with what `function` gives.

        async def session() -> AsyncIterator[Session]: ...

        @app.task
        async def charge(order: int, s: Session = Depends(session)) -> None: ...

    In an annotation it does the same: `s: Annotated[Session, Depends(session)]`. Such a parameter is no part of what is
    sent: `charge.send(42)`.

    Args:
        function: a function, a coroutine function, a generator or an async generator function that yields once, one of
            them under `contextlib`'s decorators, or a class; those that are context managers are entered. It may have
            dependencies of its own, and take `ctx: TaskContext`. Left out, it is what the annotation says:
            `s: Service = Depends()`.
        scope: "task" opens it before each run of the task and closes it after that; "worker" opens it once in a worker
            process, when it is first needed, and closes it when the worker stops.

    Raises:
        ConfigurationError: `function` cannot be called, or there is no such scope.
    """
    if function is not None:
        check_function(function, "Depends")
    if scope not in (None, "task", "worker"):
        raise ConfigurationError(
            f"Depends(scope={scope!r}): a scope is 'task' or 'worker'.{suggest(str(scope), ('task', 'worker'))}"
        )
    return cast("Any", Dependency(function, scope))


def check_function(function: Any, word: str) -> None:
    """Whether something can give a value.

    Raises:
        ConfigurationError: it cannot; `word` is whose argument it is.
    """
    kind = cast("type[Any]", type(function))
    if hasattr(kind, "apply_async"):
        raise ConfigurationError(
            f"{word}({function.name}): that is a task, which is sent, and no dependency. Give the function under it a "
            "name of its own."
        )
    if kind.__module__ == "contextlib" or isinstance(function, Coroutine | Generator | AsyncGenerator):
        raise ConfigurationError(
            f"{word}({shown(function)}): that has been called already. Give the function itself: {word}(session), "
            f"not {word}(session())."
        )
    if not callable(function):
        raise ConfigurationError(
            f"{word}({shown(function)}): that cannot be called. It takes a function that gives the value, such as "
            "lambda: value."
        )
