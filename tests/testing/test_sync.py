"""`with app.testing() as t:` in tests that are plain functions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from aioqueue import AioQueue, Depends, TaskContext, chord, every, group
from aioqueue.exceptions import AioQueueError, TimeoutError
from aioqueue.testing.sync import SyncTesting


@pytest.fixture
def plain(app: AioQueue, kind: str) -> Iterator[SyncTesting]:
    """The app, under test."""
    with app.testing(broker=kind) as testing:
        yield testing
    app.portal.close()


def test_what_runs_and_when(plain: SyncTesting) -> None:
    app = plain.app
    threads: set[int] = set()

    @app.task
    def add(x: int, y: int) -> int:
        threads.add(threading.get_ident())
        return x + y

    @app.task(bind=True, max_retries=1)
    def retried(ctx: TaskContext) -> int:
        if not ctx.retries:
            raise ctx.retry(countdown=100)
        return add.sync.send(1, ctx.retries).get(timeout=10)

    result = add.sync.send(2, 3)
    plain.assert_sent(add, 2, 3)
    plain.assert_not_sent(add, 3, 2)
    assert len(plain.sent(add)) == 1 and result.state == "SENT"
    assert plain.drain() is None
    assert result.get() == 5 and result.result == 5
    assert plain.run(retried) == 2, "which waits for another task, in the same thread"
    assert group(add.s(n, n) for n in range(3)).sync.send().id
    body = chord([add.s(1, 1), add.s(2, 2)], app.signature("sum")).sync
    plain.clear()

    @app.task(name="sum")
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    sent = body.send()
    plain.drain()
    assert sent.get() == 6
    assert threads == {threading.get_ident()}

    later = add.sync.options(countdown=3600).send(1, 1)
    plain.drain()
    assert not later.ready()
    before = plain.clock.now
    plain.clock.advance(hours=1)
    assert later.get() == 2 and plain.clock.now - before >= timedelta(hours=1)

    app.sync.schedules.add("often", add.s(5, 5), every(60))
    plain.clock.advance(timedelta(minutes=1))
    plain.assert_sent(add, 5, 5)


def test_faults_to_order_and_replaced_dependencies(app: AioQueue) -> None:
    opened: list[tuple[str, int]] = []

    def session() -> Iterator[str]:
        opened.append(("real", threading.get_ident()))
        yield "real"

    def fake() -> Iterator[str]:
        opened.append(("fake", threading.get_ident()))
        yield "fake"

    @app.task(autoretry_for=(ConnectionError,), max_retries=2)
    def work(s: str = Depends(session)) -> str:
        return s

    with app.testing() as t:
        t.fail_next(work, ConnectionError(), times=2)
        assert t.run(work) == "real"
        t.override(session, fake)
        assert t.run(work) == "fake"
        assert {thread for _, thread in opened} == {threading.get_ident()}
        t.fail_next(work, KeyError("x"))
        with pytest.raises(KeyError):
            t.run(work)
        with pytest.raises(TimeoutError, match="and nothing runs it"):
            work.sync.send().get()
    with pytest.raises(AioQueueError, match="is not open"):
        t.drain()
    assert app.observers == []
    app.portal.close()


async def test_in_a_coroutine_it_is_async_with(app: AioQueue) -> None:
    with pytest.raises(AioQueueError, match=r"it is `async with app\.testing\(\)"), app.testing():
        pass


def test_an_interruption_from_the_keyboard(app: AioQueue) -> None:
    """It ends the test, and not the loop."""

    @app.task
    def work(stops: bool) -> Any:
        if stops:
            raise KeyboardInterrupt
        return 1

    with app.testing() as t:
        with pytest.raises(KeyboardInterrupt):
            t.run(work, True)
        assert t.run(work, False) == 1
    app.portal.close()
