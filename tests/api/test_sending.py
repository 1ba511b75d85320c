"""All ways to send a task, and all that can be said about one sending."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from support.apps import Gate, MakeApp, is_empty, lengths, outcome, working
from support.waiting import A_MOMENT, PATIENCE, until

from aioqueue import AioQueue, AsyncResult, Signature, TaskContext, chain
from aioqueue.exceptions import (
    AioQueueError,
    BrokerUnavailable,
    ConfigurationError,
    DuplicateTask,
    PayloadError,
    QueueFull,
    TaskFailed,
    TaskRevoked,
    TimeLimitExceeded,
    TimeoutError,
)

from .steps import Fault


class Tasks:
    """Tasks to send."""

    def __init__(self, app: AioQueue) -> None:
        self.gate = Gate()

        @app.task(name="add")
        async def add(x: int, y: int = 10) -> int:
            return x + y

        @app.task(name="tell", bind=True)
        async def tell(ctx: TaskContext) -> dict[str, Any]:
            return {
                "queue": ctx.queue,
                "priority": ctx.priority,
                "routing_key": ctx.routing_key,
                "headers": ctx.headers,
                "stamps": ctx.stamps,
                "max_retries": ctx.max_retries,
                "eta": ctx.eta,
                "expires": ctx.expires,
                "id": ctx.id,
            }

        @app.task(name="wait")
        async def wait(name: str = "") -> None:
            await self.gate.wait(name)

        self.add, self.tell, self.wait = add, tell, wait


@pytest.fixture
def tasks(app: AioQueue) -> Tasks:
    return Tasks(app)


# Ways to send


async def test_each_way_to_send(app: AioQueue, tasks: Tasks) -> None:
    add = tasks.add
    async with working(app):
        results = [
            await add.send(2, 3),
            await add.send(2, y=3),
            await add.send(x=2, y=3),
            await add.delay(2, 3),
            await add.apply_async((2, 3)),
            await add.apply_async([2], {"y": 3}),
            await add.apply_async(kwargs={"x": 2, "y": 3}, priority=3),
            await add.options(priority=3).send(2, 3),
            await add.s(3).send(2),
            await add.s(y=3).delay(2),
            await add.si(2, 3).send(),
            await add.s(3).apply_async((2,), priority=4),
            await add.signature((2, 3)).send(),
            await app.send_task("add", args=(2, 3)),
            await app.send_task("add", [2], {"y": 3}),
            await app.signature("add", (2, 3)).send(),
            *await app.send_many([add.s(2, 3), add.s(1, 4)]),
        ]
        assert len({result.id for result in results}) == len(results)
        for result in results:
            assert isinstance(result, AsyncResult)
            assert isinstance(result.id, str)
            assert result.name == "add"
            assert await result.get(timeout=PATIENCE) == 5
        assert await add.send(2) != await add.send(2)
        assert await (await add.send(2)).get(timeout=PATIENCE) == 12


async def test_call_waits(app: AioQueue, tasks: Tasks) -> None:
    async with working(app):
        assert await tasks.add.call(2, 3, timeout=PATIENCE) == 5
        assert await tasks.add.call(2, y=3) == 5
        assert await tasks.add.s(3).call(2, timeout=PATIENCE) == 5
        with pytest.raises(TimeoutError):
            await tasks.wait.call(timeout=0.02)
        tasks.gate.open()


async def test_a_name_without_code(make_app: MakeApp) -> None:
    app = make_app()
    async with app:
        result = await app.send_task("elsewhere.job", (1,), {"y": 2}, queue="elsewhere", priority=2)
        assert (result.name, await result.state()) == ("elsewhere.job", "SENT")
        assert await lengths(app, "elsewhere") == (1, 0, 0)

        @app.task(name="elsewhere.job")
        async def job(x: int, y: int) -> int:
            return x - y

        async with app.worker(queues=["elsewhere"]):
            assert await result.get(timeout=PATIENCE) == -1


async def test_many_come_back_in_order(app: AioQueue, tasks: Tasks) -> None:
    async with working(app, concurrency=100):
        results = await app.send_many(tasks.add.s(i, i) for i in range(2500))
        assert len(results) == 2500
        assert [await result.get(timeout=PATIENCE) for result in results] == [2 * i for i in range(2500)]
        assert await app.send_many([]) == []


async def test_many_of_different_kinds(app: AioQueue, tasks: Tasks) -> None:
    async with working(app, queues=["default", "other"]):
        first, second, third = await app.send_many(
            [
                tasks.add.s(1, 2),
                tasks.tell.s().set(queue="other", headers={"n": 1}),
                app.signature("add", (1,), task_id="named"),
            ]
        )
        assert await first.get(timeout=PATIENCE) == 3
        told = await second.get(timeout=PATIENCE)
        assert (told["queue"], told["headers"]) == ("other", {"n": 1})
        assert third.id == "named"
        assert await third.get(timeout=PATIENCE) == 11


async def test_one_that_cannot_be_sent_keeps_the_others_back(app: AioQueue, tasks: Tasks) -> None:
    async with app:
        with pytest.raises(PayloadError):
            await app.send_many([tasks.add.s(1), tasks.add.s(object())])
        assert await lengths(app) == (0, 0, 0)


# Signatures


async def test_partial_and_immutable_signatures(app: AioQueue, tasks: Tasks) -> None:
    partial, whole = tasks.add.s(y=1), tasks.add.si(1, 2)
    assert (partial.task, partial.args, partial.kwargs, partial.immutable) == ("add", (), {"y": 1}, False)
    assert (whole.args, whole.immutable) == ((1, 2), True)
    assert partial.complete((5,), {}) == ((5,), {"y": 1})
    assert tasks.add.s(1).complete((5,), {}) == ((5, 1), {}), "what comes later is put before"
    assert partial.complete((5,), {"y": 2}) == ((5,), {"y": 2})
    assert whole.complete((5,), {"y": 2}) == ((1, 2), {})
    assert repr(tasks.add.s(1, y=2)) == "add(1, y=2)"
    async with working(app):
        assert await (await whole.send(100)).get(timeout=PATIENCE) == 3


def test_si_is_checked_at_once(tasks: Tasks) -> None:
    with pytest.raises(PayloadError, match=r"the call doesn't fit add\(x: int, y: int = 10\).*nothing was sent"):
        tasks.add.si()


def test_clone_and_set(tasks: Tasks) -> None:
    first = tasks.add.s(1).set(queue="a")
    second = first.clone().set(queue="b", priority=3)
    assert first.options == {"queue": "a"}
    assert second.options == {"queue": "b", "priority": 3}
    assert first.set(priority=1) is first
    assert (second.task, second.args) == ("add", (1,))
    assert first == tasks.add.s(1).set(queue="a", priority=1)
    assert first != second
    assert first != "add"


async def test_signatures_as_data(app: AioQueue, tasks: Tasks) -> None:
    made = tasks.add.options(priority=2).si(1, y=2).set(queue="q", countdown=0)
    data = made.to_dict()
    assert data == {
        "task": "add",
        "args": [1],
        "kwargs": {"y": 2},
        "options": {"priority": 2, "queue": "q", "countdown": 0},
        "immutable": True,
    }
    again = app.signature(json.loads(json.dumps(data)))
    assert isinstance(again, Signature)
    assert again == made
    async with working(app, queues=["q"]):
        assert await again.call(timeout=PATIENCE) == 3


def test_signatures_of_every_option_are_json(app: AioQueue, tasks: Tasks) -> None:
    soon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    made = tasks.add.s(1).set(eta=soon, expires=soon + timedelta(hours=1), headers={"a": 1}, task_id="x", time_limit=3)
    again = app.signature(json.loads(json.dumps(made.to_dict())))
    assert again == made
    assert again.options["eta"] == soon


@pytest.mark.parametrize("data", [{}, {"task": 3}, {"args": [1]}])
def test_what_is_not_a_signature(app: AioQueue, data: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="A signature names its task"):
        app.signature(data)


# Options


async def test_options_reach_the_task(app: AioQueue, tasks: Tasks) -> None:
    async with working(app, queues=["default", "high"]):
        result = await tasks.tell.options(
            queue="high", routing_key="a.b", priority=9, headers={"tenant": "a"}, stamps={"n": [1]},
            max_retries=7, task_id="my-id", expires=60,
        ).send()  # fmt: skip
        assert result.id == "my-id"
        told = await result.get(timeout=PATIENCE)
        expires = told.pop("expires")
        assert told == {
            "queue": "high", "priority": 9, "routing_key": "a.b", "headers": {"tenant": "a"}, "stamps": {"n": [1]},
            "max_retries": 7, "eta": None, "id": "my-id",
        }  # fmt: skip
        assert 50 < (_moment(expires) - datetime.now(UTC)).total_seconds() <= 60


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


async def test_nearer_options_win(app: AioQueue) -> None:
    app.conf.update(task_routes={"routed*": "by-route", "exact": {"queue": "by-name"}}, task_default_priority=1)

    async def where(ctx: TaskContext) -> tuple[str, int]:
        return ctx.queue, ctx.priority

    plain = app.task(name="plain", bind=True)(where)
    routed = app.task(name="routed.one", bind=True)(where)
    exact = app.task(name="exact", bind=True)(where)
    own = app.task(name="routed.own", bind=True, queue="own", priority=2)(where)
    queues = ["default", "by-route", "by-name", "own", "asked"]
    async with working(app, queues=queues):
        assert await plain.call() == ("default", 1)
        assert await routed.call() == ("by-route", 1)
        assert await exact.call() == ("by-name", 1)
        assert await own.call() == ("own", 2)
        asked = own.options(queue="asked", priority=3)
        assert await asked.call() == ("asked", 3)
        assert await asked.options(priority=0).call() == ("asked", 0)
        assert await own.call() == ("own", 2), "options() must not change the task itself"
        result = await asked.apply_async(priority=5)
        assert await result.get(timeout=PATIENCE) == ("asked", 5)
        assert await asked.options(queue=None).call() == ("asked", 3), "None is the same as leaving it out"


async def test_the_later_of_countdown_and_eta_counts(app: AioQueue, tasks: Tasks) -> None:
    future = datetime.now(UTC) + timedelta(hours=1)
    async with working(app):
        assert await tasks.add.options(eta=future).options(countdown=0).call(1, timeout=PATIENCE) == 11
        assert await tasks.add.s(1).set(eta=future).set(countdown=0).call(timeout=PATIENCE) == 11
        result = await tasks.add.options(eta=future).apply_async((1,), countdown=0)
        assert await result.get(timeout=PATIENCE) == 11
        await tasks.add.options(countdown=0).options(eta=future).send(1)
        assert await lengths(app) == (0, 0, 1)


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
@pytest.mark.parametrize("compression", [None, "zlib"])
async def test_serializer_and_compression(
    app: AioQueue, serializer: str, compression: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task
    async def size(text: str) -> int:
        return len(text)

    async with working(app) as worker:
        kinds: list[str] = []
        decode = size.parameters.decode

        def spy(body: bytes, content: str, **more: Any) -> Any:
            kinds.append(content)
            return decode(body, content, **more)

        monkeypatch.setattr(size.parameters, "decode", spy)
        sending = size.options(serializer=serializer, compression=compression)
        assert await sending.call("a" * 5000, timeout=PATIENCE) == 5000
        assert kinds == [serializer + (f"+{compression}" if compression else "")]
        assert worker.queues == ["default"]


async def test_time_limits_of_a_sending(app: AioQueue, tasks: Tasks) -> None:
    async with working(app):
        assert isinstance(await outcome(await tasks.wait.options(time_limit=0.05).send()), TimeLimitExceeded)


async def test_ignore_result_of_a_sending(app: AioQueue, tasks: Tasks) -> None:
    async with working(app):
        result = await tasks.add.options(ignore_result=True).send(1)
        assert await result.get(timeout=PATIENCE) is None
        await until(lambda: tasks.add.call(1, timeout=PATIENCE))
        assert (await app.result(result.id).info()).state == "PENDING"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contdown": 3}, "no option 'contdown'.*Did you mean 'countdown'"),
        ({"priority": 10}, "whole number from 0 to 9 .*not 10. Nothing was sent"),
        ({"priority": "high"}, "not 'high'"),
        ({"countdown": -1}, "countdown is a number of seconds from 0 on, or a timedelta, not -1. Nothing was sent"),
        ({"countdown": "5"}, "countdown is a number of seconds from 0 on, or a timedelta, not '5'"),
        ({"countdown": float("nan")}, "countdown is a number of seconds"),
        ({"countdown": float("inf")}, "countdown is a number of seconds"),
        ({"countdown": True}, "countdown is a number of seconds"),
        ({"eta": 5}, "eta is a datetime, not 5"),
        ({"expires": "soon"}, "expires is a number of seconds from 0 on, a timedelta, or a datetime, not 'soon'"),
        (
            {"countdown": 1, "eta": datetime(2030, 1, 1, tzinfo=UTC)},
            "a countdown or an eta, not both. Nothing was sent",
        ),
        ({"max_retries": -1}, "max_retries is a whole number from 0 on, not -1"),
        ({"max_retries": 1.5}, "max_retries is a whole number from 0 on, not 1.5"),
        ({"time_limit": 0}, "time_limit is a number of seconds above 0, or a timedelta, not 0. Nothing was sent"),
        ({"soft_time_limit": -1}, "soft_time_limit is a number of seconds"),
        (
            {"queue": "a b"},
            "option queue is a name of 1 to 255 .* not 'a b'. Nothing was sent",
        ),
        ({"queue": ""}, "option queue is a name .*, not ''"),
        ({"task_id": "a\nb"}, "option task_id is a name of 1 to 255"),
        ({"task_id": "x" * 256}, "option task_id is a name"),
        ({"task_id": 5}, "option task_id is a name .*, not 5. Nothing was sent"),
        ({"queue": 5}, "option queue is a name .*, not 5"),
        ({"countdown": timedelta.max}, "countdown is a number of seconds"),
        ({"expires": timedelta.max}, "expires is a number of seconds"),
        ({"time_limit": timedelta.max}, "time_limit is a number of seconds"),
        ({"headers": ["a"]}, "headers"),
        ({"headers": "tenant"}, "headers"),
        ({"ignore_result": "no"}, "ignore_result"),
        ({"routing_key": 5}, "routing_key"),
        ({"soft_time_limit": 6, "time_limit": 5}, "soft_time_limit=6 is above time_limit=5.* Nothing was sent"),
        ({"serializer": "dill"}, "serializer is the name of a serializer, such as 'msgpack' or 'json', not 'dill'"),
        ({"serializer": "jsno"}, "Did you mean 'json'"),
        ({"compression": "rar"}, "compression is 'zlib', 'gzip', 'bz2', 'lzma' or 'zstd', not 'rar'"),
        ({"headers": {1: "a"}}, "headers is a dict with text for its keys.*its key 1 is no text"),
    ],
)
async def test_wrong_options(app: AioQueue, tasks: Tasks, options: dict[str, Any], message: str) -> None:
    ways: list[Callable[[], Any]] = [
        lambda: tasks.add.options(**options),
        lambda: tasks.add.s(1).set(**options),
        lambda: tasks.add.signature((1,), **options),
        lambda: app.signature("add", (1,), **options),
    ]
    for way in ways:
        with pytest.raises(ConfigurationError, match=message):
            way()
    async with app:
        with pytest.raises(ConfigurationError, match=message):
            await tasks.add.apply_async((1,), **options)
        with pytest.raises(ConfigurationError, match=message):
            await app.send_task("add", (1,), **options)
        assert await lengths(app) == (0, 0, 0)


@pytest.mark.parametrize("option", ["link", "link_error"])
@pytest.mark.parametrize("value", [5, "", "x", {}, {"a": 1}, b"x", [5]])
async def test_wrong_links(app: AioQueue, tasks: Tasks, option: Any, value: Any) -> None:
    for canvas in (tasks.add.s(1), tasks.add.s(1) | tasks.add.s(1)):
        with pytest.raises(ConfigurationError, match=f"The option {option} is a canvas, or a list"):
            canvas.set(**{option: value})
    async with app:
        with pytest.raises(ConfigurationError, match=f"The option {option} is a canvas, or a list"):
            await tasks.add.apply_async((1,), **{option: value})
        assert await lengths(app) == (0, 0, 0)


async def test_what_was_due_before_the_epoch_is_due_now(app: AioQueue, tasks: Tasks) -> None:
    long_ago = datetime.min
    async with app, app.worker():
        assert await (await tasks.add.apply_async((1,), eta=long_ago)).get(timeout=PATIENCE) == 11
        steps = tasks.add.s(1).set(eta=long_ago) | tasks.add.s(1).set(eta=long_ago)
        assert await (await steps.send()).get(timeout=PATIENCE) == 12
        with pytest.raises(TaskRevoked):
            await (await tasks.add.apply_async((1,), expires=long_ago)).get(timeout=PATIENCE)


@pytest.mark.parametrize("options", [{"serializer": "pickle"}, {"compression": "rar"}, {"serializer": "jsn"}])
async def test_wrong_serializers(app: AioQueue, tasks: Tasks, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await tasks.add.apply_async((1,), **options)
    assert repr(next(iter(options.values()))) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "name"), [({"headers": {"a": object()}}, "header 'a'"), ({"stamps": {"a": object()}}, "stamp 'a'")]
)
async def test_headers_that_cannot_be_sent(app: AioQueue, tasks: Tasks, value: Any, name: str) -> None:
    async with app:
        with pytest.raises(PayloadError, match=f"{name}.*[Nn]othing was sent"):
            await tasks.add.apply_async((1,), **value)


# Calls that do not fit


@pytest.mark.parametrize(
    ("args", "kwargs", "part"),
    [((), {}, "missing"), ((1, 2, 3), {}, "too many"), ((1,), {"x": 2}, "multiple"), ((1,), {"z": 2}, "'z'")],
)
async def test_a_call_that_does_not_fit(
    app: AioQueue, tasks: Tasks, args: tuple[Any, ...], kwargs: dict[str, Any], part: str
) -> None:
    async with app:
        with pytest.raises(PayloadError) as caught:
            await tasks.add.send(*args, **kwargs)
        assert "add(x: int, y: int = 10)" in str(caught.value)
        assert part in str(caught.value)
        assert "nothing was sent" in str(caught.value)
        assert isinstance(caught.value, TypeError)
        assert await lengths(app) == (0, 0, 0)


# Ids


async def test_ids_are_new_and_in_order(app: AioQueue, tasks: Tasks) -> None:
    async with app:
        ids = [(await tasks.add.send(1)).id for _ in range(50)]
        many = [result.id for result in await app.send_many([tasks.add.s(1)] * 500)]
    assert len(set(ids + many)) == 550
    assert [id[:13] for id in ids] == sorted(id[:13] for id in ids)


async def test_strange_ids_and_queues_are_data(app: AioQueue, tasks: Tasks) -> None:
    name = "a:{b}*?[c]%s'\"\\|é✓"
    async with working(app, queues=[name]):
        result = await tasks.tell.options(task_id=name, queue=name, headers={name: name}).send()
        told = await result.get(timeout=PATIENCE)
        assert (told["id"], told["queue"], told["headers"]) == (name, name, {name: name})
        assert await app.result(name).state() == "SUCCESS"


@pytest.mark.parametrize("id", ["names.1", "a.1", "a:s.1", "x.1.2", "r:a", ".1", "a."])
async def test_ids_that_look_like_parts_of_workflows(app: AioQueue, tasks: Tasks, id: str) -> None:
    async with working(app):
        await chain(tasks.add.si(1, 2), tasks.add.s(3).set(task_id="1")).send()
        held = await tasks.wait.s().set(task_id="a").send()
        result = await tasks.add.options(task_id=id, countdown=60).send(1)
        assert await app.result(id).revoke() is True
        assert await result.state() == "REVOKED"
        assert await tasks.add.options(task_id=id + "x").call(1, timeout=PATIENCE) == 11
        tasks.gate.open()
        await held.get(timeout=PATIENCE)


async def test_an_id_of_a_canvas_cannot_be_ones_own(app: AioQueue, tasks: Tasks) -> None:
    async with app:
        result = await chain(tasks.add.si(1, 2), tasks.add.s(3)).send()
        with pytest.raises(ConfigurationError, match=r"option task_id .*looks like one that a canvas gives"):
            await tasks.add.options(task_id=result.id).send(1)


# Open and closed


async def test_an_app_that_was_not_opened_connects_by_itself(app: AioQueue, tasks: Tasks) -> None:
    result = await tasks.add.send(1)
    try:
        async with app.worker():
            assert await result.get(timeout=PATIENCE) == 11
    finally:
        await app.close()


async def test_opening_is_re_entrant(app: AioQueue, tasks: Tasks) -> None:
    async with app as opened:
        assert opened is app
        broker = await app.broker()
        async with app, app:
            assert await app.broker() is broker
        assert await app.broker() is broker
        await tasks.add.send(1)
        assert await lengths(app) == (1, 0, 0)


async def test_opened_again_after_closing(make_app: MakeApp) -> None:
    app = make_app()
    tasks = Tasks(app)
    for _ in range(3):
        async with working(app):
            assert await tasks.add.call(1, timeout=PATIENCE) == 11


async def test_many_openings_at_once_connect_once(app: AioQueue) -> None:
    brokers = await asyncio.gather(*[app.open() for _ in range(20)])
    assert len(set(map(id, brokers))) == 1
    for _ in range(20):
        await app.close()


async def test_closed_once_too_often(app: AioQueue) -> None:
    """Whoever closes twice does not take the connection of those who come later."""
    await app.close()
    async with app:
        pass
    await app.close()
    broker = await app.open()
    assert await app.open() is broker
    await app.close()
    assert await app.broker() is broker, "one of two still uses it"
    await app.close()


async def test_opened_while_the_last_one_closes_it(app: AioQueue, tasks: Tasks) -> None:
    await app.open()
    closing, opening = asyncio.create_task(app.close()), asyncio.create_task(app.open())
    await closing
    assert await app.broker() is await opening, "there is one connection, and it is known"
    await tasks.add.send(1)
    await app.close()


@pytest.mark.parametrize("closed", [True, False])
def test_many_event_loops_one_after_the_other_leave_nothing(redis_url: str, closed: bool) -> None:
    app = AioQueue("tests", broker=redis_url)
    tasks = Tasks(app)

    async def send() -> None:
        if closed:
            async with app:
                await tasks.add.send(1)
        else:
            await tasks.add.send(1)

    with redis.Redis.from_url(redis_url) as client:
        before = len(client.client_list())
        for _ in range(30):
            asyncio.run(send())
        assert client.xlen("{tests:0}:q:default:0") == 30
        # What belongs to the last loop goes with the next one.
        assert len(app._connections._sessions) <= 1
        asyncio.run(app.close())
        gc.collect()
        deadline = time.monotonic() + PATIENCE
        while (left := len(client.client_list()) - before) > (0 if closed else 3):
            assert time.monotonic() < deadline, f"{left} connections are left behind"


def test_two_event_loops_one_after_the_other(redis_url: str) -> None:
    app = AioQueue("tests", broker=redis_url)
    tasks = Tasks(app)

    async def once() -> int:
        async with working(app):
            return await tasks.add.call(1, timeout=PATIENCE)

    assert [asyncio.run(once()) for _ in range(2)] == [11, 11]


async def test_two_event_loops_at_once(redis_url: str) -> None:
    app = AioQueue("tests", broker=redis_url)
    tasks = Tasks(app)

    async def send_and_wait() -> int:
        async with app:
            return await tasks.add.call(1, timeout=PATIENCE)

    async with working(app):
        found = await asyncio.gather(*[asyncio.to_thread(asyncio.run, send_and_wait()) for _ in range(4)])
        assert found == [11] * 4
        assert await tasks.add.call(2, timeout=PATIENCE) == 12


# Without an event loop


@pytest.fixture
def redis_app(redis_url: str) -> Any:
    app = AioQueue("tests", broker=redis_url)
    yield app
    app.portal.close()


async def test_sync_from_threads(redis_app: AioQueue) -> None:
    tasks = Tasks(redis_app)

    @redis_app.task
    async def fail() -> None:
        raise Fault("really")

    def work(number: int) -> None:
        add = tasks.add.sync
        result = add.send(number, y=1)
        assert result.get(timeout=PATIENCE) == number + 1
        assert result.ready() and result.successful() and not result.failed()
        assert result.state == "SUCCESS"
        assert result.info == number + 1
        assert result.id in repr(result)
        assert add.delay(1).get() == 11
        assert add.call(2, timeout=PATIENCE) == 12
        assert add.apply_async((1,), {"y": 2}, priority=3).get(PATIENCE) == 3
        assert add.options(task_id=f"sync-{number}").send(1).id == f"sync-{number}"
        failed = fail.sync.send()
        with pytest.raises(Fault, match="really"):
            failed.get(timeout=PATIENCE)
        assert failed.failed()
        result.forget()
        assert result.state == "PENDING"
        waiting = tasks.add.sync.options(countdown=60).send(1)
        with pytest.raises(TimeoutError, match=r"has not ended after 0\.02 s"):
            waiting.get(timeout=0.02)
        assert waiting.revoke(reason="late") is True
        with pytest.raises(TaskRevoked, match="late"):
            waiting.get()

    async with working(redis_app):
        await asyncio.gather(*[asyncio.to_thread(work, number) for number in range(4)])
        names = [thread.name for thread in threading.enumerate() if thread.name.startswith("aioqueue-sync")]
        assert names == ["aioqueue-sync-tests"]


def test_sync_from_a_script(redis_app: AioQueue) -> None:
    tasks = Tasks(redis_app)
    result = tasks.add.sync.send(1)
    assert result.state == "SENT"
    redis_app.portal.close()
    assert tasks.add.sync.send(1).id != result.id, "it starts again after closing"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_sync_in_a_child_that_was_forked_at_a_bad_moment(redis_app: AioQueue) -> None:
    """Another thread of the parent may hold the lock in that moment, and it is not there to give it back."""
    tasks = Tasks(redis_app)
    portal = redis_app.portal
    with portal._lock:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if tasks.add.sync.send(1).state == "SENT" else 2
            finally:
                os._exit(code)
    deadline = time.monotonic() + PATIENCE
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 0


async def test_sync_inside_a_running_loop_is_refused(app: AioQueue, tasks: Tasks) -> None:
    result = tasks.add.sync
    for way in (
        lambda: result.send(1),
        lambda: result.call(1),
        lambda: result.apply_async((1,)),
    ):
        with pytest.raises(
            AioQueueError, match=r"would block the loop\. Await the same without \.sync\. Nothing was sent"
        ):
            way()
    async with app:
        assert await lengths(app) == (0, 0, 0)


async def test_sync_inside_a_sync_task(redis_app: AioQueue) -> None:
    tasks = Tasks(redis_app)

    @redis_app.task
    def outer(x: int) -> int:
        return tasks.add.sync.call(x, timeout=PATIENCE)

    async with working(redis_app):
        result = await outer.send(1)
        assert await result.get(timeout=PATIENCE) == 11
        (child,) = (await result.info()).children
        assert (await redis_app.result(child).info()).parent_id == result.id


# What goes wrong


async def test_a_full_queue(make_app: MakeApp) -> None:
    app = make_app(queue_max_length=2)
    tasks = Tasks(app)
    async with app:
        await tasks.add.send(1)
        await tasks.add.send(1)
        with pytest.raises(QueueFull, match=r"'default'.*(?s:.*)[Nn]othing was sent"):
            await tasks.add.send(1)
        with pytest.raises(QueueFull):
            await app.send_many([tasks.add.s(1).set(queue="q") for _ in range(3)])
        assert await lengths(app) == (2, 0, 0)
        assert await lengths(app, "q") == (0, 0, 0)
        async with app.worker():
            await until(lambda: _sent(tasks))


async def _sent(tasks: Tasks) -> bool:
    try:
        await tasks.add.send(1)
    except QueueFull:
        return False
    return True


async def test_a_full_queue_can_be_waited_for(make_app: MakeApp) -> None:
    app = make_app(queue_max_length=1, queue_full="wait", send_timeout=0.3)
    tasks = Tasks(app)
    async with app:
        await tasks.add.send(1)
        with pytest.raises(QueueFull):
            await tasks.add.send(2)
        app.conf.send_timeout = PATIENCE
        sending = asyncio.ensure_future(tasks.add.send(3))
        async with app.worker():
            assert await (await sending).get(timeout=PATIENCE) == 13


async def test_many_to_a_full_queue_go_once(make_app: MakeApp) -> None:
    """Each thousand waits for its room by itself: when one has to wait, those before it do not go again."""
    app = make_app(queue_max_length=1500, queue_full="wait", send_timeout=6 * PATIENCE)
    ran: list[int] = []

    @app.task(ignore_result=True)
    async def work(x: int) -> None:
        ran.append(x)

    async with app:
        sending = asyncio.ensure_future(app.send_many(work.s(x) for x in range(3500)))
        await until(lambda: _waits(app, 1000))
        await asyncio.wait({sending}, timeout=A_MOMENT)  # it is refused meanwhile, and tries again
        assert not sending.done()
        assert await lengths(app) == (1000, 0, 0)
        async with app.worker():
            assert len(await sending) == 3500
            await until(lambda: is_empty(app))
    assert sorted(ran) == list(range(3500))


async def _waits(app: AioQueue, count: int) -> bool:
    return (await lengths(app))[0] == count


async def test_the_broker_is_away() -> None:
    app = AioQueue("tests", broker="redis://:hidden@127.0.0.1:1/0", send_timeout=0.2)
    tasks = Tasks(app)
    with pytest.raises(BrokerUnavailable) as caught:
        await tasks.add.send(1)
    assert "127.0.0.1:1" in str(caught.value) and "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("rediss2://x", "rediss2"),
        ("mysql://user:hidden@host", "mysql"),
        ("localhost:6379", "localhost"),
        ("redi://x", "Did you mean 'redis'"),
    ],
)
async def test_a_broker_url_of_no_use(url: str, part: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with AioQueue("tests", broker=url):
            pass
    assert part in str(caught.value) and "hidden" not in str(caught.value)


async def test_sent_again_under_one_id_while_it_waits(app: AioQueue, tasks: Tasks) -> None:
    # A sender that does not know whether its first sending arrived repeats it.
    async with app:
        first = await tasks.wait.options(task_id="one").send("first")
        second = await tasks.wait.options(task_id="one").send("first")
        assert first == second
        with pytest.raises(DuplicateTask, match="'one' is taken"):
            await tasks.wait.options(task_id="one").send("second")
        assert await lengths(app) == (1, 0, 0)
        async with app.worker():
            await until(lambda: tasks.gate.came)
            await tasks.wait.options(task_id="one").send("first")
            with pytest.raises(DuplicateTask):
                await tasks.wait.options(task_id="one").send("while it runs")
            tasks.gate.open()
            await second.get(timeout=PATIENCE)
    assert tasks.gate.came == ["first"]


@pytest.mark.parametrize("how", ["early", "by hand"])
async def test_sent_again_under_one_id_while_it_runs_acknowledged(app: AioQueue, how: str) -> None:
    """At most once is for the repeated sending too (D9)."""
    gate = Gate()

    @app.task(bind=True, acks_late=how != "early")
    async def work(ctx: TaskContext, name: str) -> None:
        if how == "by hand":
            await ctx.ack()
        await gate.wait(name)

    async with working(app):
        await work.options(task_id="one").send("first")
        await until(lambda: gate.came)
        second = await work.options(task_id="one").send("first")
        with pytest.raises(DuplicateTask):
            await work.options(task_id="one").send("second")
        assert await lengths(app) == (0, 1, 0)
        gate.open()
        await second.get(timeout=PATIENCE)
        assert gate.came == ["first"]
        await work.options(task_id="one").call("third", timeout=PATIENCE)
    assert gate.came == ["first", "third"]


@pytest.mark.parametrize("ignore_result", [False, True])
async def test_sent_again_under_one_id_while_its_retry_waits(app: AioQueue, ignore_result: bool) -> None:
    ran: list[int] = []

    @app.task(bind=True, ignore_result=ignore_result)
    async def work(ctx: TaskContext) -> None:
        ran.append(ctx.retries)
        raise ctx.retry(countdown=60)

    async with working(app):
        await work.options(task_id="one").send()
        await until(lambda: _delayed(app))
        await work.options(task_id="one").send()
        assert await lengths(app) == (0, 0, 1)
    assert ran == [0]


async def _delayed(app: AioQueue) -> int:
    return (await lengths(app))[2]


async def test_sent_again_under_one_id_when_it_has_ended(app: AioQueue, tasks: Tasks) -> None:
    async with working(app):
        assert await tasks.add.options(task_id="one").call(1, timeout=PATIENCE) == 11
        assert await tasks.add.options(task_id="one").call(2, timeout=PATIENCE) == 12


async def test_sent_again_under_one_id_when_it_has_ended_without_a_result(app: AioQueue, tasks: Tasks) -> None:
    ran: list[str] = []

    @app.task(ignore_result=True)
    async def quiet(name: str) -> None:
        ran.append(name)

    async with working(app):
        for name in ("first", "second"):
            await quiet.options(task_id="one").send(name)
            await until(lambda: is_empty(app))
    assert ran == ["first", "second"]


async def test_sent_again_under_one_id_when_it_was_forgotten(app: AioQueue, tasks: Tasks) -> None:
    async with working(app):
        for x in (1, 2):
            result = await tasks.add.options(task_id="one").send(x)
            assert await result.get(timeout=PATIENCE) == x + 10
            await result.forget()


async def test_a_delayed_task_is_replaced_under_its_id(app: AioQueue, tasks: Tasks) -> None:
    async with working(app):
        await tasks.add.options(task_id="one", countdown=60).send(1)
        await tasks.add.options(task_id="one", countdown=60).send(1)
        assert await lengths(app) == (0, 0, 1)
        with pytest.raises(DuplicateTask):
            await tasks.add.options(task_id="one").send(3)
        assert await tasks.add.options(task_id="one").call(1, timeout=PATIENCE) == 11
        assert await lengths(app) == (0, 0, 0)


async def test_a_failure_tells_the_sender(app: AioQueue) -> None:
    @app.task
    async def fail() -> None:
        raise Fault("why")

    async with working(app):
        with pytest.raises(Fault, match="why"):
            await fail.call(timeout=PATIENCE)
        assert not isinstance(await outcome(await fail.send()), TaskFailed)
