"""The test of schedules.py: a clock that the test moves, and no waiting."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from schedules import announce_visit, app, report, watch_closely, water

from aioqueue.testing import Testing


async def until_midnight(t: Testing) -> None:
    """Begin with the day, so that the test is the same at any time of it."""
    tomorrow = (t.clock.now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    await t.clock.advance(tomorrow - t.clock.now)
    t.clear()


async def test_a_week() -> None:
    async with app.testing() as t:
        await until_midnight(t)
        await t.clock.advance(days=7)
        fired = Counter(sent.headers["schedule"] for sent in t.sent())
        assert fired == {"water tomatoes": 7, "water herbs": 2, "measure": 7 * 24, "report": 1}
        assert [f"{sent.sent_at:%a %H:%M}" for sent in t.sent(report)] == ["Fri 18:00"]


async def test_what_a_schedule_sends() -> None:
    async with app.testing() as t:
        await until_midnight(t)
        await t.clock.advance(hours=8)
        sent = t.assert_sent(water, "tomatoes")
        assert sent.id == f"water tomatoes:{sent.sent_at:%Y-%m-%d}T07:00:00Z".replace(" ", "%20")
        assert await app.result(sent.id) == "tomatoes watered"


async def test_a_closer_look_ends_by_itself() -> None:
    async with app.testing() as t:
        await watch_closely(timedelta(minutes=1), times=3)
        await t.clock.advance(minutes=10)
        watch = await app.schedules.get("watch")
        assert watch is not None and watch.runs == 3 and watch.next_run_at is None


async def test_a_visit_is_announced_once_and_can_be_called_off() -> None:
    async with app.testing() as t:
        await until_midnight(t)
        await announce_visit(t.clock.now + timedelta(hours=2), "Ada")
        await announce_visit(t.clock.now + timedelta(hours=3), "Grace")
        await app.schedules.remove("visit of Grace")
        await t.clock.advance(hours=1)
        t.assert_not_sent(report)
        await t.clock.advance(hours=3)
        t.assert_sent(report, "Ada")
        t.assert_not_sent(report, "Grace")


async def test_a_pause() -> None:
    async with app.testing() as t:
        await app.schedules.pause("water tomatoes")
        await t.clock.advance(days=7)
        t.assert_not_sent(water, "tomatoes")
        t.assert_sent(water, "herbs")
