"""`app.schedules`: what a program does with schedules at run time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.apps import MakeApp, working
from support.waiting import until

from aioqueue import AioQueue, Schedule, TaskContext, chain, chord, crontab, every, group, one_off
from aioqueue.exceptions import AioQueueError, ConfigurationError, NotRegistered, PayloadError, ScheduleExists
from aioqueue.task import Task
from aioqueue.testing import Testing

Seen = list[tuple[str, Any, dict[str, Any]]]


@pytest.fixture
def seen() -> Seen:
    """What ran: the task's argument, its context's `schedule`, its headers."""
    return []


@pytest.fixture
def note(app: AioQueue, seen: Seen) -> Task[..., str]:
    @app.task(bind=True, name="note")
    async def note(ctx: TaskContext, text: Any = "-") -> str:
        seen.append((str(text), ctx.schedule, ctx.headers))
        return f"noted {text}"

    return note


@pytest.fixture
def total(app: AioQueue) -> Task[..., int]:
    @app.task(name="total")
    async def total(numbers: list[str]) -> int:
        return len(numbers)

    return total


def texts(seen: Seen) -> list[str]:
    return [text for text, _, _ in seen]


async def test_what_was_added_is_there(app: AioQueue, note: Task[..., str], t: Testing) -> None:
    start = t.clock.now
    given = await app.schedules.add(
        "poll",
        note.s("a").set(queue="low"),
        every(minutes=10),
        misfire="skip",
        misfire_grace=timedelta(seconds=5),
        max_running=3,
        max_runs=9,
        end_at=datetime(2999, 1, 1, tzinfo=UTC),
    )
    assert await app.schedules.get("poll") == given
    assert await app.schedules.list() == [given]
    assert (given.name, given.task, given.args, given.kwargs) == ("poll", "note", ("a",), {})
    assert given.options == {"queue": "low"}
    assert (given.schedule, given.source, given.paused) == ("every(minutes=10)", "api", False)
    assert given.next_run_at is not None
    assert abs(given.next_run_at - start - timedelta(minutes=10)) < timedelta(seconds=5)
    assert (given.last_due_at, given.last_task_id, given.runs, given.misfires) == (None, None, 0, 0)
    assert (given.misfire, given.misfire_grace, given.max_running, given.max_runs) == ("skip", 5, 3, 9)
    assert given.end_at == datetime(2999, 1, 1, tzinfo=UTC)
    assert given.problem is None
    await t.clock.advance(minutes=25)
    later = await app.schedules.get("poll")
    assert later is not None
    assert later.last_due_at == given.next_run_at + timedelta(minutes=10)
    assert later.runs == 2
    assert later.last_task_id is not None
    assert await app.result(later.last_task_id).get() == "noted a"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (90, "every(90)"),
        (0.5, "every(0.5)"),
        (timedelta(hours=2), "every(hours=2)"),
        ("*/5 9-17 * * mon-fri", "crontab('*/5 9-17 * * mon-fri', tz='UTC')"),
        (crontab(minute=0, tz="Europe/Paris"), "crontab(minute=0, tz='Europe/Paris')"),
        (every(60, jitter=5), "every(minutes=1, jitter=5)"),
    ],
)
async def test_a_schedule_is_given_in_many_ways(
    app: AioQueue, note: Task[..., str], given: Any, text: str, t: Testing
) -> None:
    assert (await app.schedules.add("x", note.s(), given)).schedule == text


async def test_a_name_that_is_taken(app: AioQueue, note: Task[..., str], t: Testing) -> None:
    before = await app.schedules.add("poll", note.s("old"), 60)
    with pytest.raises(ScheduleExists, match="'poll'"):
        await app.schedules.add("poll", note.s("new"), 90)
    assert await app.schedules.get("poll") == before
    await app.schedules.pause("poll")
    after = await app.schedules.add("poll", note.s("new"), 90, replace=True)
    assert (after.args, after.schedule, after.paused) == (("new",), "every(90)", True)


@pytest.mark.parametrize(
    ("given", "error", "wrong"),
    [
        ({"canvas": "note"}, ConfigurationError, "canvas"),
        ({"schedule": "now"}, ConfigurationError, "now"),
        ({"schedule": one_off(datetime(2020, 1, 1, tzinfo=UTC))}, ConfigurationError, "never fire"),
        ({"end_at": datetime(2020, 1, 1, tzinfo=UTC)}, ConfigurationError, "never fire"),
        ({"misfire": "none"}, ConfigurationError, "misfire"),
        ({"name": ""}, ConfigurationError, "name"),
        ({"mis": 5}, ConfigurationError, "Did you mean"),
    ],
)
async def test_what_could_never_fire(
    app: AioQueue, note: Task[..., str], t: Testing, given: dict[str, Any], error: Any, wrong: str
) -> None:
    with pytest.raises(error, match=wrong):
        await app.schedules.add(**{"name": "x", "canvas": note.s(), "schedule": 60, **given})
    assert await app.schedules.list() == []


async def test_one_that_has_run_as_often_as_it_may_is_not_put_in_its_own_place(
    app: AioQueue, note: Task[..., str], seen: Seen, t: Testing
) -> None:
    await app.schedules.add("twice", note.s(), 60, max_runs=2)
    await t.clock.advance(minutes=5)
    before = await app.schedules.get("twice")
    with pytest.raises(ConfigurationError, match="never fire: it has run 2 times"):
        await app.schedules.add("twice", note.s("new"), 60, max_runs=2, replace=True)
    assert await app.schedules.get("twice") == before
    await app.schedules.add("twice", note.s("new"), 60, max_runs=3, replace=True)
    await t.clock.advance(minutes=5)
    assert texts(seen) == ["-", "-", "new"]


class Mine(Schedule):
    def next_after(self, when: datetime) -> datetime | None:
        return when + timedelta(minutes=1)


async def test_what_cannot_be_sent_is_told(app: AioQueue, note: Task[..., str], t: Testing) -> None:
    add = app.schedules.add
    with pytest.raises(PayloadError):
        await add("x", note.s(object()), 60)
    with pytest.raises(ConfigurationError, match="note"):
        await add("x", note.s(1, 2), 60)
    with pytest.raises(ConfigurationError, match="note"):
        await add("x", chain(note.s(1), note.s(2, 3)), 60)
    with pytest.raises(NotRegistered, match="Did you mean 'note'"):
        await add("x", app.signature("noted"), 60)
    with pytest.raises(NotRegistered):
        await add("x", group(note.s(1), app.signature("noted")), 60)
    with pytest.raises(ConfigurationError, match="nothing to send"):
        await add("x", group(), 60)
    with pytest.raises(ConfigurationError, match="class of your own"):
        await add("x", note.s(), Mine())
    with pytest.raises(ConfigurationError, match="task_id"):
        await add("x", note.s().set(task_id="mine"), 60)
    assert await app.schedules.list() == []


async def test_without_the_code_any_name_can_be_scheduled(make_app: MakeApp, app: AioQueue) -> None:
    async with app:
        await app.schedules.add("x", app.signature("elsewhere", (1,)), 60)
        assert [(info.task, info.problem) for info in await app.schedules.list()] == [("elsewhere", None)]


async def test_paused_and_resumed(app: AioQueue, note: Task[..., str], seen: Seen, t: Testing) -> None:
    await app.schedules.add("poll", note.s(), every(minutes=10), misfire="all")
    first = await app.schedules.get("poll")
    await app.schedules.pause("poll")
    await app.schedules.pause("poll")
    info = await app.schedules.get("poll")
    assert info is not None and first is not None and first.next_run_at is not None
    assert (info.paused, info.next_run_at) == (True, None)
    await t.clock.advance(minutes=35)
    assert seen == []
    await app.schedules.resume("poll")
    await app.schedules.resume("poll")
    info = await app.schedules.get("poll")
    assert info is not None
    assert (info.paused, info.misfires) == (False, 0)
    assert info.next_run_at == first.next_run_at + timedelta(minutes=30), "it keeps its step"
    await t.clock.advance(minutes=6)
    assert len(seen) == 1


async def test_a_pause_that_ends_before_it_is_due_changes_nothing(
    app: AioQueue, note: Task[..., str], t: Testing
) -> None:
    before = await app.schedules.add("poll", note.s(), every(minutes=10, jitter=60))
    await app.schedules.pause("poll")
    await app.schedules.resume("poll")
    assert await app.schedules.get("poll") == before


async def test_removed(app: AioQueue, note: Task[..., str], seen: Seen, t: Testing) -> None:
    await app.schedules.add("poll", note.s(), 60)
    assert await app.schedules.remove("poll") is True
    assert await app.schedules.remove("poll") is False
    assert await app.schedules.get("poll") is None
    await t.clock.advance(minutes=5)
    assert seen == []


async def test_a_name_that_nobody_knows(app: AioQueue, note: Task[..., str], t: Testing) -> None:
    await app.schedules.add("poll", note.s(), 60)
    for act in (app.schedules.pause, app.schedules.resume, app.schedules.trigger, app.schedules.upcoming):
        with pytest.raises(AioQueueError, match=r"no schedule 'pool'.*Did you mean 'poll'"):
            await act("pool")


@pytest.mark.parametrize(
    ("name", "wrong"), [("\ud800", "surrogate"), ("x\udcff\udfff", "surrogate"), (7, "not 7"), (None, "not None")]
)
async def test_a_name_that_none_can_have(
    app: AioQueue, note: Task[..., str], t: Testing, name: Any, wrong: str
) -> None:
    schedules = app.schedules
    asked = (schedules.get, schedules.pause, schedules.resume, schedules.remove, schedules.trigger, schedules.upcoming)
    for act in asked:
        with pytest.raises(ConfigurationError, match=f"The name of a schedule is a text.*{wrong}"):
            await act(name)
    with pytest.raises(ConfigurationError, match="The name of a schedule is a text of 1 to 200"):
        await schedules.add(name, note.s(), 60)
    assert await schedules.list() == []


async def test_a_name_that_is_no_text_only_finds_nothing(app: AioQueue, t: Testing) -> None:
    """Others may have stored one: the bytes of it are asked for."""
    assert await app.schedules.get("\udcff") is None
    assert await app.schedules.remove("\udcff") is False


async def test_triggered(app: AioQueue, note: Task[..., str], seen: Seen, t: Testing) -> None:
    before = await app.schedules.add("poll", note.s("a").set(headers={"own": 1}), every(hours=1))
    result = await app.schedules.trigger("poll")
    await t.drain()
    assert await result.get() == "noted a"
    ((_, name, headers),) = seen
    assert name == "poll"
    assert headers.pop("own") == 1
    assert abs(datetime.fromisoformat(headers["due_at"]) - t.clock.now) < timedelta(seconds=5)
    assert await app.schedules.get("poll") == before, "its due times stay as they are"
    await app.schedules.pause("poll")
    await (await app.schedules.trigger("poll")).forget()
    await t.drain()
    assert len(seen) == 2, "also a paused one"


async def test_any_canvas(app: AioQueue, note: Task[..., str], total: Task[..., int], seen: Seen, t: Testing) -> None:
    await app.schedules.add("chain", chain(note.s("a"), note.s()), every(hours=1))
    await app.schedules.add("group", group(note.s(n) for n in range(3)), every(hours=1))
    await app.schedules.add("chord", chord([note.s("x"), note.s("y")], total.s()), every(hours=1))
    await app.schedules.add("map", note.map(["k", "l"]), every(hours=1))
    linked = note.s("first").set(headers={"own": 1})
    linked.link(note.s())
    await app.schedules.add("linked", linked, every(hours=1))
    await t.clock.advance(hours=1)
    assert sorted((text, name) for text, name, _ in seen) == sorted(
        [
            ("a", "chain"),
            ("noted a", "chain"),
            *((str(n), "group") for n in range(3)),
            ("x", "chord"),
            ("y", "chord"),
            ("k", "map"),
            ("l", "map"),
            ("first", "linked"),
            ("noted first", "linked"),
        ]
    )
    assert {headers["due_at"] for _, name, headers in seen if name == "chain"}.__len__() == 1
    assert [headers.get("own") for text, name, headers in seen if name == "linked"] == [1, None]
    infos = {info.name: info for info in await app.schedules.list()}
    ends = {name: info.last_task_id and await app.result(info.last_task_id).get() for name, info in infos.items()}
    assert ends == {
        "chain": "noted noted a",
        "group": ["noted 0", "noted 1", "noted 2"],
        "chord": 2,
        "map": ["noted k", "noted l"],
        "linked": "noted first",
    }
    assert infos["chain"].task == "note('a') | note()"


async def test_a_canvas_goes_where_its_first_task_goes(app: AioQueue, note: Task[..., str], t: Testing) -> None:
    await app.schedules.add("x", chain(note.s("a").set(queue="high"), note.s()), every(hours=1))
    await app.schedules.add("y", chain(note.s("a"), note.s()).set(queue="low"), every(hours=1))
    await t.clock.advance(hours=1)
    assert [sent.queue for sent in t.sent("aioqueue.canvas")] == ["high", "low"]


async def test_a_canvas_is_triggered_whole(app: AioQueue, note: Task[..., str], seen: Seen, t: Testing) -> None:
    await app.schedules.add("group", group(note.s(n) for n in range(3)), every(hours=1))
    result = await app.schedules.trigger("group")
    await t.drain()
    assert await result.get() == ["noted 0", "noted 1", "noted 2"]
    assert {name for _, name, _ in seen} == {"group"}


async def test_upcoming(app: AioQueue, note: Task[..., str], t: Testing) -> None:
    await app.schedules.add("daily", note.s(), crontab("30 9 * * *", tz="Europe/Berlin"))
    found = await app.schedules.upcoming("daily", 3)
    assert [str(due.tzinfo) for due in found] == ["Europe/Berlin"] * 3
    assert [(due.hour, due.minute) for due in found] == [(9, 30)] * 3
    assert found == sorted(found) and found[0] > t.clock.now
    info = await app.schedules.get("daily")
    assert info is not None and found[0] == info.next_run_at
    await app.schedules.pause("daily")
    assert await app.schedules.upcoming("daily", 3) == found
    assert len(await app.schedules.upcoming("daily")) == 10
    await app.schedules.add("few", note.s(), every(60), max_runs=2)
    assert len(await app.schedules.upcoming("few")) == 2
    await t.clock.advance(minutes=1)
    assert len(await app.schedules.upcoming("few")) == 1
    await t.clock.advance(minutes=1)
    assert await app.schedules.upcoming("few") == []
    for n in (0, 10_001, 2.0, True):
        with pytest.raises(ConfigurationError, match="from 1 to 10,000"):
            await app.schedules.upcoming("few", n)  # type: ignore[arg-type]
    assert len(await app.schedules.upcoming("daily", 10_000)) == 10_000


async def test_what_is_over_stays_until_it_is_removed(
    app: AioQueue, note: Task[..., str], seen: Seen, t: Testing
) -> None:
    at = t.clock.now + timedelta(minutes=10)
    await app.schedules.add("new year", note.s(), one_off(at))
    await t.clock.advance(days=1)
    assert len(seen) == 1
    info = await app.schedules.get("new year")
    assert info is not None
    assert (info.runs, info.next_run_at) == (1, None)


async def test_its_id_is_a_name_whatever_the_schedules_is(app: AioQueue, note: Task[..., str], t: Testing) -> None:
    names = ["every ten minutes", "50 % of all", "é" * 200, " ".join("abcdefghij" * 10), "a.1:b/c#d"]
    for name in names:
        await app.schedules.add(name, note.s(name), 60)
    await t.clock.advance(minutes=1)
    ids = [sent.id for sent in t.sent(note)]
    assert len({*ids}) == len(names)
    assert all(" " not in id and len(id) <= 255 for id in ids)
    assert sorted(sent.args[0] for sent in t.sent(note)) == sorted(names)


async def test_arguments_arrive_as_they_were(app: AioQueue, t: Testing) -> None:
    given = {"when": datetime(2026, 1, 2, tzinfo=UTC), "raw": b"\x00\xff", "set": {1, 2}, "tuple": (1, (2,))}
    got: list[Any] = []

    @app.task
    async def take(*args: Any, **kwargs: Any) -> None:
        got.append((args, kwargs))

    await app.schedules.add("x", take.s(1, **given), 60)
    await t.clock.advance(minutes=1)
    assert got == [((1,), given)]
    info = await app.schedules.get("x")
    assert info is not None and (info.args, info.kwargs) == ((1,), given)


async def test_the_default_zone_is_read_when_it_is_added(app: AioQueue, note: Task[..., str], t: Testing) -> None:
    app.conf.timezone = "Asia/Tokyo"
    info = await app.schedules.add("x", note.s(), "0 9 * * *", start_at=datetime(2027, 1, 1))
    assert info.schedule == "crontab('0 9 * * *', tz='Asia/Tokyo')"
    assert info.start_at == datetime(2026, 12, 31, 15, tzinfo=UTC)
    assert info.next_run_at == datetime(2027, 1, 1, 0, tzinfo=UTC)


async def test_changes_are_heard_at_once(app: AioQueue, note: Task[..., str], seen: Seen) -> None:
    """Woken, not polled: the scheduler sleeps until its next due time, in an hour."""
    async with working(app, beat=True):
        await app.schedules.add("hourly", note.s("hourly"), every(hours=1))
        await until(lambda: _leads(app))
        await app.schedules.add("soon", note.s("soon"), 0.1)
        await until(lambda: texts(seen).count("soon") >= 3)
        await app.schedules.pause("soon")
        info = await app.schedules.get("soon")
        assert info is not None
        count = info.runs
        await app.schedules.resume("soon")
        await until(lambda: texts(seen).count("soon") > count)
        await app.schedules.add("soon", note.s("other"), 0.1, replace=True)
        await until(lambda: "other" in texts(seen))
        await app.schedules.remove("soon")


async def _leads(app: AioQueue) -> bool:
    return bool(await (await app.broker()).schedulers())


def test_from_synchronous_code(app: AioQueue, note: Task[..., str], broker_url: str) -> None:
    schedules = app.sync.schedules
    info = schedules.add("poll", note.s("a"), 60, max_runs=5)
    assert schedules.get("poll") == info
    assert schedules.list() == [info]
    schedules.pause("poll")
    schedules.resume("poll")
    assert len(schedules.upcoming("poll")) == 5
    assert schedules.trigger("poll").id
    assert schedules.remove("poll") is True


def test_the_rest_of_the_app_from_synchronous_code(app: AioQueue, note: Task[..., str]) -> None:
    first, second = app.sync.send_many([note.s(1), note.s(2)])
    assert first.id != second.id
    assert app.sync.send_task("note", ("x",), task_id="mine").id == "mine"
    assert app.sync.result("mine").state == "PENDING"
    assert app.sync.dead_letters.list() == []
    assert app.sync.dead_letters.get("none") is None
    assert app.sync.dead_letters.remove("none") is False
    assert app.sync.dead_letters.requeue("none") is False
    assert app.sync.dead_letters.purge() == 0
