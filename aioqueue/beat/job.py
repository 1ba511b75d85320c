"""A schedule that is stored, ready to be fired: its due times, and the message of each."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from aioqueue.beat.definition import read_definition
from aioqueue.beat.due import Times, moment_of
from aioqueue.beat.ways import with_ways
from aioqueue.brokers.protocol import StoredSchedule
from aioqueue.canvas.carried import CARRIER, as_message, first_call
from aioqueue.dispatch import Posting
from aioqueue.exceptions import AioQueueError
from aioqueue.outgoing import outgoing
from aioqueue.routing.addressing import addressed_once
from aioqueue.schedules import Schedule, parse_schedule, print_of

if TYPE_CHECKING:
    from aioqueue.core import Core

_MOST_OF_NAME = 200


class Job:
    """A schedule that is stored, ready to be fired.

    Args:
        app: sends what is due.
        stored: the schedule.
        own: those schedules of this program's code that have no text, by name.

    Attributes:
        name: the schedule's.
        terms: how it fires.
        schedule: when.
        canvas: what is sent.

    Raises:
        AioQueueError: it cannot be read, or this program's code does not have it.
    """

    def __init__(self, app: Core, stored: StoredSchedule, own: Mapping[str, Schedule]) -> None:
        definition = read_definition(stored)
        self._app = app
        self._times: Times | None = None
        self.name = stored.name
        self.terms = definition.terms
        if definition.schedule is not None:
            self.schedule = parse_schedule(definition.schedule)
        elif stored.name in own and print_of(own[stored.name]) == definition.own:
            self.schedule = own[stored.name]
        else:
            raise AioQueueError(
                f"The schedule {stored.name!r} is {definition.own}, of a program's own class, which is not in the code "
                "of this scheduler: it fires where that code runs a scheduler."
            )
        self.canvas = with_ways(app, app.signature(definition.canvas), definition.ways)
        self._carried = None if as_message(self.canvas) is not None else self.canvas.to_dict()

    def times(self, since: int) -> Times:
        """Its due times; `since` is one of them, or when it was added."""
        if self._times is None or self._times.since != since:
            self._times = Times(self.name, self.schedule, self.terms, since)
        return self._times

    def posting(self, due: int, now: int) -> Posting:
        """The message of a due time.

        Args:
            due: ms since the epoch.
            now: the same, by the broker's clock.

        Raises:
            AioQueueError: it cannot be sent.
        """
        canvas, app = self.canvas, self._app
        options: dict[str, Any] = {"task_id": task_id(self.name, due), "headers": headers_of_due(self.name, due)}
        target: Any
        if (call := as_message(canvas)) is not None:
            target, args, kwargs = call.target_in(app), call.args, call.kwargs
            headers = {**canvas.options.get("headers", {}), **options["headers"]}
            options = {**canvas.options, **options, "headers": headers}
        else:
            target, args, kwargs = CARRIER, (self._carried,), {}
            options["queue"] = self._queue()
            if "expires" in canvas.options:
                options["expires"] = canvas.options["expires"]
        return Posting(target, args, kwargs, options, outgoing(app, target, args, kwargs, options, now, again=True))

    def _queue(self) -> str:
        """The queue of a canvas's first task: whoever works on that one knows what to do."""
        first = first_call(self.canvas)
        if first is None:
            return self._app.conf.task_default_queue
        call, options = first
        return addressed_once(self._app, call.target_in(self._app), call.args, call.kwargs, options)[0]


def headers_of_due(name: str, due: int) -> dict[str, str]:
    """The headers of what is sent for a due time."""
    return {"schedule": name, "due_at": moment_of(due).isoformat()}


def task_id(name: str, due: int) -> str:
    """The id of what is sent for a due time: the schedule's name, as an id may be, and the moment. It is never taken
    for that of a part of a workflow, which ends with a digit."""
    short = name.replace("%", "%25").replace(" ", "%20")
    if len(short) > _MOST_OF_NAME:
        short = f"{short[:_MOST_OF_NAME]}~{blake2b(name.encode(), digest_size=8).hexdigest()}"
    timespec = "milliseconds" if due % 1000 else "seconds"
    return f"{short}:{moment_of(due).replace(tzinfo=None).isoformat(timespec=timespec)}Z"
