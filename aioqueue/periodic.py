"""Schedules as they are declared: `@app.periodic(...)`, an entry of `beat_schedule`, `app.schedules.add(...)`.

What is wrong with one is told where it is declared. Firing them is the business of `aioqueue.beat`, which nothing here
needs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar, cast, get_args, overload

import msgspec

from aioqueue import kinds
from aioqueue.beat_schedule import Misfire, When
from aioqueue.canvas.base import Canvas
from aioqueue.canvas.carried import as_message
from aioqueue.canvas.layout import At, Layout
from aioqueue.canvas.signatures import Signature
from aioqueue.exceptions import AioQueueError, ConfigurationError, NotRegistered, suggest
from aioqueue.kinds import Kind
from aioqueue.options import arguments, checked
from aioqueue.outgoing import outgoing
from aioqueue.routing.routes import asks_functions
from aioqueue.schedules import Schedule, as_schedule
from aioqueue.schedules.zones import moments, zone
from aioqueue.task import Task, make_task

if TYPE_CHECKING:
    from aioqueue.core import Core
    from aioqueue.task import CoroutineTask, FunctionTask

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=Task[..., Any])


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a schedule fires, beside when.

    Attributes:
        misfire: what becomes of due times that were missed.
        misfire_grace: for how many seconds a due time may be late at all; None leaves that to `misfire`.
        max_running: while so many of its tasks have not ended, due times are left out.
        start_at, end_at: nothing is due before, and after.
        max_runs: after so many nothing is due any more.
    """

    misfire: Misfire = "once"
    misfire_grace: float | None = None
    max_running: int | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    max_runs: int | None = None

    def localized(self, timezone: str) -> Terms:
        """The same, with its moments read in that time zone if they name none.

        Raises:
            ConfigurationError: nobody knows that zone.
        """
        return msgspec.structs.replace(
            self, start_at=_in_zone(self.start_at, timezone), end_at=_in_zone(self.end_at, timezone)
        )


def _in_zone(moment: datetime | None, timezone: str) -> datetime | None:
    return moment if moment is None or moment.tzinfo is not None else moments(moment, zone(timezone))[0]


class Periodic(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule with all that belongs to it.

    Attributes:
        name: its own; there is one of that name.
        canvas: what is sent.
        schedule: when.
        terms: how.
    """

    name: str
    canvas: Canvas[Any]
    schedule: Schedule
    terms: Terms


def periodic(
    app: Core, name: str, canvas: Canvas[Any], schedule: When, given: Mapping[str, Any], *, what: str, **trial: Any
) -> Periodic:
    """A schedule that can fire, as far as that can be known.

    Args:
        app: whose.
        name: its name.
        canvas: what is sent.
        schedule: when.
        given: terms, as `TermsGiven` has them.
        what: whose values these are, for messages.
        trial: see `try_canvas`.

    Raises:
        ConfigurationError: it cannot; also where the arguments don't fit the task.
        PayloadError: an argument cannot be sent.
    """
    canvas = canvas.clone()  # it is read again and again, and what it was made of may be changed, or be a generator
    found = Periodic(
        name=NAME.of("The name of a schedule", name),
        canvas=canvas,
        schedule=as_schedule(schedule),
        terms=_terms(given, what),
    )
    for option, why in _SET_BY_DUE_TIME.items():
        if option in canvas.options:
            raise ConfigurationError(f"The option {option} has no place in {_inside(what)}: {why}.")
    try_canvas(app, canvas, what, **trial)
    return found


def _terms(given: Mapping[str, Any], what: str) -> Terms:
    found: dict[str, Any] = {}
    for option, value in given.items():
        if option not in _TERMS:
            raise ConfigurationError(f"{what} has no option {option!r}.{suggest(option, _TERMS)}")
        if value is not None:
            found[option] = _TERMS[option].of(f"The option {option} of {_inside(what)}", value)
    return Terms(**found)


def _inside(what: str) -> str:
    """Whose values these are, within a sentence."""
    return what[:1].lower() + what[1:]


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable() or value != value.strip():
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    try:
        value.encode(errors="surrogateescape")  # names that others have stored may be no text, and are kept like that
    except UnicodeEncodeError:
        raise ValueError("it has a lone surrogate, which isn't Unicode") from None
    return value


NAME: Final = Kind("a text of 1 to 200 printable characters, with no space at its ends", _name)
NAME_TO_FIND: Final = Kind("a text", _text)
"""What is looked for, be it there or not."""
_SET_BY_DUE_TIME: Final = {
    "eta": "it is due when its schedule says so",
    "task_id": "each of its tasks has an id made of the schedule's name and the due time",
}
_TERMS: Final[dict[str, Kind]] = {
    "misfire": kinds.one_of(get_args(Misfire)),
    "misfire_grace": kinds.SECONDS,
    "max_running": kinds.POSITIVE,
    "start_at": kinds.MOMENT,
    "end_at": kinds.MOMENT,
    "max_runs": kinds.POSITIVE,
}


def try_canvas(app: Core, canvas: Canvas[Any], what: str, *, known_only: bool = False, routed: bool = False) -> None:
    """Make the messages of a canvas, and send none of them.

    Args:
        app: sends it.
        canvas: what is to be sent when it is due.
        what: whose it is, for messages.
        known_only: an app that has tasks knows all that it sends.
        routed: each of its tasks goes to one queue, as far as that is known before it is due: functions of
            `task_routes` are not asked.

    Raises:
        ConfigurationError: the arguments don't fit a task, or the canvas cannot be sent.
        PayloadError: an argument cannot be sent.
        NotRegistered: there is no such task.
        RoutingError: no queue is found for a task, or several.
    """
    routed = routed and not asks_functions(app.conf.task_routes)
    names: list[str] = []
    try:
        if (call := as_message(canvas)) is not None:
            names.append(call.task)
            queue = None if routed else "any"
            outgoing(app, call.target_in(app), call.args, call.kwargs, call.options, 0, again=True, queue=queue)
        else:
            layout = Layout(app, now=0, keep=0, routed=routed)
            for _ in layout.parts(canvas, At()):
                pass
            names += filter(None, layout.shape.tasks)
    except TypeError as error:
        raise ConfigurationError(f"{what} cannot fire: {_unsent(error)}") from None
    except AioQueueError as error:
        error.args = (_unsent(error),)
        raise
    if not names:
        raise ConfigurationError(f"{what} has nothing to send: there is no task in {canvas!r}.")
    if known_only and app.tasks:
        for name in names:
            if name not in app.tasks:
                raise NotRegistered(app.not_registered(name))


def _unsent(error: Exception) -> str:
    """Its message, without what is said of sending: nothing was to be sent yet."""
    return str(error).removesuffix(" Nothing was sent.").removesuffix("; nothing was sent")


# In a program's code


def _is_of(app: Core, task: Task[..., Any]) -> bool:
    known = app.tasks.get(task.name)
    return known is task or (known is not None and known.function is task.function)


class Declared:
    """The schedules that `@app.periodic` has declared on an app."""

    def __init__(self) -> None:
        self._all: dict[str, tuple[Task[..., Any], Periodic]] = {}

    def of(self, app: Core) -> list[Periodic]:
        """Those whose tasks are still the app's: a module that was loaded again may declare a task without them."""
        return [found for task, found in self._all.values() if _is_of(app, task)]

    def name_for(self, task: Task[..., Any]) -> str:
        """A name for one more schedule of a task, whose declaration gives none: the task's, or with a number."""
        taken = {name for name, (owner, _) in self._all.items() if owner.function is task.function}
        number = 1
        while (name := task.name if number == 1 else f"{task.name}#{number}") in taken:
            number += 1
        return name

    def add(self, task: Task[..., Any], found: Periodic) -> None:
        """Add one.

        Raises:
            ConfigurationError: its name is taken.
        """
        for name, (owner, _) in list(self._all.items()):
            # Declared again, as by a module that is loaded again; several on one function are several schedules.
            if owner.function is not task.function and owner.name == task.name:
                del self._all[name]
        if (known := self._all.get(found.name)) is not None:
            raise ConfigurationError(
                f"Two schedules have the name {found.name!r}, of the tasks {known[0].name} and {task.name}. Give one "
                "of them another: @app.periodic(..., name=...)."
            )
        self._all[found.name] = task, found


def declared_on(app: Core) -> list[Periodic]:
    """The schedules that `@app.periodic` has declared on an app, and whose tasks are still its own."""
    return list(app.declared.of(app)) if app.declared is not None else []


class PeriodicDecorator(Protocol):
    """`@app.periodic(...)`: on a task, or on a function, which it makes a task."""

    @overload
    def __call__(self, task: T, /) -> T: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> CoroutineTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionTask[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        """The task."""
        ...


def declare(
    app: Core,
    schedule: When,
    name: str | None,
    args: Iterable[Any],
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any] | None,
    terms: Mapping[str, Any],
) -> PeriodicDecorator:
    """`@app.periodic(...)`: what puts a schedule on a task, or on a function of which it makes one."""
    declared = app.declared
    if not isinstance(declared, Declared):
        declared = app.declared = Declared()
    if isinstance(schedule, Task) or (callable(schedule) and not isinstance(schedule, Schedule)):
        raise ConfigurationError("@app.periodic takes a schedule: @app.periodic(every(minutes=10)).")
    when = as_schedule(schedule)

    def decorate(function: Any) -> Any:
        task = cast("Task[..., Any]", function)
        if not isinstance(function, Task):
            task = app.register(make_task(app, function, False, {}))
        if not _is_of(app, task):
            raise ConfigurationError(f"@app.periodic stands on a task of another app than {app.name!r}: {task.name}.")
        own = declared.name_for(task) if name is None else name
        merged = {**task.send_options, **checked(options or {})}
        call: Signature[Any] = Signature(app, task.name, *arguments(args, kwargs), merged)
        try:
            found = periodic(app, own, call, when, terms, what=f"The schedule {own!r}")
        except ConfigurationError:
            raise
        except AioQueueError as error:
            raise ConfigurationError(f"The schedule {own!r} cannot fire: {error}") from error
        declared.add(task, found)
        return task

    return cast("PeriodicDecorator", decorate)
