"""Who listens to which moments of an app: the registry behind `app.on`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from aioqueue.around.calling import Handler
from aioqueue.around.events import (
    END_MOMENTS,
    MOMENTS,
    TASK_MOMENTS,
    BeatEvent,
    Event,
    ScheduleEvent,
    TaskEvent,
    WorkerEvent,
    moment,
)
from aioqueue.exceptions import ConfigurationError

_OfTasks = TypeVar("_OfTasks", bound=Callable[[TaskEvent], object])
_OfWorkers = TypeVar("_OfWorkers", bound=Callable[[WorkerEvent], object])
_OfBeat = TypeVar("_OfBeat", bound=Callable[[BeatEvent], object])
_OfSchedules = TypeVar("_OfSchedules", bound=Callable[[ScheduleEvent], object])


class ListensToTasks(Protocol):
    """`@app.on("task_failure")`."""

    def __call__(self, handler: _OfTasks, /) -> _OfTasks: ...


class ListensToWorkers(Protocol):
    """`@app.on("worker_ready")`."""

    def __call__(self, handler: _OfWorkers, /) -> _OfWorkers: ...


class ListensToBeat(Protocol):
    """`@app.on("beat_init")`."""

    def __call__(self, handler: _OfBeat, /) -> _OfBeat: ...


class ListensToSchedules(Protocol):
    """`@app.on("schedule_fired")`."""

    def __call__(self, handler: _OfSchedules, /) -> _OfSchedules: ...


class Signals:
    """The handlers of one app.

    Attributes:
        heard: the moments that somebody listens to.
        hears_ends: somebody listens to one that comes after an end.
        under_way: what calls handlers beside, in all event loops.
        tapped: what hears of all moments, before the others; see `tap`.
    """

    def __init__(self) -> None:
        self.heard: frozenset[str] = frozenset()
        self.hears_ends = False
        self.under_way: set[asyncio.Task[Any]] = set()
        self.tapped: Handler | None = None
        self._handlers: dict[str, list[tuple[str | None, Handler]]] = {}

    def connect(self, name: str, function: Callable[..., Any], task: str | None) -> None:
        """Call a function at a moment.

        Args:
            name: the moment, in any of its spellings.
            function: a coroutine function or a plain one, called with the event.
            task: the name of the only task that it is to hear of.

        Raises:
            ConfigurationError: there is no such moment, it is not a task's, or what is given cannot be called with an
                event.
        """
        which = moment(name)
        if task is not None and which not in TASK_MOMENTS:
            raise ConfigurationError(
                f"app.on({name!r}, task=...): {which} is no moment of a task. The handler hears of nothing."
            )
        if not callable(function):
            raise ConfigurationError(
                f"app.on({name!r}) takes a function, not {function!r}: write @app.on({name!r}) above it. The handler "
                "hears of nothing."
            )
        _check_parameters(function, name)
        self._handlers.setdefault(which, []).append((task, Handler(function)))
        self._look()

    def tap(self, handler: Handler | None) -> None:
        """Let it hear of all moments of all tasks; None: nothing does any more."""
        self.tapped = handler
        self._look()

    def _look(self) -> None:
        self.heard = frozenset(MOMENTS if self.tapped is not None else self._handlers)
        self.hears_ends = bool(self.heard & END_MOMENTS)

    def of(self, name: str, task: str | None = None) -> Sequence[Handler]:
        """Those that listen to a moment, of a task if it is one, in the order in which they came."""
        if name not in self.heard:
            return ()
        known = self._handlers.get(name, ())
        found = [handler for wanted, handler in known if wanted is None or wanted == task]
        return found if self.tapped is None else [self.tapped, *found]

    def of_tasks(self) -> dict[str, set[str]]:
        """The moments that somebody listens to for one task only, by the name of that."""
        found: dict[str, set[str]] = {}
        for which, handlers in self._handlers.items():
            for task, _ in handlers:
                if task is not None:
                    found.setdefault(task, set()).add(which)
        return found

    async def tell(self, event: Event, task: str | None = None, *, within: float, about: str | None = None) -> None:
        """Call those that listen to a moment, one after the other; each may take that many seconds."""
        for handler in self.of(event.name, task):
            await handler.call(about or event.name, event, within=within)


def _check_parameters(function: Callable[..., Any], name: str) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # it has none to be seen
        return
    why = ""
    try:
        signature.bind(None)
    except TypeError:
        why = "cannot be called with one event"
    if next(iter(signature.parameters), "") == "sender":
        why = "has the parameters of a handler of Celery's"
    if why:
        plain = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
        taken = signature.replace(parameters=plain, return_annotation=signature.empty)
        shown = f"{getattr(function, '__qualname__', type(function).__qualname__)}{taken}"
        raise ConfigurationError(
            f"app.on({name!r}): {shown} {why}. A handler gets one argument, an event, which has all the rest, such as "
            "event.task_id: write `def handler(event)`. The handler hears of nothing."
        )
