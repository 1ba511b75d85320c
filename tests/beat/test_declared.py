"""Schedules in a program's code."""

from __future__ import annotations

import logging
import types
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aioqueue import AioQueue, Schedule, TaskContext, chain, crontab, every, shared_task
from aioqueue.exceptions import ConfigurationError

A_DAY = timedelta(days=1)


@pytest.fixture
def app() -> AioQueue:
    """An app for `app.testing()`; what is declared is the same whatever the broker."""
    return AioQueue("shop", broker="redis://nobody.invalid")


def names(app: AioQueue) -> list[str]:
    return [found.name for found in app.declared.of(app)] if app.declared is not None else []


def tasks(app: AioQueue) -> list[str]:
    """What ran, as the tasks below note it."""
    ran: list[str] = []

    @app.task
    async def note(text: str = "-") -> None:
        ran.append(text)

    app.note = note  # type: ignore[attr-defined]
    return ran


async def test_above_a_task(app: AioQueue) -> None:
    seen: list[Any] = []

    @app.periodic(crontab("0 9 * * *", tz="Europe/Berlin"), name="report")
    @app.task(bind=True, name="daily")
    async def daily_report(ctx: TaskContext) -> None:
        seen.append((ctx.schedule, ctx.due_at, ctx.headers))

    assert daily_report is app.tasks["daily"]
    async with app.testing() as t:
        start = t.clock.now
        await t.clock.advance(A_DAY)
        due = crontab("0 9 * * *", tz="Europe/Berlin").next_after(start)
        assert due is not None
        moment = due.astimezone(UTC)
        assert seen == [("report", moment, {"schedule": "report", "due_at": moment.isoformat()})]
        sent = t.assert_sent(daily_report)
        assert sent.id == f"report:{moment:%Y-%m-%dT%H:%M:%S}Z"
        await t.app.result(sent.id)


async def test_alone_on_a_function(app: AioQueue) -> None:
    ran: list[str] = []

    @app.periodic(every(hours=1), args=("coroutine",))
    async def one(text: str) -> None:
        ran.append(text)

    @app.periodic(every(hours=1), kwargs={"text": "plain"})
    def two(text: str) -> None:
        ran.append(text)

    assert {one.name, two.name} == app.tasks.keys()
    async with app.testing() as t:
        await t.clock.advance(hours=1)
    assert sorted(ran) == ["coroutine", "plain"]


async def test_several_on_one(app: AioQueue) -> None:
    ran = tasks(app)
    note: Any = app.note  # type: ignore[attr-defined]
    app.periodic(every(hours=6), args=("us",), name="third")(
        app.periodic(every(hours=8), args=("eu",))(app.periodic(every(hours=12))(note))
    )
    assert names(app) == [note.name, f"{note.name}#2", "third"]
    async with app.testing() as t:
        await t.clock.advance(hours=13)
    assert sorted(ran) == ["-", "eu", "us", "us"]


async def test_several_on_a_function_that_is_no_task_yet(app: AioQueue) -> None:
    ran: list[str] = []

    def note(text: str) -> None:
        ran.append(text)

    app.periodic(every(hours=1), args=("eu",))(note)
    app.periodic(every(hours=1), args=("us",))(note)
    async with app.testing() as t:
        await t.clock.advance(hours=1)
    assert sorted(ran) == ["eu", "us"]


def test_task_above_periodic_is_told_as_such(app: AioQueue) -> None:
    with pytest.raises(ConfigurationError, match=r"note is a task already.* above @app\.task"):

        @app.task(queue="low")
        @app.periodic(60)
        async def note() -> None: ...


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"schedule": "every now and then"}, "five fields"),
        ({"schedule": None}, "schedule"),
        ({"schedule": 0}, "0.1"),
        ({"args": (1, 2)}, "note"),
        ({"kwargs": {"txt": "x"}}, "txt"),
        ({"args": (object(),)}, "object"),
        ({"args": 5}, "args"),
        ({"misfire": "twice"}, "The option misfire of the schedule '"),
        ({"misfire_grace": -1}, "misfire_grace"),
        ({"max_running": 0}, "max_running"),
        ({"max_runs": 1.5}, "max_runs"),
        ({"start_at": "tomorrow"}, "start_at"),
        ({"misfires": "skip"}, "misfire'"),
        ({"options": {"queu": "x"}}, "queue"),
        ({"options": {"eta": datetime.now(UTC)}}, "eta"),
        ({"options": {"task_id": "x"}}, "task_id"),
        ({"name": ""}, "name"),
        ({"name": " x"}, "name"),
        ({"name": "x\n"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": 7}, "name"),
    ],
)
def test_what_is_wrong_is_told_at_its_declaration(given: dict[str, Any], wrong: str) -> None:
    app = AioQueue("shop", broker="memory://")
    tasks(app)
    with pytest.raises(ConfigurationError, match=wrong):
        app.periodic(**{"schedule": 60, **given})(app.note)  # type: ignore[attr-defined]
    assert names(app) == []


def test_it_takes_a_schedule() -> None:
    app = AioQueue("shop", broker="memory://")
    with pytest.raises(ConfigurationError, match=r"@app.periodic\(every"):

        @app.periodic  # type: ignore[arg-type]
        async def forgotten() -> None: ...


def test_a_name_is_taken_once() -> None:
    app = AioQueue("shop", broker="memory://")
    tasks(app)
    decorate = app.periodic(60, name="x")
    decorate(app.note)  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="Two schedules"):
        decorate(app.note)  # type: ignore[attr-defined]

    @app.task
    async def other() -> None: ...

    with pytest.raises(ConfigurationError, match="Two schedules"):
        decorate(other)


def test_a_task_of_another_app(app: AioQueue) -> None:
    other = AioQueue("other", broker="memory://")
    tasks(other)
    with pytest.raises(ConfigurationError, match="another app"):
        app.periodic(60)(other.note)  # type: ignore[attr-defined]


def test_a_shared_task() -> None:
    app = AioQueue("shop", broker="memory://")

    @app.periodic(60)
    @shared_task
    async def lent() -> None: ...

    assert names(app) == [lent.name]


SOURCE = """
from aioqueue import every
@app.periodic(every({seconds}))
@app.task
async def job() -> None: ...
"""


def test_a_module_that_is_loaded_again_declares_them_again(app: AioQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from importlib.machinery import ModuleSpec

    app = AioQueue("shop", broker="memory://")

    def load(source: str) -> None:
        module = types.ModuleType("jobs")
        module.__spec__ = ModuleSpec("jobs", None)
        module.__dict__["app"] = app
        monkeypatch.setitem(sys.modules, "jobs", module)
        exec(source, module.__dict__)

    load(SOURCE.format(seconds=60))
    load(SOURCE.format(seconds=90))
    assert app.declared is not None
    assert [found.schedule for found in app.declared.of(app)] == [every(90)]
    load(SOURCE.format(seconds=90).replace("@app.periodic(every(90))\n", ""))
    assert names(app) == []


# The setting


CELERYS: dict[str, Any] = {
    "every minute": {"task": "note", "schedule": 600, "args": ("number",)},
    "every-hour": {"task": "note", "schedule": timedelta(hours=1), "kwargs": {"text": "timedelta"}},
    "at night": {
        "task": "note",
        "schedule": crontab(hour=2, minute=30),
        "args": ["crontab"],
        "options": {"queue": "low"},
    },
    "text": {"task": "note", "schedule": "0 4 * * *", "args": ("text",), "relative": False},
}


async def test_celerys_dictionary_as_it_is(app: AioQueue) -> None:
    ran: list[str] = []

    @app.task(name="note", bind=True)
    async def note(ctx: TaskContext, text: str) -> None:
        ran.append(f"{text} in {ctx.queue}")

    app.conf.beat_schedule = CELERYS
    async with app.testing() as t:
        await t.clock.advance(A_DAY)
    assert {what: ran.count(what) for what in sorted({*ran})} == {
        "crontab in low": 1,
        "number in default": 24 * 6,
        "text in default": 1,
        "timedelta in default": 24,
    }


async def test_relative_is_by_the_clock(app: AioQueue) -> None:
    seen: list[datetime | None] = []

    @app.task(name="note", bind=True)
    async def note(ctx: TaskContext) -> None:
        seen.append(ctx.due_at)

    app.conf.beat_schedule = {"x": {"task": "note", "schedule": timedelta(hours=1), "relative": True}}
    async with app.testing() as t:
        await t.clock.advance(hours=2)
    assert len(seen) == 2
    assert all(due is not None and due.minute == due.second == due.microsecond == 0 for due in seen)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "Australia/Sydney", "Europe/London"])
async def test_relative_is_by_the_clock_of_the_apps_zone(app: AioQueue, zone: str) -> None:
    app.conf.timezone = zone
    tasks(app)
    app.conf.beat_schedule = {
        "day": {"task": "note", "schedule": timedelta(days=1), "relative": True},
        "hour": {"task": "note", "schedule": timedelta(hours=1), "relative": True},
    }
    async with app.testing() as t:
        await t.clock.advance(seconds=1)
        days, hours = await app.schedules.upcoming("day", 400), await app.schedules.upcoming("hour", 1000)
    there = ZoneInfo(zone)
    assert {due.astimezone(there).strftime("%H:%M:%S") for due in days} == {"00:00:00"}
    assert {due.astimezone(there).strftime("%M:%S") for due in hours} == {"00:00"}


async def test_tasks_and_canvases_stand_in_it_too(app: AioQueue) -> None:
    ran = tasks(app)
    note: Any = app.note  # type: ignore[attr-defined]
    app.conf.beat_schedule = {
        "task": {"task": note, "schedule": 3600, "args": ("task",)},
        "canvas": {"task": chain(note.si("first"), note.si("second")), "schedule": 3600},
    }
    async with app.testing() as t:
        await t.clock.advance(hours=1)
    assert sorted(ran) == ["first", "second", "task"]


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        (5, "dict of names"),
        ({"task": "note"}, "no 'schedule'"),
        ({"schedule": 5}, "no 'task'"),
        ({"task": "note", "schedule": "now"}, "now"),
        ({"task": "note", "schedule": -5}, "0.1"),
        ({"task": "note", "schedule": 5, "arg": ()}, "Did you mean 'args'"),
        ({"task": "note", "schedule": 5, "args": 5}, "args"),
        ({"task": "note", "schedule": 5, "kwargs": [5]}, "kwargs"),
    ],
)
def test_what_is_no_entry_is_refused_at_once(entry: Any, wrong: str) -> None:
    app = AioQueue("shop", broker="memory://")
    with pytest.raises(ConfigurationError, match=wrong):
        app.conf.beat_schedule = {"x": entry}
    with pytest.raises(ConfigurationError, match=wrong):
        AioQueue("shop", broker="memory://", beat_schedule={"x": entry})
    assert app.conf.beat_schedule == {}


async def test_options_and_terms_of_an_entry(app: AioQueue) -> None:
    tasks(app)
    note: Any = app.note  # type: ignore[attr-defined]
    app.conf.beat_schedule = {
        "canvas": {"task": chain(note.si("a"), note.si("b")), "schedule": 60, "options": {"queue": "low"}},
        "both": {"task": note.s("a"), "schedule": 60, "args": ("b",)},
        "terms": {"task": note.name, "schedule": 60, "misfire": "skip", "max_runs": 3, "max_running": 2},
    }
    async with app.testing():
        found = {info.name: info for info in await app.schedules.list()}
    assert found["canvas"].options == {"queue": "low"}
    assert "args or kwargs beside a canvas" in (found["both"].problem or "")
    assert (found["terms"].misfire, found["terms"].max_runs, found["terms"].max_running) == ("skip", 3, 2)


async def test_a_program_without_tasks_doubts_no_name() -> None:
    app = AioQueue("shop", broker="redis://nobody.invalid")
    app.conf.beat_schedule = {"x": {"task": "elsewhere", "schedule": 60}}
    async with app.testing():
        (info,) = await app.schedules.list()
    assert (info.task, info.problem) == ("elsewhere", None)


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "Berlin", ""])
def test_the_default_zone_is_one(zone: str) -> None:
    with pytest.raises(ConfigurationError, match="timezone"):
        AioQueue("shop", broker="memory://", timezone=zone)


async def test_the_default_zone_counts_for_crontabs_that_name_none(app: AioQueue) -> None:
    app.conf.timezone = "Asia/Kolkata"
    seen: list[datetime | None] = []

    @app.periodic(crontab(hour=9, minute=0))
    @app.task(bind=True)
    async def note(ctx: TaskContext) -> None:
        seen.append(ctx.due_at)

    async with app.testing() as t:
        await t.clock.advance(A_DAY)
        assert [due and (due.hour, due.minute) for due in seen] == [(3, 30)]
        (info,) = await app.schedules.list()
        assert info.schedule == "crontab(minute=0, hour=9, tz='Asia/Kolkata')"


async def test_what_is_wrong_with_one_harms_no_other(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    ran = tasks(app)
    note: Any = app.note  # type: ignore[attr-defined]
    app.periodic(every(hours=1), args=("periodic",), name="twice")(note)
    app.conf.beat_schedule = {
        "no fit": {"task": note.name, "schedule": 60, "args": (1, 2)},
        "no bytes": {"task": note.name, "schedule": 60, "args": (object(),)},
        "no task": {"task": "note.e", "schedule": 3600},
        "twice": {"task": note.name, "schedule": 60, "args": ("setting",)},
        "odd": {"task": 5, "schedule": 60},
        "fine": {"task": note.name, "schedule": 3600, "args": ("fine",)},
    }
    with caplog.at_level(logging.WARNING, "aioqueue"):
        async with app.testing() as t:
            await t.clock.advance(hours=1)
            found = {info.name: info for info in await app.schedules.list()}
            one = await app.schedules.get("no fit")
    assert sorted(ran) == ["fine", "periodic"]
    assert found.keys() == {"no fit", "no bytes", "no task", "twice", "odd", "fine"}
    told = {name for name in found if f"Schedule {name} is left out" in caplog.text}
    assert told == {"no fit", "no bytes", "twice", "odd"}
    assert {name for name, info in found.items() if info.problem} == {*told, "no task"}
    assert "no task 'note.e'" in (found["no task"].problem or "").lower()
    assert caplog.text.count("Schedule no fit") == 1, "it is told once"
    assert one is not None and one.problem == found["no fit"].problem
    assert found["fine"].problem is None


# Classes of the user's own


class Quarters(Schedule):
    """Each quarter of an hour, and a half one later."""

    def __init__(self, late: int) -> None:
        self.late = late

    def next_after(self, when: datetime) -> datetime | None:
        step = timedelta(minutes=15)
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=self.late)
        return start + ((when - start) // step + 1) * step


class Broken(Schedule):
    def next_after(self, when: datetime) -> datetime | None:
        raise LookupError("no such day")


class Breaks(Schedule):
    """Due once, and then it raises."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def next_after(self, when: datetime) -> datetime | None:
        if when >= self.at:
            raise LookupError("no such day")
        return self.at


async def test_a_class_of_ones_own(app: AioQueue) -> None:
    ran = tasks(app)
    note: Any = app.note  # type: ignore[attr-defined]
    app.periodic(Quarters(7), args=("mine",))(note)
    async with app.testing() as t:
        await t.clock.advance(hours=1)
        assert ran == ["mine"] * 4
        (info,) = await app.schedules.list()
        assert (info.schedule, info.problem) == ("Quarters(late=7)", None)
        upcoming = await app.schedules.upcoming(note.name, 2)
        assert [due.minute % 15 for due in upcoming] == [7, 7]


async def test_one_that_raises_harms_no_other(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    ran = tasks(app)
    note: Any = app.note  # type: ignore[attr-defined]
    app.periodic(Broken(), name="broken")(note)
    app.periodic(Breaks(datetime.now(UTC) + timedelta(minutes=2)), name="breaks")(note)
    app.periodic(60, args=("fine",), name="fine")(note)
    async with app.testing() as t:
        await t.clock.advance(minutes=5)
        found = {info.name: info for info in await app.schedules.list()}
    assert ran == ["fine"] * 5
    assert "no such day" in (found["broken"].problem or "")
    assert "Schedule broken is left out" in caplog.text
    assert "Schedule breaks cannot be fired: no such day" in caplog.text
