"""Topics: a routing key finds its queues."""

from __future__ import annotations

from typing import Any

import pytest
from support.apps import MakeApp, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Queue, TaskContext
from aioqueue.exceptions import RoutingError
from aioqueue.routing.topics import fits

from .steps import Sent, waiting


@pytest.mark.parametrize(
    ("topic", "keys", "others"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "a.c", "A.b", ""]),
        ("a.*", ["a.b", "a.#"], ["a", "a.b.c", "b.a"]),
        ("*", ["a"], ["a.b"]),
        ("#", ["a", "a.b.c", ""], []),
        ("a.#", ["a", "a.b", "a.b.c"], ["b", "b.a", "ab"]),
        ("#.z", ["z", "a.z", "z.z", "a.b.z"], ["z.a", "az"]),
        ("a.#.z", ["a.z", "a.b.z", "a.b.c.z", "a.z.z"], ["a", "z", "a.z.b"]),
        ("#.m.#", ["m", "a.m", "m.a", "a.b.m.c", "m.m"], ["a.b", ""]),
        ("*.#", ["a", "a.b"], []),
        ("#.*.#.x", ["a.x", "a.b.x"], ["x", "x.a"]),
        ("#.#", ["", "a", "a.b"], []),
        ("*.stock.#.eu.*", ["a.stock.eu.b", "a.stock.x.y.eu.b", "a.stock.eu.eu.b"], ["stock.eu.b", "a.stock.eu"]),
    ],
)
def test_what_fits(topic: str, keys: list[str], others: list[str]) -> None:
    assert [key for key in keys + others if fits(topic, key)] == keys


def test_a_long_topic_is_quick() -> None:
    assert not fits(".".join(["#", "a"] * 30 + ["b"]), ".".join(["a"] * 200))


QUEUES = [
    Queue("default"),
    Queue("sms", topic="notifications.sms.*"),
    Queue("audit", topic="#"),
    Queue("all", topic=["notifications.#", "news.*"]),
]


async def test_all_that_fit_get_the_task(make_app: MakeApp) -> None:
    app = make_app(task_queues=QUEUES, task_routes={"shop.sms": {"routing_key": "notifications.sms.alerts"}})
    ran: list[Any] = []

    @app.task(name="shop.sms", bind=True)
    async def sms(ctx: TaskContext, x: int) -> str:
        ran.append((ctx.id, ctx.queue, ctx.routing_key, x))
        return ctx.queue

    async with app:
        result = await sms.send(1)
        id = result.id
        assert await waiting(app) == {"sms": 1, "audit": 1, "all": 1}
        async with app.worker(queues=["sms", "audit", "all"]):
            await until(lambda: len(ran) == 3)
            assert await result.get(timeout=PATIENCE) == "sms"
            copies = [app.result(f"{id}.{number}") for number in (2, 3)]
            assert [await copy.get(timeout=PATIENCE) for copy in copies] == ["audit", "all"]
            assert [await copy.state() for copy in copies] == ["SUCCESS", "SUCCESS"]
            assert (await copies[0].info()).name == "shop.sms"
    key = "notifications.sms.alerts"
    assert sorted(ran) == [(id, "sms", key, 1), (f"{id}.2", "audit", key, 1), (f"{id}.3", "all", key, 1)]


async def test_each_copy_is_a_task_of_its_own(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("a", topic="x"), Queue("b", topic="x"), Queue("c", topic="x")])

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> str:
        if ctx.queue == "b":
            raise ValueError("b alone")
        return ctx.queue

    async with app:
        result = await work.options(routing_key="x").send()
        second, third = app.result(f"{result.id}.2"), app.result(f"{result.id}.3")
        assert await third.revoke()
        async with app.worker(queues=["a", "b", "c"]):
            assert await result.get(timeout=PATIENCE) == "a"
            assert isinstance(await outcome(second), ValueError)
            assert await third.state() == "REVOKED"
        assert [len((await one.graph()).nodes) for one in (result, second)] == [1, 1]
        await second.forget()
        assert await second.state() == "PENDING"


async def test_a_copy_is_waited_for_before_it_ends(make_app: MakeApp) -> None:
    import asyncio

    app = make_app(task_queues=[Queue("a", topic="x"), Queue("b", topic="x")])

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> str:
        return ctx.queue

    async with app:
        result = await work.options(routing_key="x").send()
        waiters = [asyncio.ensure_future(app.result(f"{result.id}.2").get(timeout=PATIENCE)) for _ in range(2)]
        await asyncio.wait(waiters, timeout=2.5)  # longer than a waiter takes to ask whether anything is to come
        assert not any(waiter.done() for waiter in waiters)
        async with app.worker(queues=["a", "b"]):
            assert await asyncio.gather(*waiters) == ["b", "b"]


async def test_an_id_of_the_senders_own(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("a", topic="x"), Queue("b", topic="x")])
    ran: list[str] = []

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        ran.append(ctx.id)

    async with app:
        for _ in range(2):  # sent again, it is the same
            await work.options(routing_key="x", task_id="mine").send()
        assert await waiting(app) == {"a": 1, "b": 1}
        async with app.worker(queues=["a", "b"]):
            await until(lambda: len(ran) == 2)
    assert sorted(ran) == ["mine", "mine.2"]


async def test_many(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("a", topic="x.*"), Queue("b", topic="x.1"), Queue("c", topic="y.#")])

    @app.task
    async def work(x: int) -> int:
        return x

    async with app:
        keys = ["x.0", "x.1", "y"]
        results = await app.send_many(work.s(n).set(routing_key=keys[n % 3]) for n in range(1500))
        assert len(results) == 1500 == len({result.id for result in results})
        assert await waiting(app) == {"a": 1000, "b": 500, "c": 500}
        async with app.worker(queues=["a", "b", "c"]):
            assert [await result.get(timeout=PATIENCE) for result in results[-3:]] == [1497, 1498, 1499]


async def test_heavy_ones_that_are_made_again_go_where_they_were_to_go() -> None:
    turns = iter(range(1000))
    app = AioQueue("tests", broker="memory://", task_routes=lambda *_: f"q{next(turns)}")

    @app.task(bind=True)
    async def work(ctx: TaskContext, x: bytes) -> tuple[str, int]:
        return ctx.queue, len(x)

    async with app:
        results = await app.send_many(work.s(bytes(6 * 1024 * 1024)) for _ in range(5))
        assert await waiting(app) == {f"q{n}": 1 for n in range(5)}
        async with app.worker(queues=[f"q{n}" for n in range(5)]):
            got = [await result.get(timeout=PATIENCE) for result in results]
    assert got == [(f"q{n}", 6 * 1024 * 1024) for n in range(5)]


# Which word counts


async def test_a_queue_and_a_routing_key(make_app: MakeApp) -> None:
    app = make_app(task_queues=QUEUES, task_routes={"*": {"routing_key": "news.today"}})
    sent = Sent(app)

    @app.task(name="keyed", routing_key="notifications.sms.own")
    async def keyed() -> None: ...

    @app.task(name="queued", queue="own")
    async def queued() -> None: ...

    async with app:
        await app.send_task("any")
        assert (sent.last.routing_key, sent.take()) == ("news.today", ["audit", "all"])
        await keyed.send()
        assert (sent.last.routing_key, sent.take()) == ("notifications.sms.own", ["sms", "audit", "all"])
        await queued.send()
        assert (sent.last.routing_key, sent.take()) == (None, ["own"])
        await queued.options(routing_key="news.a").send()
        assert (sent.last.routing_key, sent.take()) == ("news.a", ["audit", "all"])
        await keyed.options(queue="asked").send()
        assert (sent.last.routing_key, sent.take()) == (None, ["asked"])
        await keyed.options(queue="asked", routing_key="data").send()
        assert (sent.last.routing_key, sent.take()) == ("data", ["asked"])
        await keyed.s().set(queue="asked").set(routing_key="news.b").send()
        assert (sent.last.routing_key, sent.take()) == ("news.b", ["audit", "all"])


async def test_no_match(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("sms", topic="notifications.sms.*"), Queue("plain")])

    @app.task(name="a")
    async def work() -> None: ...

    async with app:
        with pytest.raises(RoutingError, match=r"a with the routing_key 'x\.y': the topics.*Nothing was sent") as one:
            await work.options(routing_key="x.y").send()
        assert "notifications.sms.*" in str(one.value)
        with pytest.raises(RoutingError, match="There is a queue of that name: send it with queue='plain'"):
            await work.options(routing_key="plain").send()
        with pytest.raises(RoutingError, match="Nothing was sent"):
            await app.send_many([work.s(), work.s().set(routing_key="x")])
        with pytest.raises(RoutingError, match="Nothing was sent"):
            await (work.si() | work.si().set(routing_key="x")).send()
        app.conf.task_queues = []
        with pytest.raises(RoutingError, match="no queue of task_queues has a topic"):
            await work.options(routing_key="notifications.sms.a").send()
        assert await waiting(app) == {}


async def test_in_a_canvas_exactly_one(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("a", topic="x.*"), Queue("b", topic="x.y")])

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> str:
        return ctx.queue

    async with working(app, queues=["a", "b", "default"]):
        canvas = work.si() | work.si().set(routing_key="x.z")
        assert await (await canvas.send()).get(timeout=PATIENCE) == "a"
        with pytest.raises(RoutingError, match=r"topics of 2 queues, a, b, and a part of a canvas.*Nothing was sent"):
            await (work.si() | work.si().set(routing_key="x.y")).send()
        with pytest.raises(RoutingError, match="exactly one"):
            await work.options(link=work.si().set(routing_key="x.y")).send()
        assert await waiting(app) == {}


async def test_under_eager() -> None:
    app = AioQueue("tests", task_always_eager=True, task_queues=[Queue("a", topic="x"), Queue("b", topic="x")])
    ran: list[Any] = []

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> str:
        ran.append((ctx.id, ctx.queue))
        return ctx.queue

    async with app:
        result = await work.options(routing_key="x").send()
        assert await result.get() == "a"
        assert sorted(ran) == [(result.id, "a"), (f"{result.id}.2", "b")]


async def test_a_retry_stays_in_its_queue(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("a", topic="x"), Queue("b", topic="x")])
    ran: list[Any] = []

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        ran.append((ctx.queue, ctx.retries))
        if not ctx.retries:
            raise ctx.retry(countdown=0)

    async with working(app, queues=["a", "b"]):
        await work.options(routing_key="x").send()
        await until(lambda: len(ran) == 4)
    assert sorted(ran) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


# Queues that are a closed list, and their priorities


async def test_missing_queues_are_refused(make_app: MakeApp) -> None:
    app = make_app(task_queues=["high", "low"], task_create_missing_queues=False)
    sent = Sent(app)
    async with app:
        await app.send_task("a", queue="low")
        with pytest.raises(RoutingError, match=r"'hihg', which is not among task_queues.*'high'\?.*Nothing was sent"):
            await app.send_task("a", queue="hihg")
        with pytest.raises(RoutingError, match="the queue 'default', which is not among task_queues"):
            await app.send_task("a")
        app.conf.task_default_queue = "high"
        await app.send_task("a")
        assert sent.queues == ["low", "high"]


async def test_a_closed_list_of_nothing() -> None:
    from aioqueue.exceptions import ConfigurationError

    with pytest.raises(ConfigurationError, match="task_create_missing_queues=False, and task_queues is empty"):
        await AioQueue("tests", broker="memory://", task_create_missing_queues=False).open()


async def test_a_list_that_is_closed_while_it_is_empty(make_app: MakeApp) -> None:
    app = make_app()
    async with app:
        app.conf.task_create_missing_queues = False
        with pytest.raises(RoutingError, match=r"'default', which is not among task_queues \(none\).*Nothing was sent"):
            await app.send_task("a")


async def test_a_queue_has_so_many_priorities(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("three", priorities=3), Queue("one", priorities=False)])
    sent = Sent(app)
    async with app:
        for queue, priority in (("three", 9), ("three", 1), ("one", 5), ("other", 9)):
            await app.send_task("a", queue=queue, priority=priority)
    assert [message.priority for message in sent.messages] == [2, 1, 0, 9]
