"""What a task returns that is still to be run, and that nobody will run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from types import AsyncGeneratorType, CoroutineType, GeneratorType, NoneType
from typing import Any, Final, cast

from aioqueue.awaiting import Done
from aioqueue.exceptions import ConfigurationError
from aioqueue.payload.plain import type_name
from aioqueue.result import AsyncResult
from aioqueue.task import Task
from aioqueue.worker.run import Run

COLLECTIONS: Final = frozenset((list, tuple, set, dict))
# Types of which nothing need be asked.
_PLAIN: Final = frozenset((int, str, float, bool, bytes, NoneType)) | COLLECTIONS
_ITERATED: Final = frozenset((GeneratorType, AsyncGeneratorType, map, filter, zip, enumerate))
_AWAITS, _ITERATES = ("awaits", "await it"), ("iterates", "return what it yields, in a list")
_ENTERS, _WAITS = ("enters", "use it in a with statement"), ("waits for", "return its result")


def undone(run: Run, value: Any) -> ConfigurationError | None:
    """The error of a task that returned such a thing."""
    return undone_of(run.task, value, spread=run.message.spread is not None)


def undone_of(task: Task[..., Any], value: Any, *, spread: bool) -> ConfigurationError | None:
    """The same where there is no run; `spread`: a list of what it returned."""
    return _first(task, value if spread else (value,))


def undone_within(run: Run, value: Any) -> ConfigurationError | None:
    """The error of a task that returned a collection of such things.

    It looks at each item, so it is for what nobody else looks at: encoding a result refuses them too.
    """
    for one in value if run.message.spread is not None else (value,):
        kind = cast("type[Any]", type(one))
        items: Iterable[Any] = one.values() if kind is dict else one if kind in COLLECTIONS else ()
        if set(map(type, items)) <= _PLAIN:
            continue
        # What asyncio.wait() gave has been done.
        items = [one for one in items if not (isinstance(one, asyncio.Future | Future) and one.done())]
        if (error := _first(run.task, items)) is not None:
            return error
    return None


def _first(task: Task[..., Any], values: Iterable[Any]) -> ConfigurationError | None:
    error = None
    for one in values:
        kind = cast("type[Any]", type(one))
        if kind in _PLAIN or (way := _way(kind)) is None:
            continue
        if isinstance(one, CoroutineType):
            cast("CoroutineType[Any, Any, Any]", one).close()
            kind = CoroutineType  # that of a `send`, too, which only passes for one
        error = error or ConfigurationError(
            f"{task.name} returned a {type_name(kind)} that nobody {way[0]}, so that what it stands for was not "
            f"done: {way[1]}. It ran, and is not run again."
        )
    return error


def _way(kind: type[Any]) -> tuple[str, str] | None:
    """What has to be done with values of that type, and how it is said."""
    if kind in _ITERATED or kind.__module__ == "itertools":
        return _ITERATES
    if kind.__module__ == "contextlib":
        return _ENTERS
    if issubclass(kind, Future):
        return _WAITS
    # A task that was sent runs elsewhere, whether its result is awaited or not.
    return _AWAITS if hasattr(kind, "__await__") and not issubclass(kind, AsyncResult | Done) else None
