"""`drain` and `run`: real workers, when the test says so."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from aioqueue import AioQueue, Ignore, Reject, Task, TaskContext, chain, chord, group
from aioqueue.exceptions import (
    AioQueueError,
    ConfigurationError,
    MaxRetriesExceeded,
    PayloadError,
    TaskFailed,
    TaskRevoked,
    TimeoutError,
)
from aioqueue.testing import Testing


async def test_the_page_of_the_documentation(app: AioQueue, kind: str) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    async with app.testing(broker=kind) as t:
        assert t.app is app
        result = await add.send(2, 3)
        t.assert_sent(add, 2, 3)
        assert len(t.sent(add)) == 1
        assert await result.state() == "SENT"
        await t.drain()
        assert await result.get() == 5
        await t.clock.advance(hours=2)
        assert await t.run(add, 2, 3) == 5
        t.fail_next(add, ConnectionError())
        with pytest.raises(ConnectionError):
            await t.run(add, 2, 3)


async def test_nothing_needs_to_be_named(app: AioQueue) -> None:
    async with app.testing() as t:
        assert "memory" in repr(t)
        assert "memory" in (await app.broker()).description


async def test_an_unknown_broker_is_refused(app: AioQueue) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'memory'"):
        async with app.testing(broker="memroy"):
            pass
    assert app.observers == []


async def test_the_last_retry_can_be_caught(app: AioQueue, t: Testing) -> None:
    @app.task(bind=True, max_retries=2)
    async def work(ctx: TaskContext) -> str:
        try:
            raise ctx.retry(countdown=60)
        except MaxRetriesExceeded:
            return f"given up after {ctx.retries}"

    assert await t.run(work) == "given up after 2"
    result = await work.send()
    await t.drain()
    assert await result.get() == "given up after 2"


async def test_retries_are_drained_at_once(app: AioQueue, t: Testing) -> None:
    runs: list[int] = []

    @app.task(bind=True, autoretry_for=(ConnectionError,))
    async def fetch(ctx: TaskContext) -> str:
        runs.append(ctx.retries)
        if ctx.retries < 3:
            raise ConnectionError("not yet")
        return "done"

    @app.task(bind=True)
    async def by_hand(ctx: TaskContext) -> int:
        if ctx.retries < 2:
            raise ctx.retry(countdown=3600)
        return ctx.retries

    result, other = await fetch.send(), await by_hand.send()
    began = time.monotonic()
    await t.drain()
    assert time.monotonic() - began < 5
    assert await result == "done"
    assert runs == [0, 1, 2, 3]
    assert await other == 2
    assert len(t.sent(fetch)) == 1


async def test_a_task_that_fails_is_drained_like_others(app: AioQueue, t: Testing) -> None:
    @app.task(autoretry_for=(ValueError,), max_retries=1)
    async def broken() -> None:
        raise ValueError("no")

    result = await broken.send()
    await t.drain()
    assert await result.failed()
    with pytest.raises(ValueError, match="no"):
        await result
    (dead,) = await app.dead_letters.list()
    assert dead.queue == "default"
    assert "after 1 retry:" in dead.reason


async def test_what_tasks_send_is_drained_too(app: AioQueue, t: Testing) -> None:
    seen: list[int] = []

    @app.task
    async def count_down(n: int) -> None:
        seen.append(n)
        if n:
            await count_down.options(queue=f"queue{n}").send(n - 1)  # queues that nobody knew

    await count_down.send(5)
    await t.drain()
    assert seen == [5, 4, 3, 2, 1, 0]
    assert [sent.args for sent in t.sent(count_down)] == [(n,) for n in (5, 4, 3, 2, 1, 0)]
    first, second, *_ = t.sent(count_down)
    assert second.parent_id == first.id
    assert second.queue == "queue5"


async def test_plain_functions_run_and_send(app: AioQueue, t: Testing) -> None:
    @app.task
    def double(n: int) -> int:
        return 2 * n

    @app.task
    def outer(n: int) -> int:
        return double.sync.send(n).get() + 1

    result = await outer.send(4)
    await asyncio.wait_for(t.drain(), 10)
    assert await result == 9
    t.assert_sent(double, 4)
    assert await asyncio.wait_for(t.run(outer, 5), 10) == 11


async def test_priorities(app: AioQueue, t: Testing) -> None:
    order: list[int] = []

    @app.task
    async def note(priority: int) -> None:
        order.append(priority)

    for priority in (0, 5, 9, 1):
        await note.options(priority=priority).send(priority)
    await t.drain()
    assert order == [9, 5, 1, 0]


async def test_revoked_tasks_are_not_run(app: AioQueue, t: Testing) -> None:
    runs: list[int] = []

    @app.task
    async def note() -> None:
        runs.append(1)

    result = await note.send()
    assert await result.revoke()
    await t.drain()
    assert not runs
    with pytest.raises(TaskRevoked):
        await result


async def test_dead_letters_can_be_requeued(app: AioQueue, t: Testing) -> None:
    fit = False

    @app.task
    async def picky() -> str:
        if not fit:
            raise Reject("not today")
        return "fine"

    with pytest.raises(TaskFailed, match="not today"):
        await t.run(picky)
    (dead,) = await app.dead_letters.list()
    assert (dead.queue, dead.reason) == ("default", "not today")
    fit = True
    await app.dead_letters.requeue(dead.id)
    await t.drain()
    assert await app.result(dead.id) == "fine"


async def test_drains_may_overlap_and_waiters_may_come_first(app: AioQueue, t: Testing) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        await asyncio.sleep(0.05)
        return x + y

    result = await add.send(2, 3)
    value, *_ = await asyncio.gather(result.get(), t.drain(), t.drain())
    assert value == 5


async def test_a_drain_that_is_cancelled_gives_back_what_it_had(app: AioQueue, t: Testing) -> None:
    hang = True

    @app.task
    async def slow() -> str:
        if hang:
            await asyncio.sleep(3600)
        return "done"

    result = await slow.send()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(t.drain(), 0.2)
    hang = False
    await asyncio.wait_for(t.drain(), 10)
    assert await result == "done"


async def test_a_task_cannot_drain(app: AioQueue, t: Testing) -> None:
    @app.task
    async def bad() -> None:
        await t.drain()

    with pytest.raises(AioQueueError, match="would wait for itself"):
        await t.run(bad)


async def test_a_workers_limit_does_not_end_a_drain(app: AioQueue, t: Testing) -> None:
    app.conf.worker_max_tasks = 1

    @app.task
    async def note(n: int) -> int:
        return n

    results = [await note.send(n) for n in range(5)]
    await t.drain()
    assert [await result for result in results] == list(range(5))


class TestRun:
    async def test_only_that_task_is_run(self, app: AioQueue, t: Testing) -> None:
        ran: list[str] = []

        @app.task
        async def other(name: str) -> None:
            ran.append(name)

        @app.task(bind=True, queue="mail", autoretry_for=(OSError,))
        async def parent(ctx: TaskContext) -> tuple[str, int]:
            if ctx.retries < 2:
                raise OSError
            await other.send("child")
            return ctx.queue, ctx.retries

        await other.send("before")
        assert list(await t.run(parent)) == ["mail", 2]
        assert ran == []
        t.assert_sent(other, "child")
        assert t.assert_sent(parent).queue == "mail"
        await t.drain()
        assert ran == ["before", "child"]

    async def test_what_it_waits_for_is_run(self, app: AioQueue, t: Testing) -> None:
        @app.task
        async def child(n: int) -> int:
            return n + 1

        @app.task
        async def parent() -> int:
            one = await child.call(1)
            return await child.call(one, timeout=20)

        assert await asyncio.wait_for(t.run(parent), 10) == 3

    async def test_what_it_waits_for_in_vain_fails_it(self, app: AioQueue, t: Testing) -> None:
        @app.task
        async def child() -> None: ...

        @app.task
        async def parent() -> None:
            await (await child.options(countdown=3600).send())

        with pytest.raises(TimeoutError, match="nothing else goes on"):
            await asyncio.wait_for(t.run(parent), 20)
        result = await parent.send()
        await asyncio.wait_for(t.drain(), 20)
        assert await result.failed()

    async def test_options(self, app: AioQueue, t: Testing) -> None:
        @app.task(bind=True, ignore_result=True)
        async def about(ctx: TaskContext) -> Any:
            return [ctx.id, ctx.queue, ctx.priority, ctx.headers]

        configured = about.options(task_id="me", queue="high", priority=7, headers={"tenant": "a"}, countdown=60)
        assert await t.run(configured) == ["me", "high", 7, {"tenant": "a"}]

    async def test_several_at_once(self, app: AioQueue, t: Testing) -> None:
        @app.task
        async def add(x: int, y: int) -> int:
            return x + y

        values = await asyncio.gather(*[t.run(add, n, n) for n in range(10)])
        assert values == [2 * n for n in range(10)]
        for n in range(10):
            assert await t.run(add, n, 1) == n + 1

    async def test_a_task_that_is_ignored_has_no_value(self, app: AioQueue, t: Testing) -> None:
        @app.task
        async def ignored() -> int:
            raise Ignore

        assert await t.run(ignored) is None

    async def test_a_call_that_does_not_fit(self, app: AioQueue, t: Testing) -> None:
        @app.task
        async def add(x: int, y: int) -> int:
            return x + y

        wrong: Task[..., int] = add
        with pytest.raises(PayloadError):
            await t.run(wrong, 1)
        assert await t.run(add, 1, 2) == 3

    async def test_the_test_must_be_open(self, app: AioQueue) -> None:
        async with app.testing() as t:
            pass
        with pytest.raises(AioQueueError, match="not open"):
            await t.drain()


async def test_a_drain_is_quick(app: AioQueue) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    async with app.testing() as t:
        times: list[float] = []
        for _ in range(10):
            await add.send(2, 3)
            began = time.perf_counter()
            await t.drain()
            times.append(time.perf_counter() - began)
    assert min(times) < 0.02


async def test_workflows_are_run_whole(app: AioQueue, kind: str) -> None:
    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    @app.task
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    @app.task(bind=True, max_retries=3, default_retry_delay=60)
    async def third_time(ctx: TaskContext, x: int) -> int:
        if ctx.retries < 2:
            raise ctx.retry()
        return x

    async with app.testing(broker=kind) as t:
        result = await chain(add.s(1, 2), third_time.s(), group(add.s(1), add.s(2)), total.s()).send()
        t.assert_sent(add, 1, 2)
        await t.drain()
        assert await result.get() == 9
        late = await chord([add.s(1, 2).set(countdown=3600), add.s(3, 4)], total.s()).send()
        await t.drain()
        assert await late.state() == "SENT"
        await t.clock.advance(hours=2)
        assert await late.get() == 10


async def test_running_one_task_runs_what_goes_on_in_its_place(app: AioQueue, kind: str) -> None:
    @app.task
    async def double(x: int) -> int:
        return 2 * x

    @app.task(bind=True)
    async def replaced(ctx: TaskContext, n: int) -> list[int]:
        raise ctx.replace(group(double.s(i) for i in range(n)))

    @app.task
    async def waits(n: int) -> int:
        return sum(await (await group(double.s(i) for i in range(n)).send()).get())

    async with app.testing(broker=kind) as t:
        assert await t.run(replaced, 3) == [0, 2, 4]
        assert await t.run(waits, 3) == 6
