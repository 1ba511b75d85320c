"""The schedules of a program's code, `@app.periodic` and `beat_schedule`, as they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from aioqueue.beat.definition import stored
from aioqueue.beat_schedule import BeatEntry, entry
from aioqueue.brokers.protocol import FROM_CODE, Broker, StoredSchedule
from aioqueue.canvas.base import Canvas
from aioqueue.canvas.signatures import Signature
from aioqueue.exceptions import AioQueueError, ConfigurationError, RoutingError
from aioqueue.logs import logger
from aioqueue.options import checked
from aioqueue.periodic import Periodic, declared_on, periodic, try_canvas
from aioqueue.schedules import Schedule
from aioqueue.task import Task

if TYPE_CHECKING:
    from aioqueue.core import Core


class Code(msgspec.Struct):
    """The schedules of a program's code.

    Attributes:
        schedules: as they are stored when they are new.
        own: those that have no text, for they are of classes of the program's own; by name.
        broken: why others are left out, by name.
        doubts: what may be wrong with some of the schedules, by name.
    """

    schedules: list[StoredSchedule] = []
    own: dict[str, Schedule] = {}
    broken: dict[str, str] = {}
    doubts: dict[str, str] = {}


def code_of(app: Core, now: int) -> Code:
    """The schedules of the code of an app. What is wrong with one harms no other.

    Args:
        app: the app, with all that it includes imported.
        now: ms since the epoch, by the broker's clock.
    """
    code = Code()
    declared = declared_on(app)
    names = {found.name for found in declared}
    for found in declared:
        _take(app, code, found, now)
    for name, given in app.conf.beat_schedule.items():
        try:
            if name in names:
                raise ConfigurationError(
                    f"The schedule {name!r} is declared twice, with @app.periodic and in beat_schedule; the first one "
                    "counts. Rename one of them."
                )
            found = _of_entry(app, entry(name, given))
        except AioQueueError as error:
            code.broken[str(name)] = str(error)
            continue
        _take(app, code, found, now)
        if isinstance(found.canvas, Signature) and app.tasks and found.canvas.task not in app.tasks:
            code.doubts[name] = f"{app.not_registered(found.canvas.task)} It is sent by that name all the same."
    return code


def names_in_code(app: Core) -> set[str]:
    """How the schedules of the code of an app are called, be there something wrong with them or not."""
    return {found.name for found in declared_on(app)} | {str(name) for name in app.conf.beat_schedule}


def tell(code: Code, told: dict[str, str]) -> None:
    """Say what is wrong with schedules of the code; what stands in `told` has been said."""
    for name, problem in {**code.doubts, **code.broken}.items():
        if told.get(name) == problem:
            continue
        told[name] = problem
        if name in code.broken:
            logger.error("Schedule %s is left out: %s", name, problem)
        else:
            logger.warning("Schedule %s: %s", name, problem)


async def stand_for(
    app: Core, broker: Broker, scheduler: str, told: dict[str, str], *, lease: int
) -> dict[str, Schedule]:
    """Let a scheduler stand for the schedules of the code of its app.

    Args:
        app: the app, with all that it includes imported.
        broker: keeps them.
        scheduler: its id.
        told: what has been said of them; see `tell`.
        lease: ms for which it stands for them.

    Returns:
        Those that have no text, by name.
    """
    code = code_of(app, broker.now())
    tell(code, told)
    await broker.declare_schedules(scheduler, code.schedules, lease=lease)
    return code.own


def _take(app: Core, code: Code, found: Periodic, now: int) -> None:
    try:
        if found.schedule.text() is None:
            code.own[found.name] = found.schedule.localized(app.conf.timezone)
        schedule = stored(app, found, source=FROM_CODE, now=now)
    except Exception as error:  # a schedule of the user's own may raise anything
        code.broken[found.name] = str(error) or type(error).__name__
        return
    code.schedules.append(schedule)
    try:
        try_canvas(app, found.canvas, f"The schedule {found.name!r}", routed=True)
    except RoutingError as error:  # where it is fired there may be other queues
        code.doubts[found.name] = str(error)


def _of_entry(app: Core, given: BeatEntry) -> Periodic:
    what = f"The schedule {given.name!r}"
    task: Any = given.task
    canvas: Canvas[Any]
    if isinstance(task, Canvas):
        if given.args or given.kwargs:
            raise ConfigurationError(f"{what} has args or kwargs beside a canvas: put them into that.")
        canvas = cast("Canvas[Any]", task).clone().set(**given.options)
    elif isinstance(task, str | Task):
        name = task if isinstance(task, str) else task.name
        canvas = Signature(app, name, given.args, given.kwargs, checked(given.options))
    else:
        raise ConfigurationError(f"{what} has {task!r} as its task: that is a task, its name, or a canvas.")
    return periodic(app, given.name, canvas, given.schedule, given.terms, what=what)
