"""`app.schedules`: what there is, and what a program or a person does with it at run time."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import msgspec

from aioqueue import kinds
from aioqueue.awaiting import Spoken, awaited
from aioqueue.beat.declaring import Code, code_of
from aioqueue.beat.definition import read_definition, stored
from aioqueue.beat.due import moment_of
from aioqueue.beat.job import Job, headers_of_due
from aioqueue.beat.running import keeps_schedules
from aioqueue.beat.ways import with_ways
from aioqueue.beat_schedule import Misfire, TermsGiven, When
from aioqueue.brokers.protocol import FROM_CODE, Broker, StoredSchedule
from aioqueue.canvas.base import Canvas, check_canvas
from aioqueue.canvas.carried import as_message, headed
from aioqueue.canvas.signatures import Signature
from aioqueue.exceptions import AioQueueError, ConfigurationError, ScheduleExists, suggest
from aioqueue.options import moment
from aioqueue.periodic import NAME_TO_FIND, periodic
from aioqueue.result import AsyncResult
from aioqueue.routing.addressing import addressed_once
from aioqueue.schedules.zones import zone

if TYPE_CHECKING:
    from aioqueue.core import Core

R = TypeVar("R")

FROM_API = "api"
_UPCOMING = kinds.up_to(10_000)


class ScheduleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it is now.

    Attributes:
        name: its name.
        task: the task's name; of a canvas what it is, such as `chain(…)`.
        args, kwargs: the arguments; empty for a canvas.
        options: of the sending.
        schedule: when, as text that `parse_schedule` reads, but for a class of one's own.
        source: "code" (`@app.periodic`, `beat_schedule`) or "api" (`app.schedules.add`).
        paused: it does not fire.
        next_run_at: when it fires next, its jitter included; None while it is paused, and when it is over.
        last_due_at: the latest due time that was sent.
        last_task_id: the task that was sent for it; see `app.result`.
        runs: how many were sent.
        misfires: how many due times were left out. Of a long gap only the first 500 are counted.
        misfire, misfire_grace, max_running, start_at, end_at, max_runs: as they were given.
        problem: why it cannot fire, or may be in vain.
    """

    name: str
    task: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    options: dict[str, Any] = {}
    schedule: str = ""
    source: str = FROM_CODE
    paused: bool = False
    next_run_at: datetime | None = None
    last_due_at: datetime | None = None
    last_task_id: str | None = None
    runs: int = 0
    misfires: int = 0
    misfire: Misfire = "once"
    misfire_grace: float | None = None
    max_running: int | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    max_runs: int | None = None
    problem: str | None = None


class Schedules:
    """`app.schedules`. What is changed here is so in every scheduler, at once."""

    def __init__(self, app: Core) -> None:
        self._app = app

    @awaited
    async def add(
        self,
        name: str,
        canvas: Canvas[Any],
        schedule: When,
        *,
        replace: bool = False,
        **terms: Unpack[TermsGiven],
    ) -> ScheduleInfo:
        """Add a schedule. It is kept in the broker, and fires wherever a scheduler of the namespace runs.

        Args:
            name: its name: 1 to 200 printable characters.
            canvas: what is sent when it is due: `task.s(...)`, or a composition.
            schedule: when: seconds, a timedelta, text such as "0 9 * * mon-fri", or a schedule.
            replace: take the place of the one of that name, whose pause and counts stay. One of the code is then
                this one until it is removed.
            terms: `misfire`, `misfire_grace`, `max_running`, `start_at`, `end_at`, `max_runs`.

        Raises:
            ScheduleExists: there is one of that name, and `replace` is not set.
            ConfigurationError: it could never fire, or a value is wrong.
            NotRegistered: there is no such task.
            PayloadError: an argument cannot be sent.
            RoutingError: no queue is found for a task, or several, and that is known beforehand.
        """
        app = self._app
        broker = await self._broker()
        what = f"The schedule {name!r}"
        found = periodic(app, name, check_canvas(canvas), schedule, terms, what=what, known_only=True, routed=True)
        if found.schedule.text() is None:
            raise ConfigurationError(
                f"The schedule {name!r} is {found.schedule!r}, a class of your own, which has no text that could be "
                "kept in the broker: declare it in the code, with @app.periodic or beat_schedule. Nothing was added."
            )
        made = stored(app, found, source=FROM_API, now=broker.now())
        if made.due is None:
            raise ConfigurationError(
                f"The schedule {name!r} would never fire: {found.schedule} has no due time from now on. Nothing was "
                "added."
            )
        if replace and found.terms.max_runs is not None:
            for known in await broker.schedules([made.name]):
                if known.runs >= found.terms.max_runs:
                    raise ConfigurationError(
                        f"The schedule {name!r} would never fire: it has run {known.runs} times, which stays counted, "
                        f"and max_runs is {found.terms.max_runs}. Nothing was changed: remove it first, or raise "
                        "max_runs."
                    )
        if not await broker.put_schedule(made, replace=replace):
            raise ScheduleExists(
                f"There is a schedule {name!r} already. Nothing was changed: take another name, or replace=True."
            )
        return await self._info_of(name) or self._info(made, Code())

    @awaited
    async def get(self, name: str) -> ScheduleInfo | None:
        """One schedule; None if there is none of that name."""
        return await self._info_of(name)

    @awaited
    async def list(self) -> list[ScheduleInfo]:
        """All schedules, by name: those in the broker, and those of this program's code that cannot be put there."""
        broker = await self._broker()
        code = code_of(self._app, broker.now())
        found = {one.name: self._info(one, code) for one in await broker.schedules()}
        for name, problem in code.broken.items():
            found.setdefault(name, ScheduleInfo(name=name, task="", problem=problem))
        return [info for _, info in sorted(found.items())]

    @awaited
    async def pause(self, name: str) -> None:
        """Let it fire no more, until it is resumed. A pause outlives restarts and deployments.

        Raises:
            AioQueueError: there is no such schedule.
        """
        broker = await self._broker()
        if not await broker.pause_schedule(_known_as(name), True):
            raise await self._unknown(name)

    @awaited
    async def resume(self, name: str) -> None:
        """Let it fire again, from its next due time on; those in the meantime are over.

        Raises:
            AioQueueError: there is no such schedule.
        """
        broker = await self._broker()
        while True:
            known = await self._stored(name)
            if not known.paused:
                return
            due, at = self._from_now(known, broker.now())
            if await broker.pause_schedule(name, False, due=due, at=at, revision=known.revision):
                return

    @awaited
    async def remove(self, name: str) -> bool:
        """Drop a schedule; returns whether it was there. One of the code comes back with the next start of a scheduler
        that has that code: `pause` is for those."""
        return await (await self._broker()).remove_schedule(_known_as(name))

    @awaited
    async def trigger(self, name: str) -> AsyncResult[Any]:
        """Send what it sends once, now, also if it is paused. Its due times stay as they are.

        Returns:
            the result; `ctx.due_at` of its tasks is this moment.

        Raises:
            AioQueueError: there is no such schedule, or it cannot be sent.
        """
        broker = await self._broker()
        definition = read_definition(await self._stored(name))
        canvas = with_ways(self._app, self._app.signature(definition.canvas), definition.ways)
        if (call := as_message(canvas)) is not None:  # it goes to one queue, as when it is due
            addressed_once(self._app, call.target_in(self._app), call.args, call.kwargs, call.options)
        return await headed(canvas, headers_of_due(name, broker.now())).send()

    @awaited
    async def upcoming(self, name: str, n: int = 10) -> builtins.list[datetime]:
        """The next due times, without jitter, in the zone of the schedule; of a paused one those that it would have.

        Args:
            n: how many at most, up to 10,000.

        Raises:
            AioQueueError: there is no such schedule.
        """
        _UPCOMING.of("The number of due times", n)
        broker = await self._broker()
        known = await self._stored(name)
        job = self._job(known, broker.now())
        left = n if job.terms.max_runs is None else min(n, max(0, job.terms.max_runs - known.runs))
        own = zone(getattr(job.schedule, "tz", None) or "UTC")
        due, _ = self._from_now(known, broker.now())
        times = job.times(0 if due is None else due)
        found: list[datetime] = []
        while due is not None and len(found) < left:
            found.append(moment_of(due).astimezone(own))
            due = times.after(due)
        return found

    def _spoken(self) -> Spoken:
        return Spoken(f"app {self._app.name!r}", "app.schedules", "app.sync.schedules")

    # What is there

    async def _broker(self) -> Broker:
        return keeps_schedules(await self._app.broker())

    async def _stored(self, name: str) -> StoredSchedule:
        found = await (await self._broker()).schedules([_known_as(name)])
        if not found:
            raise await self._unknown(name)
        return found[0]

    async def _unknown(self, name: str) -> AioQueueError:
        known = [one.name for one in await (await self._broker()).schedules()]
        return AioQueueError(
            f"There is no schedule {name!r} in {self._app.namespace!r}.{suggest(str(name), known)} Nothing was changed."
        )

    def _from_now(self, known: StoredSchedule, now: int) -> tuple[int | None, int | None]:
        """The due time that is next from now on, and when it fires."""
        if known.due is None or known.due > now:
            return known.due, known.at
        times = self._job(known, now).times(known.due)
        due = times.after(now)
        return due, None if due is None else times.at(due)

    def _job(self, known: StoredSchedule, now: int) -> Job:
        # Only one of a class of the user's own is looked for in the code.
        own = code_of(self._app, now).own if read_definition(known).schedule is None else {}
        return Job(self._app, known, own)

    async def _info_of(self, name: str) -> ScheduleInfo | None:
        broker = await self._broker()
        code = code_of(self._app, broker.now())
        found = await broker.schedules([_known_as(name)])
        if found:
            return self._info(found[0], code)
        return ScheduleInfo(name=name, task="", problem=code.broken[name]) if name in code.broken else None

    def _info(self, known: StoredSchedule, code: Code) -> ScheduleInfo:
        counts: dict[str, Any] = {
            "name": known.name,
            "source": known.source,
            "paused": known.paused,
            "next_run_at": None if known.paused else moment(known.at),
            "last_due_at": moment(known.last_due),
            "last_task_id": known.last_id or None,
            "runs": known.runs,
            "misfires": known.misfires,
        }
        try:
            definition = read_definition(known)
            canvas = self._app.signature(definition.canvas)
        except AioQueueError as error:
            return ScheduleInfo(**counts, task="", problem=str(error))
        single = isinstance(canvas, Signature)
        return ScheduleInfo(
            **counts,
            task=canvas.task if single else repr(canvas),
            args=canvas.args if single else (),
            kwargs=canvas.kwargs if single else {},
            options=dict(canvas.options),
            schedule=definition.schedule or definition.own,
            problem=code.broken.get(known.name) or code.doubts.get(known.name),
            **msgspec.structs.asdict(definition.terms),
        )


def _known_as(name: str) -> str:
    """A name by which a schedule can be looked for.

    Raises:
        ConfigurationError: no schedule can have it.
    """
    return NAME_TO_FIND.of("The name of a schedule", name)
