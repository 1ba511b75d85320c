"""What a running task knows of itself, and what it can say."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.apps import Gate, MakeApp, ended, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Reject, Retry, TaskContext, current_context
from aioqueue.exceptions import AioQueueError, PayloadError


async def test_every_attribute(make_app: MakeApp) -> None:
    @asynccontextmanager
    async def lifespan(app: AioQueue) -> AsyncIterator[dict[str, str]]:
        yield {"opened": "once"}

    app = make_app(lifespan=lifespan)
    seen: list[TaskContext] = []

    @app.task(bind=True, name="work", max_retries=5)
    async def work(ctx: TaskContext, x: int, *, when: datetime) -> None:
        seen.append(ctx)
        assert current_context() is ctx

    expires = datetime.now(UTC) + timedelta(minutes=1)
    when = datetime(2030, 1, 1, tzinfo=UTC)
    async with working(app, queues=["q"], hostname="w1@host"):
        before = datetime.now(UTC)
        sending = work.options(
            queue="q", priority=4, routing_key="a.b", headers={"tenant": "a"}, stamps={"run": 7}, task_id="one",
            countdown=0.02, expires=expires, max_retries=9,
        )  # fmt: skip
        await sending.call(1, when=when, timeout=PATIENCE)
    (ctx,) = seen
    assert ctx.task.name == ctx.name == "work"
    assert ctx.task is app.tasks["work"]
    assert (ctx.id, ctx.args, ctx.kwargs) == ("one", (1,), {"when": when})
    assert (ctx.retries, ctx.max_retries) == (0, 9)
    assert (ctx.queue, ctx.priority, ctx.routing_key) == ("q", 4, "a.b")
    assert (ctx.headers, ctx.stamps) == ({"tenant": "a"}, {"run": 7})
    assert (ctx.parent_id, ctx.root_id, ctx.group_id) == (None, "one", None)
    assert (ctx.hostname, ctx.deliveries, ctx.is_eager) == ("w1@host", 1, False)
    assert ctx.eta is not None and before < ctx.eta < before + timedelta(seconds=0.2)
    assert ctx.expires == expires.replace(microsecond=expires.microsecond // 1000 * 1000)
    assert ctx.state == {"opened": "once"}
    assert isinstance(ctx.logger, logging.LoggerAdapter)
    assert ctx.children == []
    assert "work" in repr(ctx) and "one" in repr(ctx)


async def test_every_attribute_by_default(app: AioQueue) -> None:
    seen: list[TaskContext] = []

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        seen.append(ctx)

    async with working(app):
        result = await work.send()
        await result.get(timeout=PATIENCE)
    (ctx,) = seen
    assert (ctx.args, ctx.kwargs, ctx.headers, ctx.stamps) == ((), {}, {}, {})
    assert (ctx.id, ctx.root_id, ctx.parent_id) == (result.id, result.id, None)
    assert (ctx.queue, ctx.priority, ctx.routing_key) == ("default", 0, None)
    assert (ctx.eta, ctx.expires, ctx.state, ctx.max_retries) == (None, None, None, 3)


async def test_request_under_celerys_names(app: AioQueue) -> None:
    seen: list[dict[str, Any]] = []
    names = [
        *("id", "task", "args", "kwargs", "retries", "hostname", "is_eager", "eta", "expires", "group", "root_id"),
        *("parent_id", "correlation_id", "delivery_info", "called_directly", "children", "headers", "stamps"),
    ]

    @app.task(bind=True, name="work")
    async def work(ctx: TaskContext, x: int) -> None:
        seen.append({name: getattr(ctx.request, name) for name in names})
        with pytest.raises(AttributeError, match=r"ctx\.request has no 'tsk'; it has args, "):
            _ = ctx.request.tsk

    expires = datetime(2100, 1, 1, tzinfo=UTC)
    async with working(app, hostname="w"):
        result = await work.options(headers={"h": 1}, priority=3, expires=expires).send(1)
        await result.get(timeout=PATIENCE)
    assert seen == [
        {
            "id": result.id, "task": "work", "args": (1,), "kwargs": {}, "retries": 0, "hostname": "w",
            "is_eager": False, "eta": None, "expires": expires.isoformat(), "group": None, "root_id": result.id,
            "parent_id": None, "correlation_id": result.id, "called_directly": False, "children": [],
            "headers": {"h": 1}, "stamps": {},
            "delivery_info": {"exchange": "", "routing_key": "default", "priority": 3, "redelivered": False},
        }
    ]  # fmt: skip


async def test_the_logger_says_whose_it_is(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    @app.task(bind=True, name="mail.send")
    async def work(ctx: TaskContext) -> None:
        ctx.logger.warning("hello %s", "there")

    async with working(app):
        result = await work.send()
        await result.get(timeout=PATIENCE)
    (record,) = [record for record in caplog.records if record.name == "aioqueue.task.mail.send"]
    assert record.getMessage() == "hello there"
    assert (record.task_id, record.task_name) == (result.id, "mail.send")  # type: ignore[attr-defined]
    assert (record.task_queue, record.task_retries) == ("default", 0)  # type: ignore[attr-defined]


async def test_the_logger_keeps_what_its_caller_adds(app: AioQueue, caplog: pytest.LogCaptureFixture) -> None:
    @app.task(bind=True, name="mail.send")
    async def work(ctx: TaskContext) -> None:
        ctx.logger.warning("hello", extra={"order": 7, "task_queue": "mine"})
        ctx.logger.warning("hello", extra=None)

    async with working(app):
        result = await work.send()
        await result.get(timeout=PATIENCE)
    first, second = [record for record in caplog.records if record.name == "aioqueue.task.mail.send"]
    assert (first.order, first.task_id, first.task_queue) == (7, result.id, "mine")  # type: ignore[attr-defined]
    assert (second.task_id, second.task_queue) == (result.id, "default")  # type: ignore[attr-defined]


# Where it is


def test_there_is_none_outside() -> None:
    with pytest.raises(AioQueueError, match=r"no running task here: current_context\(\) works below a task's function"):
        current_context()


async def test_the_current_context_everywhere_below(app: AioQueue) -> None:
    @app.task
    async def work() -> list[str]:
        async def nested() -> str:
            await asyncio.sleep(0)
            return current_context().id

        return [
            current_context().id,
            await nested(),
            await asyncio.create_task(nested()),
            *await asyncio.gather(nested(), nested()),
            await asyncio.to_thread(lambda: current_context().id),
        ]

    @app.task
    def thread() -> list[str]:
        found: list[str] = []
        context = contextvars.copy_context()
        other = threading.Thread(target=lambda: context.run(lambda: found.append(current_context().id)))
        other.start()
        other.join()
        return [current_context().id, *found]

    async with working(app):
        for task, count in ((work, 6), (thread, 2)):
            result = await task.send()
            assert await result.get(timeout=PATIENCE) == [result.id] * count
    with pytest.raises(AioQueueError):
        current_context()


async def test_contexts_do_not_mix(app: AioQueue) -> None:
    gate = Gate()

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> tuple[str, str]:
        await gate.wait()
        return ctx.id, current_context().id

    @app.task(bind=True)
    def thread(ctx: TaskContext) -> tuple[str, str]:
        gate.block()
        return ctx.id, current_context().id

    async with working(app, concurrency=20):
        results = [await task.send() for task in (work, thread) for _ in range(10)]
        await until(lambda: len(gate.came) == 20)
        gate.open()
        for result in results:
            assert await result.get(timeout=PATIENCE) == (result.id, result.id)


async def test_nothing_is_left_in_a_thread(app: AioQueue) -> None:
    @app.task
    def work() -> str:
        return threading.current_thread().name

    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    @app.task
    def count() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    async with working(app, concurrency=1):
        assert [await count.call(timeout=PATIENCE) for _ in range(3)] == [1, 1, 1]
        assert len({await work.call(timeout=PATIENCE) for _ in range(3)}) == 1


async def test_nothing_of_a_task_is_seen_in_the_next(app: AioQueue) -> None:
    """The next one is started when one has made room, and must not be started inside of its context."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    @app.task
    async def count() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    app.conf.worker_prefetch = 20
    async with app:
        results = await app.send_many(count.s() for _ in range(20))
        async with app.worker(concurrency=2):
            assert [await result.get(timeout=PATIENCE) for result in results] == [1] * 20


async def test_what_is_around_the_worker_is_seen_in_tasks(app: AioQueue) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")

    @app.task
    async def coroutine() -> str:
        return variable.get()

    @app.task
    def function() -> str:
        return variable.get()

    variable.set("around")
    async with working(app):
        assert await coroutine.call(timeout=PATIENCE) == "around"
        assert await function.call(timeout=PATIENCE) == "around"


# Families


async def test_parents_roots_and_children(app: AioQueue) -> None:
    @app.task(bind=True, name="leaf")
    async def leaf(ctx: TaskContext) -> list[Any]:
        return [ctx.id, ctx.parent_id, ctx.root_id, ctx.stamps]

    @app.task(bind=True, name="middle")
    async def middle(ctx: TaskContext) -> list[Any]:
        return [[ctx.id, ctx.parent_id, ctx.root_id, ctx.stamps], await leaf.options(stamps={"own": 1}).call()]

    @app.task(bind=True, name="root")
    async def root(ctx: TaskContext) -> list[Any]:
        found = await middle.call()
        many = await app.send_many([leaf.s(), leaf.s()])
        assert ctx.children == [found[0][0], *[result.id for result in many]]
        return [[ctx.id, ctx.parent_id, ctx.root_id, ctx.stamps], *found]

    async with working(app):
        result = await root.options(stamps={"run": 7}).send()
        first, second, third = await result.get(timeout=PATIENCE)
        r, m = first[0], second[0]
        assert first == [result.id, None, r, {"run": 7}]
        assert second == [m, r, r, {"run": 7}]
        assert third[1:] == [m, r, {"run": 7, "own": 1}]
        info = await result.info()
        assert info.children[0] == m and len(info.children) == 3
        assert (info.parent_id, info.root_id) == (None, None)
        middle_info = await ended(app.result(m))
        assert (middle_info.children, middle_info.parent_id, middle_info.root_id) == ([third[0]], r, r)
        for child in info.children[1:]:
            assert (await ended(app.result(child))).parent_id == r


async def test_children_from_a_thread(app: AioQueue) -> None:
    @app.task(name="leaf")
    async def leaf() -> None: ...

    @app.task(bind=True)
    def parent(ctx: TaskContext) -> list[str]:
        asyncio.run_coroutine_threadsafe(leaf.send(), loop).result(PATIENCE)
        return ctx.children

    loop = asyncio.get_running_loop()
    async with working(app):
        result = await parent.send()
        (child,) = await result.get(timeout=PATIENCE)
        assert (await ended(app.result(child))).parent_id == result.id


async def test_what_could_not_be_sent_is_no_child(app: AioQueue) -> None:
    @app.task(name="leaf")
    async def leaf(x: Any) -> None: ...

    @app.task(bind=True)
    async def parent(ctx: TaskContext) -> list[str]:
        with pytest.raises(PayloadError):
            await leaf.send(object())
        with pytest.raises(PayloadError):
            await leaf.options(headers={"a": object()}).send(1)
        return ctx.children

    async with working(app):
        assert await parent.call(timeout=PATIENCE) == []


# What it says


@pytest.mark.parametrize("where", ["coroutine", "function", "thread of a coroutine", "loop of a thread"])
async def test_progress(app: AioQueue, where: str) -> None:
    gate = Gate()

    def say() -> None:
        ctx = current_context()
        ctx.progress(1, 4)
        ctx.update_state("COOKING", {"pan": [1, {"hot": True}]})

    async def say_and_await() -> None:
        ctx = current_context()
        await ctx.progress(1, 4)
        await ctx.update_state("COOKING", {"pan": [1, {"hot": True}]})

    async def coroutine() -> None:
        await (asyncio.to_thread(say) if where == "thread of a coroutine" else say_and_await())
        await gate.wait()

    def function() -> None:
        asyncio.run(say_and_await()) if where == "loop of a thread" else say()
        gate.block()

    work = app.task(name="work")(function if where in ("function", "loop of a thread") else coroutine)
    async with working(app):
        result = await work.send()
        seen: list[Any] = []

        async def watch() -> None:
            async for info in result.watch():
                seen.append((info.state, info.meta))  # noqa: PERF401  # one by one: others look at it

        watching = asyncio.ensure_future(watch())
        await until(lambda: gate.came)
        info = await result.info()
        assert (info.state, info.meta, info.ready) == ("COOKING", {"pan": [1, {"hot": True}]}, False)
        await until(lambda: seen and seen[-1][0] == "COOKING")
        gate.open()
        async with asyncio.timeout(PATIENCE):
            await watching
    assert ("COOKING", {"pan": [1, {"hot": True}]}) in seen
    assert seen[-1] == ("SUCCESS", None)


async def test_progress_is_in_meta(app: AioQueue) -> None:
    gate = Gate()

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        await ctx.progress(3, 4)
        await gate.wait()

    async with working(app):
        result = await work.send()
        await until(lambda: gate.came)
        info = await result.info()
        assert (info.state, info.meta, info.name) == ("PROGRESS", {"done": 3, "total": 4}, work.name)
        assert info.timings.started is not None and info.timings.ended is None
        gate.open()


async def test_meta_that_cannot_be_sent(app: AioQueue) -> None:
    @app.task(bind=True, name="work")
    async def work(ctx: TaskContext) -> str:
        with pytest.raises(PayloadError, match="meta of work cannot be sent"):
            await ctx.update_state("COOKING", {"a": object()})
        return "goes on"

    async with working(app):
        assert await work.call(timeout=PATIENCE) == "goes on"


async def test_retry_returns_what_is_to_be_raised(app: AioQueue) -> None:
    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        error = ValueError("why")
        eta = datetime(2030, 1, 1, tzinfo=UTC)
        retry = ctx.retry(error, countdown=3, eta=eta, max_retries=4)
        assert isinstance(retry, Retry)
        assert (retry.exc, retry.countdown, retry.eta, retry.max_retries) == (error, 3, eta, 4)
        raise Reject("as it is to be")

    async with working(app):
        assert str(await outcome(await work.send())).endswith("as it is to be")


async def test_deliveries_count_workers_that_died(app: AioQueue) -> None:
    # A worker that fetches and falls silent, without a worker of its own to stop.
    app.conf.visibility_timeout = 1.0
    seen: list[tuple[int, int]] = []

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        seen.append((ctx.deliveries, ctx.retries))
        assert ctx.request.delivery_info["redelivered"]

    from aioqueue.brokers.protocol import WorkerStatus

    async with app:
        broker = await app.broker()
        status = WorkerStatus(id="dead", name="d", host="h", pid=1, queues=["default"], concurrency=1, started=0)
        dead = broker.consumer(status, visibility_timeout=1.0, dead_letters_max_length=10)
        await dead.join()
        result = await work.send()
        assert len(await dead.fetch(1, wait=0)) == 1
        async with app.worker():
            assert await outcome(result) is None
        await dead.close()
    assert seen == [(2, 0)]
