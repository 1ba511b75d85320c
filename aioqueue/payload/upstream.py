"""The error of what did not run, since something before it failed: as what that raised, too.

So `except ValueError` around the `get()` of a chain catches what a step of it raised, as it catches what a task alone
raises.
"""

from __future__ import annotations

import builtins
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from aioqueue.exceptions import UpstreamFailed

_BUILTIN: Final = frozenset(
    value for value in vars(builtins).values() if isinstance(value, type) and issubclass(value, BaseException)
)

E = TypeVar("E", bound=Exception)


class _Both:
    """Stands first among the bases, and keeps the code of the others' classes from being run."""

    def __init_subclass__(cls, **_: Any) -> None:
        """Nothing: those of the others are not called."""

    def __str__(self) -> str:
        return BaseException.__str__(cast("BaseException", self))

    def __repr__(self) -> str:
        return BaseException.__repr__(cast("BaseException", self))

    def __reduce__(self) -> tuple[Any, ...]:
        error = cast("BaseException", self)
        return _again, (type(self).__bases__[1], error.args, error.__cause__)


def as_its_cause(error: E, cause: BaseException) -> E:
    """`error` with its cause: of its own class and of that of the cause, with the cause's attributes; of its own alone
    where no class can be both. No code of the cause's class is run."""
    error.__cause__ = cause
    kind = _class_of(type(error), type(cause))
    if kind is None:
        return error
    base: Any = builtin_base(kind)
    args: tuple[Any, ...] = BaseException.__dict__["args"].__get__(cause)
    try:
        both: Any = base.__new__(kind, *args)
        base.__init__(both, *args)  # sets what lies outside of args, as the errno of an OSError
    except Exception:
        return error
    own: dict[str, Any] = object.__getattribute__(cause, "__dict__")
    attributes: dict[str, Any] = object.__getattribute__(both, "__dict__")
    attributes.update((name, value) for name, value in own.items() if name != "__notes__")
    attributes.update(vars(error))
    BaseException.__dict__["args"].__set__(both, error.args)
    BaseException.__dict__["__cause__"].__set__(both, cause)
    return both


@lru_cache(1024)
def _class_of(kind: type[Exception], cause: type[BaseException]) -> type[Exception] | None:
    if type(cause) is not type or not issubclass(cause, Exception) or issubclass(cause, ExceptionGroup):
        return None
    if issubclass(cause, UpstreamFailed) or issubclass(kind, cause):
        return None
    about = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    try:
        return type(kind.__name__, (_Both, kind, cause), about)
    except Exception:  # their layouts differ, or it is a class that cannot be derived from
        return None


def builtin_base(kind: type) -> Any:
    """The nearest base that Python itself defines: its `__new__` and `__init__` are known."""
    return next(base for base in type.__dict__["__mro__"].__get__(kind) if base in _BUILTIN)


def _again(kind: type[Exception], args: tuple[Any, ...], cause: BaseException | None) -> Exception:
    error = kind(*args)
    error.__cause__ = cause
    return error if cause is None else as_its_cause(error, cause)
