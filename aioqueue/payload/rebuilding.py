"""An exception from a `Failure`, which may be forged.

Celery's CVE-2021-23727 was this place: names in a result could call any function. Here a name is only looked up
among classes that are loaded already, must be a subclass of `Exception`, and the object is made by the builtin it
derives from: no `__new__`, `__init__`, `__setattr__` or `__getattr__` of anybody runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from aioqueue.exceptions import ChordError, Ignore, Reject, Retry, TaskFailed, UpstreamFailed
from aioqueue.payload.naming import loaded_classes
from aioqueue.payload.upstream import as_its_cause, builtin_base

if TYPE_CHECKING:
    from aioqueue.payload.failure import Failure

REMOTE: Final = "\nTraceback in the worker"
"""How the note begins that is the traceback of where it was raised."""
_MAX_CAUSES: Final = 20
_MAX_DEPTH: Final = 10  # of groups in groups
_MAX_FAILURES: Final = 1000

# Raised out of `get()`, these would mean something else: they end iterations and coroutines, or steer the task that
# waits for the result.
_CONTROL_FLOW: Final = (StopIteration, StopAsyncIteration, Retry, Reject, Ignore)


def rebuild(failure: Failure) -> BaseException:
    """The exception, with its causes. Never raises."""
    return _chain(failure, _MAX_DEPTH, [_MAX_FAILURES])


def _chain(failure: Failure, depth: int, left: list[int]) -> Exception:
    first = current = _one(failure, depth, left)
    link = failure.cause
    for _ in range(_MAX_CAUSES):
        if link is None or left[0] <= 0:
            break
        cause = _one(link, depth, left)
        _set(BaseException, "__cause__", current, cause)
        current, link = cause, link.cause
    if type(first) in (UpstreamFailed, ChordError) and first.__cause__ is not None:
        return as_its_cause(first, first.__cause__)
    return first


def _one(failure: Failure, depth: int, left: list[int]) -> Exception:
    left[0] -= 1
    try:
        exc = _group(failure, depth, left) if failure.group and depth > 0 else _single(failure)
    except Exception:
        exc = None
    if exc is None:
        name = failure.type.replace(":", ".")
        arguments = tuple(failure.given()[0])
        exc = TaskFailed(f"{failure.name}: {failure.message}", exception_type=name, arguments=arguments)
    notes = list(failure.notes)
    if failure.traceback:
        notes.append(f"{REMOTE} (most recent call last):\n{failure.traceback.rstrip()}")
    if notes:
        _dict_of(exc)["__notes__"] = notes
    return exc


def _single(failure: Failure) -> Exception | None:
    cls = find_class(failure.type)
    if cls is None or issubclass(cls, BaseExceptionGroup):
        return None
    base = builtin_base(cls)
    arguments, attributes = failure.given()
    args = tuple(arguments)
    exc = cast("Exception", base.__new__(cls, *args))
    if type(exc) is not cls and not issubclass(type(exc), base):
        return None
    try:
        # The builtin's own, written in C: sets what lies outside of args, as UnicodeDecodeError's reason.
        base.__init__(exc, *args)
    except Exception:
        if issubclass(base, UnicodeError):
            return None  # without it, its attributes raise
    _set(BaseException, "args", exc, args[:2] if issubclass(cls, OSError) and len(args) in (3, 4, 5) else args)
    _dict_of(exc).update((name, value) for name, value in attributes.items() if not name.startswith("__"))
    return exc


def _group(failure: Failure, depth: int, left: list[int]) -> Exception | None:
    cls = find_class(failure.type) or ExceptionGroup
    members: list[Exception] = []
    for member in failure.group:
        if left[0] <= 0:
            break
        members.append(_chain(member, depth - 1, left))
    if not issubclass(cls, ExceptionGroup):
        cls = ExceptionGroup
    # A BaseExceptionGroup becomes an ExceptionGroup: SystemExit and its like are TaskFailed by now.
    exc = ExceptionGroup.__new__(cast("Any", cls), failure.message, members)
    _dict_of(exc).update((name, value) for name, value in failure.given()[1].items() if not name.startswith("__"))
    return exc


def find_class(name: str) -> type[Exception] | None:
    """The class that `module:qualname` names, if it is loaded here and can be raised safely out of a wait."""
    for found in loaded_classes(name):
        mro: tuple[type, ...] = type.__dict__["__mro__"].__get__(found)
        if Exception in mro and not any(steering in mro for steering in _CONTROL_FLOW):
            return cast("type[Exception]", found)
    return None


def _set(owner: type, name: str, exc: BaseException, value: Any) -> None:
    # Past a __setattr__ or a property of the class.
    owner.__dict__[name].__set__(exc, value)


def _dict_of(exc: BaseException) -> dict[str, Any]:
    return object.__getattribute__(exc, "__dict__")
