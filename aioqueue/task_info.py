"""What people are shown of a task: all that is known of it, as its record says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import msgspec

from aioqueue.exceptions import TaskFailed, TaskRevoked
from aioqueue.message import Record, State, meta_of
from aioqueue.options import moment
from aioqueue.payload.json_form import json_form


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """When things happened, by the clocks of the sender and of the worker.

    Attributes:
        sent, started, ended: when; None where it has not, or is not known.
        wait: seconds from sending to starting.
        run: seconds from starting to ending.
    """

    sent: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    wait: float | None = None
    run: float | None = None


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a task.

    Attributes:
        id: its id.
        state: PENDING when nothing is known of it.
        name: the task's name.
        result: what it returned.
        exception: what it raised.
        traceback: where, as text.
        meta: what it said of its progress.
        retries: how often it has been retried.
        timings: when things happened.
        worker: the name of the worker.
        args: its arguments as short text, the hidden ones left out.
        children: ids of the tasks that it sent, while it ran.
        reason: why it was revoked, or put among the dead letters.
        dead: it lies among the dead letters.
        parent_id: the task before it in its workflow, or else the one that sent it.
        root_id, group_id: the first one of all, and the group that it belongs to.
    """

    id: str
    state: str = State.PENDING
    name: str = ""
    result: Any = None
    exception: BaseException | None = None
    traceback: str | None = None
    meta: Any = None
    retries: int = 0
    timings: Timings = Timings()
    worker: str = ""
    args: str = ""
    children: list[str] = []
    reason: str | None = None
    dead: bool = False
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the task has ended."""
        return self.state in (State.SUCCESS, State.FAILURE, State.REVOKED)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, which `json.dumps` and any web framework takes.

        Returns:
            The attributes by their names, and `ready`. Models, dataclasses and Structs in `result` and `meta` are dicts
            of their fields; dates, UUIDs, decimals and paths are text, and bytes base64; what has no such form is what
            `repr` says. `exception` is a dict of `type` and `message`. The traceback is there, too: it is not for
            strangers.
        """
        plain = {name: getattr(self, name) for name in self.__struct_fields__}
        plain |= {"ready": self.ready, "exception": exception_data(self.exception)}
        return json_form(plain)

    @property
    def outcome(self) -> Any:
        """What Celery calls the result of a task: what it returned, or the exception that it raised; until then its
        `meta`."""
        if self.exception is not None:
            return self.exception
        return self.result if self.ready else self.meta

    def get(self, key: str, default: Any = None) -> Any:
        """What the task has told of its progress under a key, or returned, if that is a mapping; Celery's way to read
        `meta`."""
        found = self.outcome
        return cast("Mapping[Any, Any]", found).get(key, default) if isinstance(found, Mapping) else default

    def __getitem__(self, key: str) -> Any:
        if not isinstance(found := self.outcome, Mapping):
            raise KeyError(key)
        return cast("Mapping[Any, Any]", found)[key]

    def __contains__(self, key: object) -> bool:
        return isinstance(found := self.outcome, Mapping) and key in found


def info_of(id: str, record: Record, *, name: str, result: Any) -> TaskInfo:
    """What a record says of a task.

    Args:
        id, record: the task's.
        name: its name, where the record has none.
        result: what it returned, as it is shown.
    """
    failed = record.failure is not None or record.state == State.REVOKED
    return TaskInfo(
        id=id,
        state=record.state,
        name=record.task or name,
        result=result,
        exception=exception_of(id, record, name) if failed else None,
        traceback=record.failure.report() if record.failure else None,
        meta=meta_of(record),
        retries=record.retries,
        timings=_timings(record),
        worker=record.worker,
        args=record.arguments,
        children=list(record.children),
        reason=record.reason,
        dead=record.dead,
        parent_id=record.parent_id,
        root_id=record.root_id,
        group_id=record.group_id,
    )


def exception_of(id: str, record: Record, name: str = "") -> BaseException:
    """What `get` raises for a record of a task that did not end well."""
    if record.state == State.REVOKED:
        name = record.task or name
        return TaskRevoked(f"Task {id}{f' ({name})' if name else ''} was revoked: {record.reason}.")
    if record.failure is None:
        return TaskFailed(f"Task {id} failed: {record.reason or 'nothing more is known'}.")
    return record.failure.rebuild()


def exception_data(error: BaseException | None) -> dict[str, str] | None:
    """An exception as plain data: its `type`, as its task's module calls it, and its `message`."""
    return None if error is None else {"type": exception_name(error), "message": str(error)}


def exception_name(error: BaseException) -> str:
    """Its class, as its task's module calls it."""
    named = getattr(error, "exception_type", "")
    if named:
        return str(named).replace(":", ".")
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _timings(record: Record) -> Timings:
    return Timings(
        sent=moment(record.sent or None),
        started=moment(record.started or None),
        ended=moment(record.ended or None),
        wait=max(0, record.started - record.sent) / 1000 if record.started and record.sent else None,
        run=max(0, record.ended - record.started) / 1000 if record.ended and record.started else None,
    )
