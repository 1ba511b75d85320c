"""`task_routes`: how a task is sent when neither its sender nor the task says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from support.apps import MakeApp

from aioqueue import AioQueue, TaskContext
from aioqueue.exceptions import ConfigurationError, RoutingError

from .steps import Sent, waiting, where


async def _to(app: AioQueue, name: str, **options: Any) -> str:
    """The queue to which a task of that name goes."""
    sent = Sent(app)
    try:
        await app.send_task(name, **options)
    finally:
        app.observers.clear()
    (queue,) = sent.queues
    return queue


TABLE = {
    "shop.*": "shop",
    "shop.mail.*": {"queue": "mail"},
    "shop.mail.now": "now",
    re.compile(r"video\.(en|de)code"): "video",
    re.compile("audio"): {"queue": "audio"},
    "nothing": None,
}


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        ("shop.sms", "shop"),
        ("shop.mail.now", "now"),
        ("shop.mail.later", "shop"),
        ("video.encode", "video"),
        ("video.encode.fast", "video"),
        ("my.video.encode", "default"),
        ("video.recode", "default"),
        ("audio", "audio"),
        ("Shop.sms", "default"),
        ("nothing", "default"),
    ],
)
async def test_by_name_and_pattern(name: str, queue: str) -> None:
    app = AioQueue("tests", broker="memory://", task_routes=TABLE)
    async with app:
        assert await _to(app, name) == queue


async def test_a_list_is_asked_in_order(make_app: MakeApp) -> None:
    asked: list[Any] = []

    def by_tenant(name: str, args: Any, kwargs: Any, options: Any) -> Any:
        asked.append((name, args, kwargs, options))
        return {"queue": f"tenant-{kwargs['tenant']}"} if "tenant" in kwargs else None

    app = make_app()
    app.conf.task_routes = [where, by_tenant, {"a": "exact"}, [(re.compile("a"), "pairs"), ("b*", "b")], lambda *_: {}]
    async with app:
        assert await _to(app, "a", kwargs={"to": "said"}) == "said"
        assert asked == []
        assert await _to(app, "a", args=(1,), kwargs={"tenant": "x"}, priority=3) == "tenant-x"
        assert asked == [("a", (1,), {"tenant": "x"}, {"priority": 3})]
        assert [await _to(app, name) for name in ("a", "ab", "bc", "c")] == ["exact", "pairs", "b", "default"]
        assert await waiting(app) == {"said": 1, "tenant-x": 1, "exact": 1, "pairs": 1, "b": 1, "default": 1}


async def test_a_function_changes_nothing_of_the_call() -> None:
    def meddle(name: str, args: Any, kwargs: Any, options: Any) -> None:
        kwargs["x"] = 2
        options["queue"] = "elsewhere"

    app = AioQueue("tests", broker="memory://", task_routes=meddle)

    @app.task
    async def work(x: int) -> int:
        return x

    async with app.testing() as t:
        sent = Sent(app)
        result = await work.send(x=1)
        await t.drain()
        assert (await result.get(), sent.queues) == (1, ["default"])


ROUTE = {"queue": "r", "priority": 4, "expires": 60, "max_retries": 7, "headers": {"by": "route"}, "countdown": 5}


async def test_a_route_may_say_all_of_a_sending(make_app: MakeApp) -> None:
    app = make_app(task_routes={"*": {**ROUTE, "serializer": "json", "ignore_result": True, "time_limit": 9}})
    sent = Sent(app)
    async with app:
        result = await app.send_task("a", (1,))
        message = sent.last
        assert (message.queue, message.priority, message.max_retries) == ("r", 4, 7)
        assert (message.headers, message.content, message.ignore_result) == ({"by": "route"}, "json", True)
        assert (message.time_limit, message.expires, sent.messages[0].delay) == (9, message.sent + 60_000, 5000)
        assert result.ignored is True


async def test_the_nearest_word_counts(make_app: MakeApp) -> None:
    app = make_app(task_routes={"*": ROUTE}, task_default_queue="last", task_default_priority=1)
    sent = Sent(app)

    @app.task(name="own", queue="own", priority=2, max_retries=None)
    async def own() -> None: ...

    @app.task(name="bare")
    async def bare() -> None: ...

    async with app:
        await own.send()
        assert (sent.queues, sent.last.priority, sent.last.max_retries) == (["own"], 2, None)
        assert (sent.last.headers, sent.messages[0].delay) == ({"by": "route"}, 5000)
        await own.s().set(queue="signature", headers={}).send()
        assert (sent.messages[-1].queue, sent.last.priority, sent.last.headers) == ("signature", 2, {})
        await bare.s().set(queue="signature", priority=8).clone(queue="call").send()
        assert (sent.messages[-1].queue, sent.last.priority, sent.last.max_retries) == ("call", 8, 7)
        await bare.options(eta=None, countdown=0).send()
        assert (sent.messages[-1].queue, sent.messages[-1].delay) == ("r", None)
        app.conf.task_routes = {}
        await bare.send()
        assert (sent.messages[-1].queue, sent.last.priority) == ("last", 1)


async def test_of_two_words_for_one_thing_the_nearer_counts() -> None:
    from datetime import UTC, datetime, timedelta

    app = AioQueue("tests", broker="memory://", task_routes={"*": {"countdown": 60}})
    sent = Sent(app)
    later = datetime.now(UTC) + timedelta(days=1)
    async with app:
        await app.send_task("a", eta=later)
        assert (sent.messages[-1].delay, sent.messages[-1].due) == (None, round(later.timestamp() * 1000 - 0.5))


async def test_limits_have_to_go_together() -> None:
    app = AioQueue("tests", broker="memory://", task_routes={"*": {"soft_time_limit": 20}})

    @app.task(time_limit=10)
    async def work() -> None: ...

    async with app:
        with pytest.raises(ConfigurationError, match=r"soft_time_limit=20 is above time_limit=10.*Nothing was sent"):
            await work.send()
        assert await waiting(app) == {}


@pytest.mark.parametrize(
    ("router", "error", "message"),
    [
        (lambda *_: 5, ConfigurationError, "task_routes has 5 for a: it takes the name of a queue"),
        (lambda *_: "two words", ConfigurationError, "task_routes has 'two words' for a"),
        (lambda *_: {"que": "x"}, ConfigurationError, r"has 'que' for a.*Did you mean 'queue'\?.*Nothing was sent"),
        (lambda *_: {"priority": 11}, ConfigurationError, "for a: The option priority.*Nothing was sent"),
        (lambda *_: 1 / 0, RoutingError, r"raised ZeroDivisionError: division by zero\. Nothing was sent"),
        (lambda *_: len(5), RoutingError, "asked for the route of a, and raised TypeError"),
        ("no.such.module:router", ConfigurationError, "task_routes has 'no.such.module:router', which cannot be imp"),
        ("sys:no_such_name", ConfigurationError, "task_routes has 'sys:no_such_name', which cannot be imported"),
    ],
)
async def test_what_goes_wrong_at_send(router: Any, error: type[Exception], message: str) -> None:
    app = AioQueue("tests", broker="memory://", task_routes=router)
    async with app:
        with pytest.raises(error, match=message):
            await app.send_task("a")
        with pytest.raises(error, match=message):
            await app.send_many([app.signature("a"), app.signature("b")])
        assert await waiting(app) == {}


async def _coroutine(*_: Any) -> None: ...


@pytest.mark.parametrize("value", [5, ["a"], [5], _coroutine, [_coroutine], dict, {5: "a"}, {re.compile(b"a"): "x"}])
def test_what_is_no_route(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="task_routes"):
        AioQueue("tests", task_routes=value)


# From files and the environment


async def test_a_function_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_routes.py").write_text("def by_name(name, args, kwargs, options):\n    return f'of-{name}'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_routes", raising=False)
    for text in ("my_routes:by_name", "my_routes.by_name", '[{"b": "table"}, "my_routes:by_name"]'):
        monkeypatch.setenv("AIOQUEUE_TASK_ROUTES", text)
        app = AioQueue("tests", broker="memory://")
        async with app:
            assert await _to(app, "a") == "of-a"


async def test_pairs_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOQUEUE_TASK_ROUTES", '[["a*", {"queue": "x", "priority": 3}], ["*", "y"]]')
    app = AioQueue("tests", broker="memory://")
    async with app:
        assert (await _to(app, "ab"), await _to(app, "b")) == ("x", "y")


async def test_a_function_of_a_settings_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "routed_settings.py").write_text(
        "from aioqueue import Queue\n"
        "TASK_QUEUES = [Queue('low', topic='#')]\n"
        "def task_routes(name, args, kwargs, options):\n    return {'routing_key': name}\n"
        "def helper(): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "routed_settings", raising=False)
    app = AioQueue("tests", broker="memory://")
    app.config_from_object("routed_settings")
    async with app:
        assert await _to(app, "a") == "low"


# Everywhere that something is sent


async def test_by_the_thousand(make_app: MakeApp) -> None:
    app = make_app(task_routes=where)

    @app.task
    async def work(to: str) -> None: ...

    async with app:
        await app.send_many(work.s(to=f"q{x % 3}") for x in range(2100))
        assert await waiting(app) == {"q0": 700, "q1": 700, "q2": 700}


async def test_in_a_canvas(make_app: MakeApp) -> None:
    app = make_app(task_routes={"*.heavy": {"queue": "heavy", "priority": 6}})
    ran: list[Any] = []

    def note(ctx: TaskContext, x: int = 0) -> int:
        ran.append((ctx.name, ctx.queue, ctx.priority))
        return x + 1

    heavy = app.task(name="a.heavy", bind=True)(note)
    light = app.task(name="a.light", bind=True)(note)
    async with app, app.worker():
        canvas = heavy.s(1) | light.s() | heavy.s().set(queue="light") | heavy.s()
        canvas.set(expires=600)
        worker = app.worker(queues=["light"], hostname="other")
        async with worker:
            assert await (await canvas.send()).get(timeout=20) == 5
    assert ran == [
        ("a.heavy", "heavy", 6),
        ("a.light", "default", 0),
        ("a.heavy", "light", 6),
        ("a.heavy", "heavy", 6),
    ]


async def test_under_eager() -> None:
    app = AioQueue("tests", task_always_eager=True, task_routes={"*": {"queue": "q", "countdown": 600}})

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> str:
        return ctx.queue

    async with app:
        assert await (await work.send()).get() == "q"
        assert await (await (work.s() | work.si()).send()).get() == "q"


async def test_the_sync_way(make_app: MakeApp) -> None:
    import asyncio

    app = make_app(task_routes={"*": "q"})
    sent = Sent(app)

    @app.task
    def work() -> None: ...

    await asyncio.to_thread(work.sync.send)
    assert sent.queues == ["q"]


def test_a_function_that_cannot_be_asked_is_refused(make_app: MakeApp) -> None:
    app = make_app()
    for wrong in (lambda: "q", lambda name: "q", print, len):
        try:
            app.conf.task_routes = wrong
        except ConfigurationError as error:
            assert "def route(name, args, kwargs, options)" in str(error)
        else:
            assert wrong is print, "it takes anything"


async def test_functions_are_asked_of_each_call_that_is_in_one_message(make_app: MakeApp) -> None:
    asked: list[Any] = []

    def by_first(name: str, args: Any, kwargs: Any, options: Any) -> Any:
        asked.append(args)
        return f"q{args[0] % 2}" if args else None

    app = make_app(task_routes=by_first)

    @app.task(name="work")
    async def work(x: int, y: int = 0) -> int:
        return x

    async with app:
        await work.map([1, 3]).send()
        await work.starmap([(2, 1), (4, 1)]).send()
        await work.chunks([(6, 1)], 5).send()
        assert asked == [(1,), (3,), (2, 1), (4, 1), (6, 1)]
        assert await waiting(app) == {"q1": 1, "q0": 2}
        with pytest.raises(RoutingError, match=r"work\.map.* 'q1'.* 'q0'.* group.* Nothing was sent"):
            await work.map([1, 2]).send()
        await work.map([1, 2]).set(queue="mine").send()
        await work.map([]).send()
        assert await waiting(app) == {"q1": 1, "q0": 2, "mine": 1, "default": 1}
