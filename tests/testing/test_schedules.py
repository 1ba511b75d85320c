"""Schedules, fired as the clock of a test comes to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from aioqueue import AioQueue, TaskContext, crontab, every, one_off
from aioqueue.task import Task
from aioqueue.testing import Testing

A_MOMENT = timedelta(minutes=2)
"""What a test takes at most; its schedules are hours apart."""


class Seen:
    """What ran: the schedule, its due time, and the time by the test's clock."""

    def __init__(self) -> None:
        self.runs: list[tuple[str | None, datetime | None, datetime]] = []
        self.t: Testing | None = None

    @property
    def names(self) -> list[str | None]:
        return [name for name, _, _ in self.runs]

    def due(self, name: str) -> list[datetime | None]:
        return [due for one, due, _ in self.runs if one == name]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def note(app: AioQueue, seen: Seen) -> Task[..., None]:
    @app.task(bind=True, name="note")
    async def note(ctx: TaskContext, text: str = "") -> None:
        assert seen.t is not None
        seen.runs.append((ctx.schedule or text, ctx.due_at, seen.t.clock.now))

    return note


@pytest_asyncio.fixture
async def t(app: AioQueue, kind: str, seen: Seen, note: Task[..., None]) -> AsyncIterator[Testing]:
    """The app, under test, with a few schedules in its code."""
    app.periodic(every(hours=7), name="often")(note)
    app.periodic(crontab("30 2 * * *", tz="Asia/Kolkata"), name="nightly")(note)
    app.periodic(crontab(minute=0, hour="*/6"), name="quarters")(note)
    async with app.testing(broker=kind) as testing:
        seen.t = testing
        yield testing


async def test_a_day_fires_what_is_due_in_order_each_at_its_own_moment(
    app: AioQueue, note: Task[..., None], seen: Seen, t: Testing
) -> None:
    start = t.clock.now
    once = (start + timedelta(hours=5)).replace(microsecond=0)
    await app.schedules.add("once", note.s(), one_off(once))
    await note.options(countdown=10 * 3600).send("delayed")
    begins = {info.name: info.next_run_at for info in await app.schedules.list()}
    assert begins["often"] is not None
    await t.clock.advance(days=1)
    end = t.clock.now

    def falls(schedule: Any) -> list[datetime]:
        found: list[datetime] = []
        due = schedule.next_after(start)
        while due is not None and due <= start + timedelta(days=1):
            found.append(due.astimezone(UTC))
            due = schedule.next_after(due)
        return found

    assert seen.due("often") == [begins["often"] + n * timedelta(hours=7) for n in range(3)]
    assert seen.due("nightly") == falls(crontab("30 2 * * *", tz="Asia/Kolkata"))
    assert seen.due("quarters") == falls(crontab(minute=0, hour="*/6"))
    assert len(seen.due("nightly")) == 1 and len(seen.due("quarters")) == 4
    assert seen.due("once") == [once]
    assert seen.names.count("delayed") == 1
    moments = [due or start + timedelta(hours=10) for _, due, _ in seen.runs]
    assert moments == sorted(moments), "in order"
    for moment, (name, _, now) in zip(moments, seen.runs, strict=True):
        assert timedelta() <= now - moment < A_MOMENT, f"{name} at its own moment"
    assert timedelta() <= end - start - timedelta(days=1) < A_MOMENT
    for info in await app.schedules.list():
        assert (info.misfires, info.runs) == (0, len(seen.due(info.name)))
        assert info.next_run_at is None or info.next_run_at > end


async def test_step_by_step_it_is_the_same(app: AioQueue, seen: Seen, t: Testing) -> None:
    start = t.clock.now
    while t.clock.now < start + timedelta(hours=24):
        await t.clock.advance(minutes=90)
    assert len(seen.due("often")) == 3
    for name in ("nightly", "quarters", "often"):
        assert seen.due(name) == sorted({*seen.due(name)}), "each once, in order"  # type: ignore[type-var]


async def test_what_does_not_come_due_does_not_fire(
    app: AioQueue, note: Task[..., None], seen: Seen, t: Testing
) -> None:
    await app.schedules.add("hourly", note.s(), every(hours=1))
    await t.drain()
    assert seen.runs == [], "drain moves no clock"
    await app.schedules.pause("often")
    await app.schedules.pause("hourly")
    await t.clock.advance(hours=8)
    assert "often" not in seen.names and "hourly" not in seen.names
    await app.schedules.resume("hourly")
    await app.schedules.add("gone", note.s(), every(hours=1))
    await app.schedules.remove("gone")
    await t.clock.advance(hours=7)
    assert seen.names.count("hourly") == 7
    assert "gone" not in seen.names and "often" not in seen.names


async def test_what_a_run_sends_runs_before_the_next_due_time(app: AioQueue, seen: Seen, t: Testing) -> None:
    order: list[str] = []

    @app.task(bind=True, name="parent")
    async def parent(ctx: TaskContext) -> None:
        assert ctx.due_at is not None
        order.append(f"{ctx.due_at:%d %H}")
        await child.send(f"{ctx.due_at:%d %H}")
        if ctx.retries == 0:
            raise ctx.retry(countdown=60)

    @app.task(name="child")
    async def child(of: str) -> None:
        order.append(f"child of {of}")

    await app.schedules.add("family", parent.s(), every(hours=1))
    await t.clock.advance(hours=3, minutes=30)
    due = list(dict.fromkeys(text for text in order if not text.startswith("child")))
    assert len(due) == 3
    assert order == [text for one in due for text in (one, f"child of {one}") * 2]


async def test_a_schedule_that_a_run_adds_fires_on_the_way(
    app: AioQueue, note: Task[..., None], seen: Seen, t: Testing
) -> None:
    @app.task(name="adds")
    async def adds() -> None:
        await app.schedules.add("added", note.s(), every(hours=2))

    await app.schedules.add("adds", adds.s(), every(hours=5), max_runs=1)
    await t.clock.advance(hours=10)
    first, second = seen.due("added")
    assert first is not None and second is not None
    assert second - first == timedelta(hours=2)


async def test_a_worker_of_the_test_with_a_scheduler_is_in_nobodys_way(app: AioQueue, seen: Seen, t: Testing) -> None:
    async with app.worker(beat=True):
        await t.clock.advance(days=1)
    assert len(seen.due("often")) == 3
    for name in ("nightly", "quarters", "often"):
        assert len(seen.due(name)) == len({*seen.due(name)}), "each once"
