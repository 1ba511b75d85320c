"""Several apps with brokers of their own in one program."""

from __future__ import annotations

from typing import Any

import pytest
from support.apps import MakeApp
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Queue, TaskContext
from aioqueue.exceptions import ConfigurationError

from .steps import Sent, waiting


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_a_task_sends_a_task_of_another_app(make_app: MakeApp, kind: str) -> None:
    shop = make_app("shop", task_routes={"*": "shop"}, task_serializer="json")
    stats = AioQueue("stats", broker="memory://", task_routes={"*": "numbers"})
    sent, counted = Sent(stats), list[Any]()

    @stats.task(bind=True)
    async def count(ctx: TaskContext, what: str) -> str:
        counted.append((ctx.queue, ctx.parent_id, what))
        return f"{what}: 1"

    @shop.task(bind=True)
    async def order(ctx: TaskContext) -> str:
        result = await count.send("orders")
        assert await result.get(timeout=PATIENCE) == "orders: 1"
        return result.id

    @shop.task
    def order_in_a_thread() -> str:
        result = count.sync.send("orders")
        assert result.get(timeout=PATIENCE) == "orders: 1"
        return result.id

    task = order if kind == "coroutine" else order_in_a_thread
    async with shop, stats, shop.worker(), stats.worker():
        result = await task.send()
        id = await result.get(timeout=PATIENCE)
        assert (await result.info()).children == [id]
        assert await stats.result(id).get(timeout=PATIENCE) == "orders: 1"
        assert await shop.result(id).state() == "PENDING"
        assert counted == [("numbers", result.id, "orders")]
        assert (sent.queues, sent.last.content) == (["numbers"], "msgpack")


async def test_neither_hears_of_the_others_tasks(make_app: MakeApp) -> None:
    shop, stats = make_app("shop"), AioQueue("stats", broker="memory://")

    async def who(app: AioQueue) -> str:
        return app.name

    @shop.task(name="who")
    async def of_shop() -> str:
        return "shop"

    @stats.task(name="who", queue="numbers")
    async def of_stats() -> str:
        return "stats"

    async with shop, stats, shop.worker(queues=["default", "numbers"]), stats.worker():
        assert await of_shop.call(timeout=PATIENCE) == "shop"
        assert await of_stats.call(timeout=PATIENCE) == "stats"
        results = await shop.send_many([of_shop.s()]) + await stats.send_many([of_stats.s()])
        assert [await result.get(timeout=PATIENCE) for result in results] == ["shop", "stats"]


async def test_topics_are_those_of_the_tasks_own_app(make_app: MakeApp) -> None:
    shop = make_app("shop", task_queues=[Queue("a", topic="#")])
    stats = AioQueue("stats", broker="memory://", task_queues=[Queue("b", topic="x"), Queue("c", topic="x")])

    @stats.task
    async def count() -> None: ...

    @shop.task
    async def order() -> None:
        await count.options(routing_key="x").send()

    async with shop, stats, shop.worker():
        await order.options(queue="default").call(timeout=PATIENCE)
        assert await waiting(stats) == {"b": 1, "c": 1}


async def test_a_canvas_belongs_to_one(make_app: MakeApp) -> None:
    shop, stats = make_app("shop"), AioQueue("stats", broker="memory://")

    @shop.task(name="order")
    async def order() -> None: ...

    @stats.task(name="count")
    async def count() -> None: ...

    async with shop, stats:
        with pytest.raises(ConfigurationError, match=r"count is a task of the app 'stats'.*Nothing was sent"):
            await (order.si() | count.si()).send()
        with pytest.raises(ConfigurationError, match=r"count is a task of the app 'stats'"):
            await shop.send_many([order.si(), count.si()])
        assert (await waiting(shop), await waiting(stats)) == ({}, {})


async def test_a_canvas_of_the_other_app_sent_from_a_task(make_app: MakeApp) -> None:
    shop, stats = make_app("shop"), AioQueue("stats", broker="memory://", task_routes={"second": "late"})
    ran: list[str] = []

    @stats.task(name="first", bind=True)
    async def first(ctx: TaskContext) -> None:
        ran.append(ctx.queue)

    @stats.task(name="second", bind=True)
    async def second(ctx: TaskContext) -> None:
        ran.append(ctx.queue)

    @shop.task
    async def order() -> None:
        await (first.si() | second.si()).send()

    async with shop, stats, shop.worker(), stats.worker():
        await order.call(timeout=PATIENCE)
        await until(lambda: len(ran) == 2)
    assert ran == ["default", "late"]
