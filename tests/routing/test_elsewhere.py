"""Routes and topics where something is sent on somebody's behalf: schedules, replacements, middlewares, the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.apps import MakeApp, outcome, working
from support.command import environment_without, run
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Middleware, Queue, TaskContext, chain, group, shared_task
from aioqueue.exceptions import RoutingError

from .steps import Sent, waiting, where

# Schedules


async def test_a_schedules_tasks_are_routed_when_they_are_due(make_app: MakeApp) -> None:
    app = make_app(
        task_queues=[Queue("keyed", topic="k.#")],
        task_routes=[where, {"by.table": {"queue": "table", "priority": 3}, "by.key": {"routing_key": "k.x"}}],
    )
    for name in ("by.table", "by.key", "by.call"):

        @app.task(name=name)
        async def work(**_: Any) -> None: ...

    sent = Sent(app)
    async with app, app.worker(queues=["none"], beat=True, shutdown_timeout=2.0):
        for name, kwargs in (("by.table", {}), ("by.key", {}), ("by.call", {"to": "said"})):
            await app.schedules.add(name, app.signature(name, (), kwargs), 0.1, max_runs=1)
        await until(lambda: len(sent.messages) == 3)
    assert sorted((one.queue, one.priority) for one in sent.messages) == [("keyed", 0), ("said", 0), ("table", 3)]


async def test_a_scheduled_canvas(make_app: MakeApp) -> None:
    app = make_app(task_routes={"first": "a", "second": {"queue": "b", "priority": 4}})
    ran: list[Any] = []

    def note(ctx: TaskContext, *_: Any) -> None:
        ran.append((ctx.name, ctx.queue, ctx.priority))

    first, second = (app.task(name=name, bind=True)(note) for name in ("first", "second"))
    async with app, app.worker(beat=True, shutdown_timeout=2.0):
        await app.schedules.add("both", chain(first.s(), second.si()), 0.1, max_runs=1)
        await until(lambda: len(ran) == 2)
    assert ran == [("first", "a", 0), ("second", "b", 4)]


async def test_a_schedule_declared_before_its_routes(make_app: MakeApp) -> None:
    app = make_app()

    @app.periodic(3600)
    @app.task(routing_key="later.set")
    async def work() -> None: ...

    app.conf.task_queues = [Queue("late", topic="later.*")]
    async with app, app.worker(queues=["none"], beat=True, shutdown_timeout=2.0):
        await until(lambda: _has_schedules(app))
        await app.schedules.trigger(work.name)
        assert await waiting(app) == {"late": 1}


async def _has_schedules(app: AioQueue) -> bool:
    return bool(await app.schedules.list())


async def test_a_schedule_whose_task_finds_no_queue_is_refused(make_app: MakeApp) -> None:
    one, two = [Queue("a", topic="x")], [Queue("a", topic="x"), Queue("b", topic="x")]
    app = make_app(task_queues=two)

    @app.task(name="work")
    async def work() -> None: ...

    async with app:
        for key, why in (("x", "fits the topics of 2 queues"), ("y", "No queue is found")):
            for canvas in (work.s().set(routing_key=key), chain(work.s(), work.si().set(routing_key=key))):
                with pytest.raises(RoutingError, match=why):
                    await app.schedules.add("late", canvas, 3600)
        assert await app.schedules.list() == []
        app.conf.task_queues = one
        await app.schedules.add("late", work.s().set(routing_key="x"), 3600)
        await app.schedules.trigger("late")
        app.conf.task_queues = two
        with pytest.raises(RoutingError, match="fits the topics of 2 queues"):
            await app.schedules.trigger("late")
        assert await waiting(app) == {"a": 1}


async def test_a_schedule_of_the_code_whose_task_finds_no_queue_says_so(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(task_queues=[Queue("a", topic="x"), Queue("b", topic="x")])

    @app.task(name="work")
    async def work() -> None: ...

    for name, key in (("two", "x"), ("none", "y")):
        app.conf.beat_schedule[name] = {"task": "work", "schedule": 0.1, "options": {"routing_key": key}}
    async with app, app.worker(queues=["none"], beat=True, shutdown_timeout=2.0):
        await until(lambda: "two cannot be fired: " in caplog.text and "none cannot be fired: " in caplog.text)
        problems = {info.name: info.problem for info in await app.schedules.list()}
        assert "fits the topics of 2 queues" in problems["two"] and "No queue is found" in problems["none"]
        assert await waiting(app) == {}


# What running tasks send


async def test_a_replacement_is_routed(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("a", topic="x"), Queue("b", topic="y"), Queue("c", topic="y")], task_routes=where)

    @app.task(bind=True)
    async def last(ctx: TaskContext, **_: Any) -> str:
        return ctx.queue

    @app.task(bind=True)
    async def start(ctx: TaskContext, key: str) -> str:
        if key == "route":
            raise ctx.replace(last.si(to="a"))
        raise ctx.replace(last.si().set(routing_key=key))

    async with working(app, queues=["default", "a", "b", "c"]):
        assert await start.call("x", timeout=PATIENCE) == "a"
        assert await start.call("route", timeout=PATIENCE) == "a"
        failed = await outcome(await start.send("y"))
        assert isinstance(failed, RoutingError) and "exactly one" in str(failed)


async def test_what_is_added_to_a_group_is_routed(make_app: MakeApp) -> None:
    app = make_app(task_routes={"member": "m"})

    @app.task(name="member", bind=True)
    async def member(ctx: TaskContext) -> str:
        return ctx.queue

    @app.task(bind=True)
    async def adds(ctx: TaskContext) -> str:
        await ctx.add_to_group(member.si())
        return ctx.queue

    async with working(app):
        result = await group(adds.si(), member.si()).send()
        assert await result.get(timeout=PATIENCE) == ["default", "m", "m"]


async def test_error_handlers_and_links_are_routed(make_app: MakeApp) -> None:
    app = make_app(task_routes={"handler": "h", "linked": {"queue": "l"}})
    ran: list[Any] = []

    @app.task(name="handler", bind=True)
    async def handler(ctx: TaskContext, *_: Any) -> None:
        ran.append((ctx.name, ctx.queue))

    linked = app.task(name="linked", bind=True)(handler.function)

    @app.task
    async def work(fail: bool) -> None:
        if fail:
            raise ValueError("it")

    async with working(app):
        for fail in (True, False):
            await work.options(link=linked.s(), link_error=handler.s()).send(fail)
        await until(lambda: len(ran) == 2)
    assert sorted(ran) == [("handler", "h"), ("linked", "l")]


# Middlewares


async def test_a_middleware_may_say_where(make_app: MakeApp) -> None:
    class Says(Middleware):
        async def around_send(self, message: Any, next: Any) -> Any:
            if "option" in message.kwargs:
                message.options.update(message.kwargs["option"])
            return await next(message)

    app = make_app(task_queues=[Queue("a", topic="x"), Queue("b", topic="x")], task_routes={"*": {"queue": "route"}})
    app.add_middleware(Says())
    sent = Sent(app)
    async with app:
        for option in ({}, {"queue": "said"}, {"routing_key": "x"}):
            result = await app.send_task("any", kwargs={"option": option})
            assert result.id == sent.ids[-1].removesuffix(".2")
        assert sent.take() == ["route", "said", "a", "b"]
        calls = [app.signature("any", kwargs={"option": {"routing_key": "x"}}) for _ in range(3)]
        results = await app.send_many(calls)
        assert [result.id for result in results] == sent.ids[::2]
        assert sent.take() == ["a", "b"] * 3
        with pytest.raises(RoutingError, match="Nothing was sent"):
            await chain(*calls[:2]).send()
        assert sent.take() == []


# Shared tasks, and names without code


async def test_shared_tasks_go_the_way_of_their_app(make_app: MakeApp) -> None:
    @shared_task(name="shared")
    async def shared() -> None: ...

    one, other = make_app("one", task_routes={"*": "one"}), AioQueue("other", broker="memory://", task_routes=where)
    async with one, other:
        await one.tasks["shared"].send()
        await other.send_task("shared", kwargs={})
        assert (await waiting(one), await waiting(other)) == ({"one": 1}, {"default": 1})


# The command


def test_the_command_shows_where_tasks_go(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from aioqueue import AioQueue, Queue\n"
        "app = AioQueue('shop', broker='memory://', task_routes={'b*': {'routing_key': 'x.y'}},\n"
        "               task_queues=[Queue('q', topic='x.#'), Queue('r', topic='#')])\n"
        "@app.task(name='a')\nasync def a() -> None: ...\n"
        "@app.task(name='b')\nasync def b() -> None: ...\n"
    )
    done = run(("tasks", "shop:app", "--json"), tmp_path, environment_without())
    assert {task["name"]: task["queue"] for task in done.json} == {"a": "default", "b": "q, r"}
