"""Running again: asked for, by itself, with which delay, how often, and what is left when it is over."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from support.apps import MakeApp, ended, is_empty, lengths, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Queue, Reject, Retry, TaskContext
from aioqueue.brokers.protocol import Outgoing
from aioqueue.exceptions import ConfigurationError, MaxRetriesExceeded, RoutingError
from aioqueue.message import Message, encode_message
from aioqueue.worker.retrying import backoff

from .steps import Fault, Other


class Special(Fault):
    pass


# Asked for


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_ctx_retry(app: AioQueue, kind: str) -> None:
    seen: list[tuple[int, int, str]] = []

    async def coroutine(ctx: TaskContext, x: int, *, y: int) -> int:
        return body(ctx, x, y)

    def function(ctx: TaskContext, x: int, *, y: int) -> int:
        return body(ctx, x, y)

    def body(ctx: TaskContext, x: int, y: int) -> int:
        seen.append((ctx.retries, ctx.deliveries, ctx.id))
        if ctx.retries < 2:
            raise ctx.retry(countdown=0)
        return x + y

    task = app.task(bind=True, name="task", max_retries=5)(coroutine if kind == "coroutine" else function)
    async with working(app):
        result = await task.send(1, y=2)
        assert await result.get(timeout=PATIENCE) == 3
        assert seen == [(0, 1, result.id), (1, 1, result.id), (2, 1, result.id)]
        info = await result.info()
        assert (info.state, info.retries) == ("SUCCESS", 2)
        assert await is_empty(app)
        assert await app.dead_letters.list() == []


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_a_retry_in_another_queue(app: AioQueue, kind: str) -> None:
    """It waits there, and the retries after it, too."""
    seen: list[tuple[str, int]] = []

    def function(self: TaskContext) -> str:
        seen.append((self.queue, self.retries))
        if self.retries < 2:
            raise self.retry(countdown=0, **({} if self.retries else {"queue": "slow"}))  # type: ignore[arg-type]
        return self.queue

    async def coroutine(self: TaskContext) -> str:
        return function(self)

    @app.task
    async def behind(queue: str) -> str:
        return f"after {queue}"

    task = app.task(bind=True, name="task", max_retries=5)(coroutine if kind == "coroutine" else function)
    async with working(app):
        result = await (task.s() | behind.s()).send()
        await until(lambda: _waits(app, "slow"), what="it to wait there")
        assert seen == [("default", 0)]
        async with app.worker(queues=["slow"], concurrency=2):
            assert await result.get(timeout=PATIENCE) == "after slow"
        assert seen == [("default", 0), ("slow", 1), ("slow", 2)]
        assert await is_empty(app) and await is_empty(app, "slow")


async def _waits(app: AioQueue, queue: str) -> bool:
    return await lengths(app, queue) == (1, 0, 0)


async def test_a_retry_in_a_queue_that_there_is_not(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("default"), Queue("slow")], task_create_missing_queues=False)

    @app.task(bind=True)
    async def work(self: TaskContext, queue: Any) -> None:
        raise self.retry(countdown=0, queue=queue)

    async with working(app, queues=["default"]):
        error = await outcome(await work.send("slwo"))
        assert isinstance(error, RoutingError) and "Did you mean 'slow'?" in str(error)
        error = await outcome(await work.send(5))
        assert isinstance(error, ConfigurationError) and "The option queue of ctx.retry()" in str(error)


async def test_retry_can_be_raised_without_a_context(app: AioQueue) -> None:
    runs: list[int] = []

    @app.task
    async def task() -> int:
        runs.append(1)
        if len(runs) < 3:
            raise Retry(countdown=0)
        return len(runs)

    async with working(app):
        assert await task.call(timeout=PATIENCE) == 3


class Unsortable(type):
    """Of a class that nothing can be compared with."""

    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("no answer")


class NoAnswer(Exception, metaclass=Unsortable):
    pass


@pytest.mark.parametrize(
    "asked",
    [
        {"countdown": "10"},
        {"countdown": 1e20},
        {"countdown": float("nan")},
        {"countdown": float("-inf")},
        {"countdown": 10**400},
        {"countdown": True},
        {"countdown": "1 second"},
        {"countdown": [1]},
        {"eta": "tomorrow"},
        {"eta": 17},
        {"max_retries": "many"},
        {"max_retries": 2**70},
    ],
    ids=str,
)
async def test_a_retry_that_cannot_be_made_is_a_failure(app: AioQueue, asked: Any) -> None:
    """Whoever waits hears of it, the message is gone, and the worker has its place back."""
    ran: list[int] = []

    @app.task(bind=True)
    async def task(ctx: TaskContext) -> None:
        ran.append(1)
        raise ctx.retry(**asked)

    @app.task
    async def free() -> str:
        return "free"

    async with working(app, concurrency=1):
        info = await ended(await task.send())
        assert info.state == "FAILURE"
        assert isinstance(info.exception, Exception) and not isinstance(info.exception, Retry)
        assert await free.call(timeout=PATIENCE) == "free"
        await until(lambda: is_empty(app))
    assert ran == [1]


async def test_the_countdown_of_a_retry_may_be_a_timedelta(app: AioQueue) -> None:
    @app.task(bind=True)
    async def task(ctx: TaskContext) -> int:
        if ctx.retries == 0:
            raise ctx.retry(countdown=timedelta(milliseconds=10))
        return ctx.retries

    async with working(app):
        assert await task.call(timeout=timedelta(seconds=PATIENCE)) == 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"eta": "tomorrow"}, "The option eta of ctx.retry.. is a datetime, or None, not 'tomorrow'"),
        (
            {"countdown": "10"},
            "The option countdown of ctx.retry.. is a number of seconds, .*, or None, not",
        ),
        ({"max_retries": -1}, "The option max_retries of ctx.retry"),
        ({"exc": "text"}, "The option exc of ctx.retry.. is an exception"),
    ],
)
@pytest.mark.parametrize("by_hand", [False, True])
async def test_what_is_wrong_with_a_retry_is_told(
    app: AioQueue, asked: dict[str, Any], message: str, by_hand: bool
) -> None:
    @app.task(bind=True)
    async def task(ctx: TaskContext) -> None:
        raise Retry(**asked) if by_hand else ctx.retry(**asked)

    async with working(app):
        with pytest.raises(ConfigurationError, match=message):
            await task.call(timeout=PATIENCE)


async def test_an_end_that_cannot_be_told_is_a_failure(app: AioQueue) -> None:
    @app.task(autoretry_for=(NoAnswer,))
    async def task() -> None:
        raise Fault

    async with working(app, concurrency=1):
        error = await outcome(await task.send())
        assert isinstance(error, RuntimeError) and str(error) == "no answer"
        await until(lambda: is_empty(app))


async def test_a_negative_countdown_is_now(app: AioQueue) -> None:
    @app.task(bind=True)
    async def task(ctx: TaskContext) -> int:
        if ctx.retries == 0:
            raise ctx.retry(countdown=-3600)
        return ctx.retries

    async with working(app):
        assert await task.call(timeout=PATIENCE) == 1


@pytest.mark.parametrize("priority", [42, -1])
@pytest.mark.parametrize("how", ["at once", "later", "requeued"])
async def test_a_priority_that_there_is_not(app: AioQueue, priority: int, how: str) -> None:
    """Somebody else may write it into a message; there is no stream of that priority to wait in."""
    ran: list[int] = []

    @app.task(bind=True, name="task")
    async def task(ctx: TaskContext) -> int:
        ran.append(ctx.priority)
        if len(ran) == 1:
            if how == "requeued":
                raise Reject(requeue=True)
            raise ctx.retry(countdown=0 if how == "at once" else 0.02)
        return len(ran)

    async with working(app):
        broker = await app.broker()
        body = msgspec.msgpack.encode([[], {}])
        data = encode_message(Message(task="task", body=body, priority=priority))
        await broker.send([Outgoing("odd", "default", 0, data)], timeout=PATIENCE)
        assert await app.result("odd").get(timeout=PATIENCE) == 2
        await until(lambda: is_empty(app))


async def test_everything_but_the_count_stays_over_a_retry(app: AioQueue) -> None:
    seen: list[Any] = []

    @app.task(bind=True, max_retries=1)
    async def task(ctx: TaskContext, x: list[int]) -> None:
        seen.append((ctx.queue, ctx.priority, ctx.headers, ctx.stamps, ctx.routing_key, ctx.max_retries, ctx.args))
        x.append(1)  # a task's own copy
        if ctx.retries == 0:
            raise ctx.retry(countdown=0)

    async with working(app, queues=["q"]):
        sending = task.options(queue="q", priority=7, headers={"h": 1}, stamps={"s": 1}, routing_key="r", max_retries=4)
        await sending.call([0], timeout=PATIENCE)
        assert seen[0][:6] == seen[1][:6] == ("q", 7, {"h": 1}, {"s": 1}, "r", 4)
        assert seen[1][6][0] == [0, 1], "what the first run did to its arguments is gone"


async def test_a_countdown_waits_in_the_broker(app: AioQueue) -> None:
    runs: list[datetime] = []

    @app.task(bind=True)
    async def task(ctx: TaskContext) -> None:
        runs.append(datetime.now(UTC))
        if ctx.retries == 0:
            raise ctx.retry(countdown=0.25)

    async with working(app):
        result = await task.send()
        await until(lambda: _delayed(app))
        assert await result.state() == "RETRY"
        await result.get(timeout=PATIENCE)
        assert 0.24 <= (runs[1] - runs[0]).total_seconds() < 0.6


async def _delayed(app: AioQueue) -> bool:
    return (await lengths(app))[2] == 1


@pytest.mark.parametrize("naive", [False, True])
async def test_an_eta(app: AioQueue, naive: bool) -> None:
    runs: list[datetime] = []
    seen: list[datetime | None] = []

    @app.task(bind=True)
    async def task(ctx: TaskContext) -> None:
        runs.append(datetime.now(UTC))
        seen.append(ctx.eta)
        if ctx.retries == 0:
            eta = runs[0] + timedelta(seconds=0.25)
            raise ctx.retry(eta=eta.replace(tzinfo=None) if naive else eta)

    async with working(app):
        await task.call(timeout=PATIENCE)
    assert 0.24 <= (runs[1] - runs[0]).total_seconds() < 0.6
    assert seen[0] is None
    assert seen[1] is not None and abs((seen[1] - runs[0]).total_seconds() - 0.25) < 0.01


# How often


@pytest.mark.parametrize(("limit", "runs"), [(0, 1), (1, 2), (3, 4)])
async def test_max_retries(app: AioQueue, limit: int, runs: int) -> None:
    ran: list[int] = []

    @app.task(bind=True, name="task", max_retries=limit)
    async def task(ctx: TaskContext) -> None:
        ran.append(ctx.retries)
        raise ctx.retry(countdown=0)

    async with working(app):
        error = await outcome(await task.send())
        assert ran == list(range(runs))
        assert type(error) is MaxRetriesExceeded
        assert "task" in str(error) and f"{limit} times" in str(error)


async def test_no_limit(app: AioQueue) -> None:
    @app.task(bind=True, max_retries=None)
    async def task(ctx: TaskContext) -> int:
        assert ctx.max_retries is None
        if ctx.retries < 30:
            raise ctx.retry(countdown=0)
        return ctx.retries

    async with working(app):
        assert await task.call(timeout=PATIENCE) == 30


async def test_the_setting_is_the_default(make_app: MakeApp) -> None:
    app = make_app(task_max_retries=1, task_default_retry_delay=0)

    @app.task(bind=True)
    async def task(ctx: TaskContext) -> None:
        assert ctx.max_retries == 1
        raise ctx.retry()

    @app.task(bind=True, max_retries=2)
    async def own(ctx: TaskContext) -> None:
        assert ctx.max_retries == 2
        raise ctx.retry()

    async with working(app):
        assert (await ended(await task.send())).retries == 1
        assert (await ended(await own.send())).retries == 2
        assert (await ended(await own.options(max_retries=0).send())).retries == 0
        assert (await ended(await own.options(max_retries=3).send())).state == "FAILURE"  # the assertion in it


async def test_max_retries_of_a_retry(app: AioQueue) -> None:
    ran: list[int | None] = []

    @app.task(bind=True, max_retries=0)
    async def task(ctx: TaskContext) -> None:
        ran.append(ctx.max_retries)
        raise ctx.retry(countdown=0, max_retries=2)

    async with working(app):
        assert type(await outcome(await task.send())) is MaxRetriesExceeded
    assert ran == [0, 2, 2]


async def test_the_cause_is_raised_when_the_retries_are_used_up(app: AioQueue) -> None:
    @app.task(bind=True, max_retries=1)
    async def task(ctx: TaskContext) -> None:
        try:
            raise Fault("busy", ctx.retries)
        except Fault as error:
            raise ctx.retry(exc=error, countdown=0) from error

    async with working(app):
        error = await outcome(await task.send())
    assert type(error) is Fault and error.args == ("busy", 1)


@pytest.mark.parametrize("kind", ["coroutine", "function"])
@pytest.mark.parametrize("how", ["sent", "eager", "apply"])
async def test_the_body_can_catch_the_last_one(app: AioQueue, kind: str, how: str) -> None:
    app.conf.task_always_eager = how == "eager"

    def body(ctx: TaskContext, known: bool) -> str:
        try:
            raise ctx.retry(exc=Fault("busy", ctx.retries) if known else None, countdown=0)
        except MaxRetriesExceeded as error:
            return f"gave up: {error}"
        except Fault as error:
            return f"gave up: {error.args}"

    async def coroutine(ctx: TaskContext, known: bool) -> str:
        return body(ctx, known)

    task = app.task(bind=True, name="work", max_retries=2)(coroutine if kind == "coroutine" else body)
    sending = (lambda known: task.apply((known,))) if how == "apply" else task.send
    async with working(app):
        result = await sending(False)
        assert await result.get(timeout=PATIENCE) == f"gave up: work[{result.id}] was retried 2 times, its limit."
        assert await result.state() == "SUCCESS"
        assert await (await sending(True)).get(timeout=PATIENCE) == "gave up: ('busy', 2)"
        assert await app.dead_letters.list() == []


async def test_what_the_last_one_raises_ends_the_task(app: AioQueue) -> None:
    """Also in a task group, and where the task would be retried for it by itself."""

    @app.task(bind=True, autoretry_for=(Fault,), max_retries=5, default_retry_delay=0)
    async def work(ctx: TaskContext, how: str) -> None:
        async def ask() -> None:
            raise ctx.retry(exc=Fault("busy", ctx.retries), countdown=0, max_retries=1)

        if how == "alone":
            await ask()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask())

    async with working(app):
        for how in ("alone", "in a group"):
            result = await work.send(how)
            error = await outcome(result)
            assert type(error) is Fault and error.args == ("busy", 1)
            (letter,) = await until(app.dead_letters.list)
            assert letter.reason.startswith("failed after 1 retry: ") and "Fault" in letter.reason
            await app.dead_letters.remove(letter.id)


# By itself


@pytest.mark.parametrize(
    ("error", "runs"), [(Fault, 3), (Special, 3), (Other, 1), (KeyError, 1), (ConnectionError, 3), (TimeoutError, 1)]
)
async def test_autoretry_for(app: AioQueue, error: type[Exception], runs: int) -> None:
    ran: list[int] = []

    @app.task(autoretry_for=(Fault, OSError), dont_autoretry_for=[TimeoutError], max_retries=2, default_retry_delay=0)
    async def task() -> None:
        ran.append(1)
        raise error("busy")

    async with working(app):
        assert type(await outcome(await task.send())) is error
    assert len(ran) == runs


async def test_autoretry_for_does_not_catch_a_retry_or_a_rejection(app: AioQueue) -> None:
    ran: list[int] = []

    @app.task(bind=True, autoretry_for=(Exception,), max_retries=5, retry_backoff=1000)
    async def task(ctx: TaskContext) -> None:
        ran.append(ctx.retries)
        if ctx.retries == 0:
            raise ctx.retry(countdown=0)
        raise Reject("no use")

    async with working(app):
        result = await task.send()
        assert (await ended(result)).state == "FAILURE"
    assert ran == [0, 1]


# The delay


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"retry_backoff": True}, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]),
        ({"retry_backoff": 0.5}, [0.5, 1, 2, 4]),
        ({"retry_backoff": 3, "retry_backoff_max": 10}, [3, 6, 10, 10]),
        ({"retry_backoff": False}, [180, 180, 180]),
        ({"retry_backoff": False, "default_retry_delay": 7}, [7, 7]),
        ({}, [180, 180]),
        ({"default_retry_delay": 0}, [0, 0]),
        ({"retry_backoff": True, "default_retry_delay": 7}, [1, 2]),
    ],
)
def test_backoff(app: AioQueue, options: dict[str, Any], expected: list[float]) -> None:
    task = app.task(name="task", retry_jitter=False, **options)(_nothing)
    assert [backoff(task, retries) for retries in range(len(expected))] == expected


async def _nothing() -> None: ...


def test_a_backoff_never_overflows(app: AioQueue) -> None:
    task = app.task(retry_backoff=True, retry_jitter=False)(_nothing)
    assert backoff(task, 100_000) == 600


def test_jitter_is_between_nothing_and_the_backoff(app: AioQueue) -> None:
    task = app.task(retry_backoff=True)(_nothing)
    for retries, longest in ((0, 1), (3, 8), (50, 600)):
        drawn = [backoff(task, retries) for _ in range(2000)]
        assert min(drawn) >= 0 and max(drawn) <= longest
        assert min(drawn) < longest * 0.1 and max(drawn) > longest * 0.9, "full jitter covers all of it"
        assert longest * 0.4 < sum(drawn) / len(drawn) < longest * 0.6


async def test_the_backoff_is_what_the_broker_waits_for(app: AioQueue) -> None:
    @app.task(bind=True, autoretry_for=(Fault,), retry_backoff=20, retry_jitter=False)
    async def task(ctx: TaskContext) -> int:
        if ctx.retries == 0:
            raise Fault
        return ctx.retries

    async with working(app):
        result = await task.send()
        await until(lambda: _delayed(app))
        broker = await app.broker()
        consumer = broker.consumer(_status(), visibility_timeout=30, dead_letters_max_length=1)
        due = await consumer.promote()
        assert due is not None and 19 < due <= 20
        await consumer.close()
        assert not await result.ready()


def _status() -> Any:
    from aioqueue.brokers.protocol import WorkerStatus

    return WorkerStatus(id="t", name="t", host="t", pid=1, queues=["none"], concurrency=1, started=0)


# Other ways to end


async def test_reject_with_requeue_runs_again_at_once(app: AioQueue) -> None:
    runs: list[int] = []

    @app.task(bind=True, max_retries=0)
    async def task(ctx: TaskContext) -> int:
        runs.append(ctx.retries)
        if len(runs) < 4:
            raise Reject("not now", requeue=True)
        return len(runs)

    async with working(app):
        assert await task.call(timeout=PATIENCE) == 4
    assert runs == [0, 0, 0, 0], "it is not a retry"


async def test_exhausted_retries_end_among_the_dead_letters(app: AioQueue) -> None:
    @app.task(name="task", autoretry_for=(Fault,), max_retries=2, default_retry_delay=0)
    async def task(x: int) -> None:
        raise Fault("busy")

    async with working(app):
        result = await task.send(3)
        info = await ended(result)
        assert (info.state, info.dead, info.retries) == ("FAILURE", True, 2)
        (dead,) = await app.dead_letters.list()
        assert (dead.id, dead.name, dead.args, dead.queue) == (result.id, "task", (3,), "default")
        assert "after 2 retries" in dead.reason and "Fault: busy" in dead.reason
        assert isinstance(dead.exception, Fault)


async def test_a_plain_failure_is_no_dead_letter(app: AioQueue) -> None:
    @app.task
    async def task() -> None:
        raise Fault("busy")

    async with working(app):
        info = await ended(await task.send())
        assert (info.state, info.dead) == ("FAILURE", False)
        assert await app.dead_letters.list() == []


async def test_a_retry_can_be_revoked(app: AioQueue) -> None:
    runs: list[int] = []

    @app.task(bind=True)
    async def task(ctx: TaskContext) -> None:
        runs.append(1)
        raise ctx.retry(countdown=60)

    async with working(app):
        result = await task.send()
        await until(lambda: _delayed(app))
        assert await result.revoke() is True
        await until(lambda: is_empty(app))
        assert (await result.info()).state == "REVOKED"
    assert runs == [1]
