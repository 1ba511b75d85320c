"""Tasks that wait for their time, and tasks whose time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from support.apps import ended, is_empty, lengths, working
from support.waiting import A_MOMENT, PATIENCE, until

from aioqueue import AioQueue, TaskContext
from aioqueue.exceptions import TaskRevoked


@pytest.fixture
def ran() -> list[tuple[Any, datetime]]:
    return []


@pytest.fixture
def note(app: AioQueue, ran: list[tuple[Any, datetime]]) -> Any:
    @app.task(name="note", bind=True)
    async def note(ctx: TaskContext, x: Any = None) -> datetime | None:
        ran.append((x, datetime.now(UTC)))
        return ctx.eta

    return note


@pytest.fixture(autouse=True)
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A naive datetime is UTC, wherever the program runs."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


def _now() -> datetime:
    return datetime.now(UTC)


# Not before


@pytest.mark.parametrize("how", ["countdown", "aware", "naive", "zone"])
async def test_it_waits(app: AioQueue, note: Any, ran: list[Any], how: str) -> None:
    async with working(app):
        sent = _now()
        due = sent + timedelta(seconds=0.3)
        options: dict[str, Any] = {
            "countdown": {"countdown": 0.3},
            "aware": {"eta": due},
            "naive": {"eta": due.replace(tzinfo=None)},
            "zone": {"eta": due.astimezone(timezone(timedelta(hours=-7)))},
        }[how]
        result = await note.options(**options).send()
        assert await lengths(app) == (0, 0, 1)
        assert await result.state() == "SENT"
        eta = await result.get(timeout=PATIENCE)
        started = ran[0][1]
        # Not before, and woken rather than found by the look every ten seconds.
        assert timedelta(seconds=-0.002) <= started - due < timedelta(seconds=5)
        assert abs(eta - due) < timedelta(seconds=0.05) and eta.tzinfo is not None
        assert await is_empty(app)


@pytest.mark.parametrize("ago", [timedelta(seconds=1), timedelta(days=400)])
async def test_an_eta_in_the_past_is_now(app: AioQueue, note: Any, ago: timedelta) -> None:
    async with app:
        recent = await note.options(eta=_now() - ago).send()
        first = await note.options(eta=datetime(1970, 1, 1, tzinfo=UTC)).send()
        assert await lengths(app) == (2, 0, 0), "none waits for its time"
        async with app.worker():
            await recent.get(timeout=PATIENCE)
            await first.get(timeout=PATIENCE)


async def test_no_countdown_is_now(app: AioQueue, note: Any) -> None:
    async with app:
        await note.options(countdown=0).send()
        assert await lengths(app) == (1, 0, 0)


async def test_in_the_order_of_their_times(app: AioQueue, note: Any, ran: list[Any]) -> None:
    async with working(app, concurrency=1):
        for number, countdown in ((3, 0.3), (1, 0.1), (2, 0.2)):
            await note.options(countdown=countdown).send(number)
        await until(lambda: len(ran) == 3)
    assert [number for number, _ in ran] == [1, 2, 3]


async def test_it_waits_in_the_broker_not_in_the_worker(app: AioQueue, note: Any, ran: list[Any]) -> None:
    async with app:
        async with app.worker():
            result = await note.options(countdown=0.2).send(1)
        assert await lengths(app) == (0, 0, 1)
        await asyncio.sleep(0.2 + A_MOMENT)
        assert ran == []
        async with app.worker():
            await result.get(timeout=PATIENCE)
    assert len(ran) == 1


async def test_far_away(app: AioQueue, note: Any) -> None:
    async with working(app):
        await note.options(eta=datetime(9999, 1, 1, tzinfo=UTC)).send()
        await note.options(countdown=10 * 365 * 86_400).send()
        assert await lengths(app) == (0, 0, 2)


async def test_many_delayed_with_priorities_and_queues(app: AioQueue, note: Any, ran: list[Any]) -> None:
    async with working(app, queues=["a", "b"], concurrency=1):
        due = _now() + timedelta(seconds=0.2)
        await app.send_many(
            note.s((queue, priority)).set(queue=queue, priority=priority, eta=due)
            for queue in ("a", "b")
            for priority in (0, 9)
        )
        await until(lambda: len(ran) == 4)
    assert sorted(x for x, _ in ran) == [("a", 0), ("a", 9), ("b", 0), ("b", 9)]


async def test_a_delayed_task_waits_for_its_place_like_any_other(app: AioQueue, note: Any, ran: list[Any]) -> None:
    async with app:
        await note.options(countdown=0.05, queue="other").send(1)
        async with app.worker():  # not of that queue
            await until(lambda: _waiting(app, "other"))
        assert ran == []


async def _waiting(app: AioQueue, queue: str) -> bool:
    return (await lengths(app, queue))[0] == 1


# Not after


@pytest.mark.parametrize("how", ["seconds", "aware", "naive", "past", "zero", "task"])
async def test_expired(app: AioQueue, note: Any, ran: list[Any], how: str) -> None:
    @app.task(name="brief", expires=0.03)
    async def brief() -> None:
        ran.append(("brief", _now()))

    soon = _now() + timedelta(seconds=0.03)
    options: dict[str, Any] = {
        "seconds": {"expires": 0.03},
        "aware": {"expires": soon},
        "naive": {"expires": soon.replace(tzinfo=None)},
        "past": {"expires": _now() - timedelta(hours=1)},
        "zero": {"expires": 0},
        "task": {},
    }[how]
    async with app:
        result = await (brief if how == "task" else note).options(**options).send()
        await asyncio.sleep(0.05)
        async with app.worker():
            info = await ended(result)
            assert (info.state, info.reason, info.name) == ("REVOKED", "expired", "brief" if how == "task" else "note")
            with pytest.raises(TaskRevoked, match="expired"):
                await result.get(timeout=PATIENCE)
            await until(lambda: is_empty(app))
            assert await app.dead_letters.list() == []
    assert ran == []


@pytest.mark.parametrize("expires", [60, timedelta(minutes=1)])
async def test_not_expired(app: AioQueue, note: Any, expires: Any) -> None:
    if isinstance(expires, timedelta):
        expires = _now() + expires
    async with working(app):
        await note.options(expires=expires).call(timeout=PATIENCE)


async def test_expires_while_it_waits_for_its_eta(app: AioQueue, note: Any, ran: list[Any]) -> None:
    async with working(app):
        result = await note.options(countdown=0.2, expires=0.1).send()
        assert (await ended(result)).reason == "expired"
    assert ran == []


async def test_what_runs_does_not_expire(app: AioQueue) -> None:
    @app.task
    async def slow() -> str:
        await asyncio.sleep(0.15)
        return "done"

    async with working(app):
        assert await slow.options(expires=0.1).call(timeout=PATIENCE) == "done"


async def test_a_retry_may_expire(app: AioQueue) -> None:
    @app.task(bind=True)
    async def again(ctx: TaskContext) -> None:
        raise ctx.retry(countdown=0.2)

    async with working(app):
        info = await ended(await again.options(expires=0.1).send())
        assert (info.state, info.reason) == ("REVOKED", "expired")


async def test_expired_while_held_by_a_busy_worker(app: AioQueue, note: Any, ran: list[Any]) -> None:
    # It was fetched in time, and its time was over when its turn came.
    app.conf.worker_prefetch = 5

    @app.task
    async def slow() -> None:
        await asyncio.sleep(0.3)

    async with working(app, concurrency=1):
        await slow.send()
        result = await note.options(expires=0.1).send()
        assert (await ended(result)).reason == "expired"
    assert ran == []
