"""What is run where it is sent, without an event loop: plain functions in the caller's thread, as with Celery."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from aioqueue import AioQueue, Depends, Task, TaskContext, chord, group
from aioqueue.exceptions import SoftTimeLimitExceeded


@pytest.fixture
def app() -> Iterator[AioQueue]:
    """An app that runs tasks in place."""
    app = AioQueue("shop", task_always_eager=True)
    yield app
    app.portal.close()


def here() -> int:
    return threading.get_ident()


def test_plain_functions_and_all_around_them_run_in_this_thread(app: AioQueue) -> None:
    seen: dict[str, int] = {}

    def session() -> Iterator[int]:
        seen["opened"] = here()
        yield 1
        seen["closed"] = here()

    class Told(Task[..., Any]):
        def before_start(self, *about: Any) -> None:
            seen["before_start"] = here()

        def on_success(self, *about: Any) -> None:
            seen["on_success"] = here()

    @app.on("task_success")
    def success(event: Any) -> None:
        seen["signal"] = here()

    @app.task(base=Told)
    def work(x: int, s: int = Depends(session)) -> int:
        seen["body"] = here()
        return x + s

    assert work.sync.delay(1).get() == 2
    assert seen == dict.fromkeys(seen, here()) and len(seen) == 6


def test_tasks_that_send_and_wait(app: AioQueue) -> None:
    """One inside the other, in one thread."""
    threads: set[int] = set()

    @app.task
    def down(n: int) -> int:
        threads.add(here())
        return n + down.sync.send(n - 1).get() if n else 0

    @app.task
    def total(numbers: list[int]) -> int:
        threads.add(here())
        return sum(numbers)

    assert down.sync.call(3) == 6
    assert group(down.s(n) for n in range(3)).sync.call() == [0, 1, 3]
    assert chord([down.s(1), down.s(2)], total.s()).sync.send().get() == 4
    assert [result.get() for result in app.sync.send_many([down.s(1), down.s(2)])] == [1, 3]
    assert threads == {here()}


@pytest.mark.parametrize("eager", [True, False])
def test_tasks_that_run_inside_of_others_are_not_in_foreign_hands(
    app: AioQueue, eager: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker inside leaves the one outside in its queue: that is as it should be."""

    @app.task
    def inner() -> int:
        return 1

    @app.task
    def outer() -> int:
        return inner.sync.send().get() + 1

    if eager:
        assert outer.sync.call() == 2
    else:
        with app.testing() as t:
            sent = outer.sync.send()
            t.drain()
            assert sent.get() == 2
    assert [record.getMessage() for record in caplog.records if "leaves in its queues" in record.getMessage()] == []


def test_faults_and_limits_end_where_they_do_in_a_worker(app: AioQueue) -> None:
    @app.task(soft_time_limit=0.05)
    def slow() -> str:
        try:
            while True:
                pass
        except SoftTimeLimitExceeded:
            return "late"

    @app.task(bind=True, max_retries=2)
    def retried(ctx: TaskContext) -> int:
        if ctx.retries < 2:
            raise ctx.retry(countdown=60)
        raise ValueError(ctx.retries)

    assert slow.sync.call() == "late"
    failed = retried.sync.send()
    assert failed.state == "FAILURE" and isinstance(failed.result, ValueError)
    app.conf.task_eager_propagates = True
    with pytest.raises(ValueError, match="2"):
        retried.sync.send()


def test_an_id_is_enough_afterwards(app: AioQueue) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    sent = add.sync.send(2, 3)
    again = app.sync.result(sent.id)
    assert (again.state, again.get(), again.task_info().name) == ("SUCCESS", 5, add.name)
    members = group(add.s(n, n) for n in range(2)).sync.send()
    assert app.sync.result(members.id).get() == [0, 2]

    app.conf.task_store_eager_result = False
    sent = add.sync.send(2, 3)
    assert sent.get() == 5
    assert app.sync.result(sent.id).state == "PENDING"


async def test_an_id_is_enough_in_a_coroutine_too(app: AioQueue) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    sent = await add.send(2, 3)
    assert await app.result(sent.id).get() == 5


# apply


def test_to_run_a_task_here_without_sending_it() -> None:
    app = AioQueue("shop", broker="redis://nobody.invalid")
    told: list[str] = []

    @app.on("task_sent")
    def sent(event: Any) -> None:
        told.append("sent")

    @app.on("task_success")
    def success(event: Any) -> None:
        told.append("success")

    @app.task(bind=True, max_retries=1)
    def work(ctx: TaskContext, x: int, y: int = 1) -> tuple[int, bool, int]:
        if not ctx.retries:
            raise ctx.retry()
        return x + y, ctx.is_eager, here()

    @app.task
    def fail() -> None:
        raise KeyError("x")

    result = work.sync.apply((2,), {"y": 3})
    assert result.get() == result.result == (5, True, here())
    assert result.state == "SUCCESS" and result.successful() and result.task_info().retries == 1
    assert told == ["success"]
    failed = fail.sync.apply()
    assert failed.state == "FAILURE" and isinstance(failed.result, KeyError)
    with pytest.raises(KeyError):
        fail.sync.apply(throw=True)
    assert work.sync.apply(args=(1,), task_id="mine").id == "mine"
    app.portal.close()


async def test_what_it_sends_goes_where_it_always_does(app: AioQueue) -> None:
    app = AioQueue("shop", broker="memory://")

    @app.task
    async def inner(x: int) -> int:
        return x

    @app.task
    async def outer() -> str:
        return (await inner.send(1)).id

    async with app.testing() as t:
        id = await (await outer.apply()).get()
        t.assert_sent(inner, 1)
        t.assert_not_sent(outer)
        await t.drain()
        assert await app.result(id).get() == 1
