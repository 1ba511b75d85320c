"""What fires, when, and how often."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.apps import Gate, MakeApp, lengths, working
from support.waiting import until

from aioqueue import AioQueue, Schedule, TaskContext, chain, crontab, every, group
from aioqueue.beat.claiming import Claimer
from aioqueue.beat.declaring import stand_for
from aioqueue.brokers.protocol import StoredSchedule
from aioqueue.schedules import upcoming
from aioqueue.worker import Worker

A_MINUTE = 60_000
TEN_MINUTES = timedelta(minutes=10)


class Ran:
    """What ran: for each schedule its due times."""

    def __init__(self, app: AioQueue) -> None:
        self.due: dict[str, list[datetime]] = {}
        self.late: list[float] = []
        self._app = app

        @app.task(bind=True, name="note")
        async def note(ctx: TaskContext) -> None:
            assert ctx.schedule is not None and ctx.due_at is not None
            self.due.setdefault(ctx.schedule, []).append(ctx.due_at)
            self.late.append((await app.broker()).now() - ctx.due_at.timestamp() * 1000)

        self.note = note

    def count(self, name: str) -> int:
        return len(self.due.get(name, []))


@pytest.fixture
def ran(app: AioQueue) -> Ran:
    return Ran(app)


async def pass_time(app: AioQueue, by: timedelta) -> None:
    (await app.broker()).shift_clock(by // timedelta(milliseconds=1))  # type: ignore[attr-defined]


@asynccontextmanager
async def beating(app: AioQueue) -> AsyncIterator[Worker]:
    """A worker with a scheduler, in an app that is open."""
    async with app.worker(concurrency=10, shutdown_timeout=2.0, beat=True) as worker:
        yield worker


@pytest.mark.parametrize(
    ("terms", "runs", "missed"),
    [
        ({}, [3], 2),
        ({"misfire": "once"}, [3], 2),
        ({"misfire": "skip"}, [], 3),
        ({"misfire": "all"}, [1, 2, 3], 0),
        ({"misfire": "all", "misfire_grace": 1000}, [2, 3], 1),
        ({"misfire": "once", "misfire_grace": timedelta(minutes=1)}, [], 3),
        ({"misfire": "skip", "misfire_grace": 1000}, [2, 3], 1),
    ],
)
async def test_what_was_missed_while_none_ran(
    app: AioQueue, ran: Ran, terms: dict[str, Any], runs: list[int], missed: int
) -> None:
    async with app:
        added = await app.schedules.add("poll", ran.note.s(), every(TEN_MINUTES), **terms)
        assert added.next_run_at is not None
        begin = added.next_run_at - TEN_MINUTES
        await pass_time(app, timedelta(minutes=35))
        async with beating(app):
            await until(lambda: _is_past(app))
            await until(lambda: ran.count("poll") == len(runs))
        assert ran.due.get("poll", []) == [begin + run * TEN_MINUTES for run in runs]
        info = await app.schedules.get("poll")
        assert info is not None
        assert (info.runs, info.misfires) == (len(runs), missed)
        assert info.next_run_at == begin + 4 * TEN_MINUTES
        assert info.last_due_at == (begin + runs[-1] * TEN_MINUTES if runs else None)


async def _is_past(app: AioQueue, name: str = "poll") -> bool:
    info = await app.schedules.get(name)
    now = datetime.fromtimestamp((await app.broker()).now() / 1000, UTC)
    return info is not None and info.next_run_at is not None and info.next_run_at > now


async def test_each_due_time_once_with_many_schedulers(make_app: MakeApp, app: AioQueue, ran: Ran) -> None:
    async with app, beating(app), beating(app), beating(app):
        await app.schedules.add("often", ran.note.s(), 0.1, misfire="all")
        await until(lambda: ran.count("often") >= 12)
        await app.schedules.pause("often")
        info = await app.schedules.get("often")
        assert info is not None
        await until(lambda: ran.count("often") == info.runs)
    due = sorted(ran.due["often"])
    assert due == [due[0] + n * timedelta(seconds=0.1) for n in range(len(due))]
    assert all(late >= 0 for late in ran.late), "never early"


async def test_claimed_by_all_at_once(app: AioQueue, ran: Ran) -> None:
    """The lease is for economy: without it, too, each due time fires once."""
    async with app:
        broker = await app.broker()
        for n in range(20):
            await app.schedules.add(f"s{n}", ran.note.s(), every(minutes=1), misfire="all")
        claimers = [Claimer(app, broker) for _ in range(5)]
        await pass_time(app, timedelta(minutes=10))
        await asyncio.gather(*(claimer.fire() for claimer in claimers))
        assert sum(claimer.fired for claimer in claimers) == 200
        async with app.worker():
            await until(lambda: sum(map(ran.count, ran.due)) == 200)
    assert all(len({*due}) == 10 for due in ran.due.values())


async def test_what_is_over_is_let_go_of(app: AioQueue, ran: Ran) -> None:
    """A reminder for each order, say: each of another name."""
    async with app:
        broker = await app.broker()
        for number in range(3):
            await app.schedules.add(f"remind {number}", ran.note.s(), every(60), max_runs=1)
        await app.schedules.add("each minute", ran.note.s(), every(60))
        await pass_time(app, timedelta(seconds=61))
        claimer = Claimer(app, broker)
        await claimer.fire()
        assert claimer.fired == 4
        assert {*claimer._jobs} == {"each minute"}


async def test_what_was_decided_long_ago_is_not_sent(app: AioQueue, ran: Ran) -> None:
    """A scheduler is held up, as on a suspended machine, between its look at what is due and its claim."""
    meanwhile: list[timedelta] = []

    class Slow(Schedule):
        def next_after(self, when: datetime) -> datetime:
            broker.shift_clock(sum(meanwhile, timedelta()) // timedelta(milliseconds=1))
            meanwhile.clear()
            return when + TEN_MINUTES

    async with app:
        broker: Any = await app.broker()
        await app.schedules.add("a", ran.note.s(), every(TEN_MINUTES), misfire="skip")
        app.periodic(Slow(), name="b", misfire="skip")(ran.note)
        claimer = Claimer(app, broker)
        claimer.own = await stand_for(app, broker, "one", {}, lease=1000)
        await pass_time(app, TEN_MINUTES)
        meanwhile.append(timedelta(minutes=65))
        await claimer.fire()
        assert claimer.fired == 0
        infos = {info.name: (info.runs, info.misfires) for info in await app.schedules.list()}
        assert infos == {"a": (0, 7), "b": (0, 7)}


async def test_a_schedule_that_takes_long_to_know_what_comes_next_fires(app: AioQueue, ran: Ran) -> None:
    """Its claim comes too late; what is known by then is not asked for again."""

    class Slow(Schedule):
        def next_after(self, when: datetime) -> datetime:
            broker.shift_clock(5000)
            return when + TEN_MINUTES

    async with app:
        broker: Any = await app.broker()
        app.periodic(Slow(), name="slow")(ran.note)
        claimer = Claimer(app, broker)
        claimer.own = await stand_for(app, broker, "one", {}, lease=1000)
        await pass_time(app, TEN_MINUTES)
        for _ in range(3):
            await claimer.fire(0.0)
        assert claimer.fired == 1


class Running:
    """Tasks that go on until they are let go."""

    def __init__(self, app: AioQueue, **options: Any) -> None:
        self.gate = Gate()

        @app.task(name="long", bind=True, **options)
        async def long(ctx: TaskContext) -> None:
            await self.gate.wait(ctx.id)

        self.task = long


@pytest.mark.parametrize("options", [{}, {"ignore_result": True}])
async def test_no_more_than_so_many_run_at_once(app: AioQueue, options: dict[str, Any]) -> None:
    running = Running(app, **options)
    async with app, beating(app):
        await app.schedules.add("long", running.task.s(), 0.1, max_running=2, misfire="all")
        await until(lambda: running.gate.inside == 2)
        await until(lambda: _missed(app, "long", 3))
        assert (running.gate.inside, running.gate.most) == (2, 2)
        running.gate.open()
        await until(lambda: len(running.gate.came) >= 6)
        assert running.gate.most <= 2


async def _missed(app: AioQueue, name: str, count: int) -> bool:
    info = await app.schedules.get(name)
    return info is not None and info.misfires >= count


async def test_a_long_one_counts_however_many_short_ones_came_after_it(app: AioQueue) -> None:
    gate = Gate()
    came: list[str] = []
    together = 0

    @app.task(bind=True, name="either")
    async def either(ctx: TaskContext) -> None:
        nonlocal together
        came.append(ctx.id)
        if len(came) == 1:
            await gate.wait()
        elif len(came) == 5:
            together = gate.inside
            await gate.wait()

    async with app, beating(app):
        await app.schedules.add("either", either.s(), 0.1, max_running=2, misfire="all")
        await until(lambda: len(came) == 5)
        await until(lambda: _missed(app, "either", 3))
        assert (len(came), together, gate.inside) == (5, 1, 2)
        gate.open()


async def test_a_canvas_runs_until_its_end(app: AioQueue) -> None:
    running = Running(app)

    @app.task
    async def first() -> None: ...

    async with app, beating(app):
        await app.schedules.add("canvas", chain(first.si(), running.task.si()), 0.1, max_running=1)
        await until(lambda: running.gate.inside == 1)
        await until(lambda: _missed(app, "canvas", 3))
        assert running.gate.most == 1
        running.gate.open()
        await until(lambda: len(running.gate.came) >= 2)


async def test_no_more_than_so_many_runs(app: AioQueue, ran: Ran) -> None:
    async with app, beating(app):
        await app.schedules.add("three", ran.note.s(), 0.1, max_runs=3)
        await app.schedules.add("more", ran.note.s(), 0.1)
        await until(lambda: ran.count("more") >= 6)
    assert ran.count("three") == 3


async def test_why_due_times_are_left_out_is_told(app: AioQueue, ran: Ran, caplog: pytest.LogCaptureFixture) -> None:
    running = Running(app)
    caplog.set_level(logging.INFO, "aioqueue")
    async with app:
        await app.schedules.add("late", ran.note.s(), every(minutes=1), misfire="skip")
        await pass_time(app, timedelta(seconds=62))
        async with beating(app):
            await until(lambda: _missed(app, "late", 1))
            await app.schedules.add("long", running.task.s(), 0.1, max_running=1)
            await until(lambda: _missed(app, "long", 1))
            await until(lambda: "go on (max_running)" in caplog.text)
            running.gate.open()
    left_out = [record for record in caplog.records if "left out" in record.getMessage()]
    assert left_out[0].levelname == "WARNING"
    assert left_out[0].getMessage() == "Schedule late: 1 due time was left out: too late (misfire)"
    crowded = [record for record in left_out if record.getMessage().endswith("earlier tasks go on (max_running)")]
    assert crowded and all(record.levelname == "INFO" for record in crowded)


async def test_a_full_queue_holds_up_no_other(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(queue_max_length=1)
    ran = Ran(app)
    async with app:
        await app.schedules.add("full", ran.note.s().set(queue="full"), every(minutes=1), misfire="all")
        await app.schedules.add("free", ran.note.s(), every(minutes=1))
        await pass_time(app, timedelta(seconds=130))
        async with beating(app):
            await until(lambda: ran.count("free") == 1)
            await until(lambda: "Schedule full waits" in caplog.text)
        assert ran.count("full") == 0
        info = await app.schedules.get("full")
        assert info is not None and info.runs == 0, "it goes whole, or not at all"


async def test_what_stays_due_is_to_be_tried_again(make_app: MakeApp) -> None:
    """Soon, and not only when something else is due or has changed."""
    app = make_app(queue_max_length=2)
    ran = Ran(app)

    @app.task(name="other", queue="full")
    async def other() -> None: ...

    async with app:
        for _ in range(2):
            await other.send()
        await app.schedules.add("full", ran.note.s().set(queue="full"), every(minutes=1))
        await pass_time(app, timedelta(minutes=1))
        claimer = Claimer(app, await app.broker())
        for _ in range(2):
            assert await claimer.fire() == (None, True)
        async with app.worker(queues=["full"]):
            await until(lambda: _is_free(app, "full"))
        following, stuck = await claimer.fire()
        assert (claimer.fired, stuck) == (1, False)
        info = await app.schedules.get("full")
        assert info is not None and info.next_run_at is not None
        assert following == info.next_run_at.timestamp() * 1000


async def _is_free(app: AioQueue, queue: str) -> bool:
    return await lengths(app, queue) == (0, 0, 0)


async def test_what_cannot_be_read_disturbs_no_other(app: AioQueue, ran: Ran, caplog: pytest.LogCaptureFixture) -> None:
    async with app:
        broker = await app.broker()
        now = broker.now()
        for name, definition in (("junk", b"\xc1"), ("empty", b""), ("no canvas", b"\x81\xa6canvas\x80")):
            given = StoredSchedule(name=name, definition=definition, source="api", due=now - 1000, at=now - 1000)
            assert await broker.put_schedule(given, replace=False)
        await app.schedules.add("fine", ran.note.s(), every(minutes=1))
        await pass_time(app, timedelta(minutes=1))
        async with beating(app):
            await until(lambda: ran.count("fine") == 1)
            for name in ("junk", "empty", "no canvas"):
                await until(lambda name=name: f"Schedule {name} cannot be fired" in caplog.text)
        found = {info.name: info for info in await app.schedules.list()}
        assert {name for name, info in found.items() if info.problem} == {"junk", "empty", "no canvas"}
        assert await app.schedules.remove("junk")


async def test_the_brokers_clock_decides(app: AioQueue, ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own is an hour off, and somebody sets it while the scheduler runs."""
    real = time.time
    ahead = 0.0 if app.conf.broker == "memory://" else 3600.0  # the memory broker's clock begins with the machine's
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    monkeypatch.setattr(time, "time_ns", lambda: int((real() + ahead) * 1e9))
    async with app, beating(app):
        await app.schedules.add("often", ran.note.s(), 0.1)
        await until(lambda: ran.count("often") >= 3)
        ahead = -3600.0
        await until(lambda: ran.count("often") >= 6)
    due = ran.due["often"]
    assert due == [due[0] + n * timedelta(seconds=0.1) for n in range(len(due))]
    assert abs(due[0].timestamp() - real()) < 60


async def test_what_is_known_of_it_in_a_task(app: AioQueue) -> None:
    seen: list[Any] = []

    @app.task(bind=True)
    async def look(ctx: TaskContext) -> None:
        seen.append((ctx.schedule, ctx.due_at, ctx.id, ctx.parent_id))
        if ctx.retries == 0:
            raise ctx.retry(countdown=0)

    async with working(app, beat=True):
        await app.schedules.add("look", look.s(), 0.1, max_runs=1)
        await until(lambda: len(seen) == 2)
        assert seen[0] == seen[1], "a retry is of the same due time"
        name, due, id, parent = seen[0]
        assert (name, parent) == ("look", None)
        assert id.startswith("look:") and datetime.fromisoformat(id.removeprefix("look:")) == due
        seen.clear()
        await look.options(headers={"schedule": 5, "due_at": "noon"}).send()
        await until(lambda: len(seen) == 2)
        assert seen[0][:2] == (None, None)


async def test_a_worker_without_it_says_so(
    app: AioQueue, ran: Ran, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioqueue.worker.beating.UNSERVED_AFTER", 0.01)
    told = "nobody serves the schedules"
    async with app:
        async with app.worker():
            await asyncio.sleep(0.05)
        assert told not in caplog.text, "it has none"
        app.periodic(60)(ran.note)
        async with app.worker():
            await until(lambda: told in caplog.text)
        caplog.clear()
        async with beating(app):
            await until(lambda: _alive(app))
            async with app.worker():
                await asyncio.sleep(0.05)
        assert told not in caplog.text
        app.declared = None
        app.conf.beat_schedule = {"x": {"task": "note", "schedule": 60}}
        async with app.worker():
            await until(lambda: told in caplog.text)
        assert caplog.text.count(told) == 1


async def _alive(app: AioQueue) -> bool:
    return bool(await (await app.broker()).schedulers())


# What leaves the code


async def test_what_left_the_code_leaves_the_schedule(make_app: MakeApp) -> None:
    old, new = make_app(), make_app()
    if old.conf.broker == "memory://":
        new._kept = old._kept  # another program, on the same broker
    for app, names in ((old, ("gone", "kept", "changed")), (new, ("kept", "changed", "added"))):
        ran = Ran(app)
        for name in names:
            app.periodic(every(hours=1 if app is old or name != "changed" else 2), name=name)(ran.note)
    async with old, new:
        async with beating(old):
            await until(lambda: _names(old, "changed", "gone", "kept"))
            await old.schedules.add("by hand", old.tasks["note"].s(), 60)
            for name in ("kept", "changed"):
                await old.schedules.pause(name)
        async with beating(new):
            await until(lambda: _names(old, "added", "by hand", "changed", "kept"))
            found = {info.name: info for info in await new.schedules.list()}
            assert {name for name, info in found.items() if info.paused} == {"kept", "changed"}
            assert found["changed"].schedule == "every(hours=2)"


async def test_a_set_is_the_same_whatever_the_order_of_its_members(make_app: MakeApp) -> None:
    """Text has another order in each process: with each start of the same code the schedule would begin anew."""
    orders = (set[Any]([0, 8, 16]), set[Any]([16, 8, 0]))
    assert [*orders[0]] != [*orders[1]]
    apps = [make_app(), make_app()]
    if apps[0].conf.broker == "memory://":
        apps[1]._kept = apps[0]._kept
    found: list[Any] = []
    for number, (app, given) in enumerate(zip(apps, orders, strict=True)):

        @app.task(name="take")
        async def take(*args: Any, **kwargs: Any) -> None: ...

        app.periodic(every(hours=1), name="set", args=(given, [frozenset(given)]), kwargs={"x": {"y": given}})(take)
        app.periodic(every(hours=1), name="dict", args=({key: key for key in map(str, given)},))(take)
        app.periodic(every(hours=1), name="other", args=(number,))(take)
    async with apps[0], apps[1]:
        for number, app in enumerate(apps):
            async with beating(app):
                await until(lambda app=app, number=number: _has_args(app, "other", number))
                found.append([await app.schedules.get("set"), await app.schedules.get("dict")])
    before, after = found
    assert before == after
    assert None not in before


class _Rule:
    """As in many libraries: it prints with its address."""


class _Daily(Schedule):
    def __init__(self, places: list[int]) -> None:
        self.places = set(places)
        self.rule = _Rule()

    def next_after(self, when: datetime) -> datetime | None:
        return when + timedelta(hours=1)


@dataclass(frozen=True)
class _Dated(Schedule):
    places: frozenset[int]
    rule: _Rule = field(default_factory=_Rule)

    def next_after(self, when: datetime) -> datetime | None:
        return when + timedelta(hours=1)


async def test_a_class_of_ones_own_is_the_same_in_each_process(make_app: MakeApp) -> None:
    apps = [make_app(), make_app()]
    if apps[0].conf.broker == "memory://":
        apps[1]._kept = apps[0]._kept
    for number, (app, order) in enumerate(zip(apps, ([0, 8, 16], [16, 8, 0]), strict=True)):
        note = Ran(app).note
        app.periodic(_Daily(order), name="class")(note)
        app.periodic(_Dated(frozenset(order)), name="dataclass")(note)
        app.periodic(every(hours=1), name=f"of {number}")(note)
    assert str(_Daily([0, 8, 16]).places) != str(_Daily([16, 8, 0]).places)
    async with apps[0], apps[1], beating(apps[0]):
        await until(lambda: _names(apps[1], "class", "dataclass", "of 0"))
        before = [await apps[1].schedules.get(name) for name in ("class", "dataclass")]
        assert [info.problem for info in before if info] == [None, None]
        async with beating(apps[1]):
            await until(lambda: _names(apps[1], "class", "dataclass", "of 0", "of 1"))
            assert [await apps[1].schedules.get(name) for name in ("class", "dataclass")] == before
            await pass_time(apps[0], timedelta(minutes=61))
            # Whichever of the two leads, it knows them by what they print.
            await until(lambda: _have_run(apps[1], "class", "dataclass"))


class _EachSecond(Schedule):
    def next_after(self, when: datetime) -> datetime | None:
        return when.replace(microsecond=0) + timedelta(seconds=1)


async def test_a_class_of_ones_own_fires_though_another_program_leads(make_app: MakeApp) -> None:
    ours, other = make_app(), make_app()
    if ours.conf.broker == "memory://":
        other._kept = ours._kept
    ran = Ran(ours)
    ours.periodic(_EachSecond(), name="own")(ran.note)
    ours.periodic(_EachSecond(), name="paused")(ran.note)
    async with ours, other, other.worker(queues=["others"], beat=True, shutdown_timeout=2.0):
        await until(lambda: _alive_are(other, 1))
        async with beating(ours):
            await until(lambda: ran.count("own") and ran.count("paused"))
            await other.schedules.pause("paused")
            before = await other.schedules.get("paused")
            count = ran.count("own")
            await until(lambda: ran.count("own") >= count + 2)
            assert await other.schedules.get("paused") == before
    assert all(len({*due}) == len(due) for due in ran.due.values())


async def _have_run(app: AioQueue, *names: str) -> bool:
    return all(info is not None and info.runs == 1 for info in [await app.schedules.get(name) for name in names])


async def _has_args(app: AioQueue, name: str, *args: Any) -> bool:
    info = await app.schedules.get(name)
    return info is not None and info.args == args


async def test_old_and_new_code_side_by_side(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    old, new = make_app(), make_app()
    if old.conf.broker == "memory://":
        new._kept = old._kept
    for app, name in ((old, "old"), (new, "new")):
        app.periodic(every(hours=1), name=name)(Ran(app).note)
    async with old, new:
        async with beating(old):
            await until(lambda: _names(old, "old"))
            async with beating(new):
                await until(lambda: _names(old, "new", "old"))
                async with beating(old):  # starts anew, and removes nothing of the others'
                    await until(lambda: _alive_are(old, 3))
                    assert await _names(old, "new", "old")
            assert await _names(old, "new", "old")
        async with beating(new):
            await until(lambda: _names(old, "new"))


async def test_whoever_leads_sends_to_where_the_tasks_are_worked_on(make_app: MakeApp) -> None:
    """Two programs in one namespace, or the old code beside the new one: the one that leads has not all of the code."""
    ours, other = make_app(), make_app(task_routes={"*": "others"})
    if ours.conf.broker == "memory://":
        other._kept = ours._kept
    ran: list[tuple[str | None, str, int]] = []

    @ours.task(name="note", bind=True, queue="notes", priority=7)
    async def note(ctx: TaskContext, *_: Any) -> None:
        ran.append((ctx.schedule, ctx.queue, ctx.priority))

    @ours.task(name="end", bind=True)
    async def end(ctx: TaskContext, *_: Any) -> None:
        ran.append((ctx.schedule, ctx.queue, ctx.priority))

    @other.task(name="another")
    async def another() -> None: ...

    ours.periodic(1, name="periodic", max_runs=1)(note)
    ours.periodic(1, name="urgent", max_runs=1, options={"queue": "urgent", "priority": 9})(note)
    ours.conf.beat_schedule = {"entry": {"task": "note", "schedule": 1, "max_runs": 1}}
    names = ["api", "chain", "entry", "group", "periodic", "urgent"]
    async with ours, other, other.worker(queues=["others"], beat=True, shutdown_timeout=2.0):
        await until(lambda: _alive_are(other, 1))
        queues = ["notes", "urgent", "default"]
        async with ours.worker(queues=queues, beat=True, shutdown_timeout=2.0):
            await ours.schedules.add("api", note.s(), 1, max_runs=1)
            await ours.schedules.add("chain", chain(note.s(), end.s(), note.si().set(queue="urgent")), 1, max_runs=1)
            await ours.schedules.add("group", group(note.s(), note.s()).set(queue="urgent"), 1, max_runs=1)
            await until(lambda: _names(other, *names))
            await until(lambda: len(ran) == 9)
            expected = [
                *[(name, "notes", 7) for name in ("api", "chain", "entry", "periodic")],
                *[("chain", "default", 0), ("chain", "urgent", 7)],
                *[("group", "urgent", 7)] * 2,
                ("urgent", "urgent", 9),
            ]
            assert sorted(ran, key=str) == sorted(expected, key=str)
            ran.clear()
            for name in names:
                await other.schedules.trigger(name)
            await until(lambda: len(ran) == 9)
            assert sorted(ran, key=str) == sorted(expected, key=str)


async def _names(app: AioQueue, *names: str) -> bool:
    return [info.name for info in await app.schedules.list()] == [*names]


async def _alive_are(app: AioQueue, count: int) -> bool:
    return len(await (await app.broker()).schedulers()) == count


async def test_one_that_was_put_in_its_place_counts_until_it_is_removed(app: AioQueue, ran: Ran) -> None:
    app.periodic(every(hours=1), name="poll")(ran.note)
    async with app:
        async with beating(app):
            await until(lambda: _names(app, "poll"))
            info = await app.schedules.add("poll", ran.note.s(), every(hours=2), replace=True)
            assert (info.source, info.schedule) == ("api", "every(hours=2)")
        async with beating(app):
            await until(lambda: _alive_are(app, 1))
            assert await app.schedules.get("poll") == info
            await app.schedules.remove("poll")
        async with beating(app):
            await until(lambda: _names(app, "poll"))
            again = await app.schedules.get("poll")
            assert again is not None and (again.source, again.schedule) == ("code", "every(hours=1)")


async def test_unserved_tasks_wait_in_their_queues(app: AioQueue, ran: Ran) -> None:
    """The scheduler sends; it need not be a worker of the task's queue."""
    async with app, app.worker(queues=["other"], beat=True):
        await app.schedules.add("x", ran.note.s(), 0.1, max_runs=2)
        await until(lambda: _waiting(app, 2))


async def _waiting(app: AioQueue, count: int) -> bool:
    return await lengths(app) == (count, 0, 0)


# Simulated


async def test_a_year_of_two_hundred_schedules_is_what_they_say() -> None:
    app = AioQueue("year", broker="memory://")
    zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]
    schedules: dict[str, Schedule] = {}
    for n in range(200):
        if n % 4 == 0:
            schedule: Schedule = every(days=1 + n % 7, hours=n % 24, anchor=datetime(2026, 1, 1, tzinfo=UTC))
        elif n % 4 == 1:
            schedule = crontab(minute=n % 60, hour=n % 24, day_of_week=f"{n % 7},{n % 3}", tz=zones[n % 5])
        elif n % 4 == 2:
            schedule = crontab(f"{n % 60} {n % 24} {1 + n % 28} * *", tz=zones[n % 5])
        else:
            schedule = crontab(f"30 2 * * {n % 7}", tz=zones[n % 5])
        schedules[f"s{n}"] = schedule
    fired: dict[str, list[datetime]] = {name: [] for name in schedules}
    app.observers.append(
        lambda target, args, kwargs, options, message: fired[options["headers"]["schedule"]].append(
            datetime.fromisoformat(options["headers"]["due_at"])
        )
    )
    async with app:
        broker: Any = await app.broker()
        start = broker.now()
        for name, schedule in schedules.items():
            await app.schedules.add(name, app.signature("task"), schedule)
        end = start + 365 * 24 * 60 * A_MINUTE
        claimer = Claimer(app, broker)
        while True:
            following, stuck = await claimer.fire()
            assert following is not None and not stuck
            if following > end:
                break
            broker.shift_clock(max(0, following - broker.now()))
    begin, last = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (start, end))
    for name, schedule in schedules.items():
        wanted = [due for due in upcoming(schedule, begin, 1000) if due <= last]
        assert fired[name] == wanted, schedule
    assert Counter(map(len, fired.values())).total() == 200
