"""Telling of what was sent: by programs, by tasks and by schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from aioqueue.around.events import ScheduleEvent, TaskEvent
from aioqueue.canvas.carried import CARRIER, OURS, first_call
from aioqueue.context import current

if TYPE_CHECKING:
    from aioqueue.around.calling import Handler
    from aioqueue.brokers.protocol import Outgoing
    from aioqueue.core import Core
    from aioqueue.task import Task

_telling: ContextVar[tuple[Core, ...]] = ContextVar("aioqueue_telling_sent", default=())
"""In a handler of `task_sent` the apps that tell: it would hear of what it sends itself, and so on without end."""


class Sent(Protocol):
    """A call, and the message that it became."""

    @property
    def target(self) -> Task[..., Any] | str: ...
    @property
    def args(self) -> tuple[Any, ...]: ...
    @property
    def kwargs(self) -> dict[str, Any]: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def message(self) -> Outgoing: ...


async def tell_sent(app: Core, batch: Sequence[Sent]) -> None:
    """Tell those who listen to `task_sent` of each of them; a handler has its time for the whole batch. Of what one
    of these sends nobody is told."""
    if "task_sent" not in app.signals.heard or app in _telling.get():
        return
    context = current.get()
    worker = context.hostname if context is not None else ""
    calls: dict[Handler, list[tuple[TaskEvent]]] = {}
    for sent in batch:
        name = _name(sent)
        if name in OURS:  # of which users know nothing: they are told of what it brings
            continue
        if handlers := app.signals.of("task_sent", name):
            event = TaskEvent(
                name="task_sent",
                task_id=sent.message.id,
                task=name,
                args=sent.args,
                kwargs=sent.kwargs,
                headers=dict(sent.options.get("headers") or {}),
                queue=sent.message.queue,
                worker=worker,
            )
            for handler in handlers:
                calls.setdefault(handler, []).append((event,))
    before = _telling.set((*_telling.get(), app))  # handlers are called in copies of this context
    try:
        for handler, events in calls.items():
            about = f"task_sent of {events[0][0].task}[{events[0][0].task_id}]"
            more = f" and {len(events) - 1} more" if len(events) > 1 else ""
            await handler.call_each(about + more, events, within=app.conf.signal_timeout)
    finally:
        _telling.reset(before)


async def tell_fired(app: Core, schedule: str, batch: Sequence[Sent]) -> None:
    """Tell those who listen to `schedule_fired` of what a schedule has sent."""
    for sent in batch:
        headers: Mapping[str, Any] = sent.options.get("headers") or {}
        with suppress(KeyError, TypeError, ValueError):
            due = datetime.fromisoformat(headers["due_at"])
            event = ScheduleEvent(
                name="schedule_fired", schedule=schedule, due_at=due, task=_fired(app, sent), task_id=sent.message.id
            )
            await app.signals.tell(
                event, within=app.conf.signal_timeout, about=f"schedule_fired of {schedule} at {due.isoformat()}"
            )


def _fired(app: Core, sent: Sent) -> str:
    """The name of a schedule's task; of a canvas, that of the first one that is sent."""
    name = _name(sent)
    first = first_call(app.signature(sent.args[0])) if name == CARRIER else None
    return name if first is None else first[0].task


def _name(sent: Sent) -> str:
    return sent.target if isinstance(sent.target, str) else sent.target.name
