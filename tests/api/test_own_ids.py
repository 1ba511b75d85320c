"""Ids that senders choose: while a task of one waits or runs, the same call is that task, and another is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio as aioredis
from support.apps import Gate, ended, is_empty, lengths, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Reject, TaskContext, chain, chord, group
from aioqueue.exceptions import DuplicateTask

A_DAY = 24 * 3600 * 1000


class Tasks:
    """Tasks to send."""

    def __init__(self, app: AioQueue) -> None:
        self.gate = Gate()
        self.ran: list[Any] = []
        self.how = "well"

        @app.task(name="add")
        async def add(x: int, y: int = 10) -> int:
            self.ran.append((x, y))
            return x + y

        @app.task(name="hold")
        async def hold(name: Any = "") -> Any:
            await self.gate.wait(name)
            return name

        @app.task(name="other")
        async def other(x: int, y: int = 10) -> int:
            return x

        @app.task(name="ends", bind=True, max_retries=0)
        async def ends(ctx: TaskContext, n: int) -> int:
            self.ran.append(n)
            if self.how == "badly":
                raise ValueError("no")
            if self.how == "rejected":
                raise Reject("no")
            return n

        self.add, self.hold, self.other, self.ends = add, hold, other, ends


@pytest.fixture
def tasks(app: AioQueue) -> Tasks:
    return Tasks(app)


async def _refused(send: Callable[[], Awaitable[Any]]) -> None:
    with pytest.raises(DuplicateTask, match="'one' is taken"):
        await send()


async def _later(app: AioQueue, milliseconds: int) -> None:
    broker: Any = await app.broker()
    await broker.postpone_leases(milliseconds)
    broker.shift_clock(milliseconds)


async def test_the_same_call_is_that_task_and_another_is_refused(app: AioQueue, tasks: Tasks) -> None:
    add = tasks.add.options(task_id="one")
    async with app:
        first = await add.send(1, 2)
        for again in (
            add.send(1, 2),
            add.send(1, y=2),
            add.send(y=2, x=1),
            tasks.add.options(task_id="one", priority=3, headers={"a": 1}, serializer="json").send(1, 2),
            app.send_task("add", (1, 2), task_id="one"),
        ):
            assert await again == first
        await _refused(lambda: add.send(1, 3))
        await _refused(lambda: add.send(2, 1))
        await _refused(lambda: tasks.other.options(task_id="one").send(1, 2))
        await _refused(lambda: app.send_task("unknown", (1, 2), task_id="one"))
        assert await lengths(app) == (1, 0, 0)
        async with app.worker():
            assert await first.get(timeout=PATIENCE) == 3
            assert await add.call(5, 6, timeout=PATIENCE) == 11, "after its end the id is free at once"
        assert tasks.ran == [(1, 2), (5, 6)]


@pytest.mark.parametrize("one", [({"b": 1, "a": [1]},), ({1: 2, "a": None},), ([{"z": {"y": 1, "x": 2}}],), (None,)])
async def test_the_order_of_keys_makes_no_difference(app: AioQueue, tasks: Tasks, one: tuple[Any]) -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(item) for key, item in reversed(list(value.items()))}
        return [turned(item) for item in value] if isinstance(value, list) else value

    async with app:
        await tasks.hold.options(task_id="one").send(*one)
        await tasks.hold.options(task_id="one").send(turned(one[0]))
        await _refused(lambda: tasks.hold.options(task_id="one").send([one[0]]))
        assert await lengths(app) == (1, 0, 0)


async def test_for_as_long_as_it_lives(app: AioQueue, tasks: Tasks) -> None:
    hold = tasks.hold.options(task_id="one")
    async with app:
        await hold.send(1)
        await _later(app, 3 * A_DAY)
        await hold.send(1)
        await _refused(lambda: hold.send(2))
        async with app.worker(concurrency=2):
            await until(lambda: tasks.gate.inside)
            await _later(app, 3 * A_DAY)
            again = await hold.send(1)
            await _refused(lambda: hold.send(2))
            tasks.gate.open()
            await again.get(timeout=PATIENCE)
        assert tasks.gate.came == [1]


async def test_while_it_waits_for_its_time(app: AioQueue, tasks: Tasks) -> None:
    async with app:
        await tasks.add.options(task_id="one", countdown=10 * 24 * 3600).send(1)
        await _later(app, 3 * A_DAY)
        await _refused(lambda: tasks.add.options(task_id="one", countdown=3600).send(2))
        await tasks.add.options(task_id="one", countdown=3600).send(1)
        assert await lengths(app) == (0, 0, 1), "the same call replaces it, with another time"
        await _later(app, 3_700_000)
        async with app.worker():
            assert await app.result("one").get(timeout=PATIENCE) == 11
            await tasks.add.options(task_id="one").call(2, timeout=PATIENCE)


async def test_while_its_retry_waits(app: AioQueue) -> None:
    ran: list[int] = []

    @app.task(bind=True)
    async def work(ctx: TaskContext, n: int) -> int:
        ran.append(n)
        if not ctx.retries:
            raise ctx.retry(countdown=3600)
        return n

    one = work.options(task_id="one")
    async with app:
        async with app.worker():
            result = await one.send(1)
            await until(lambda: _delayed(app))
        await _later(app, 1_800_000)
        assert await one.send(1) == result
        await _refused(lambda: one.send(2))
        assert await lengths(app) == (0, 0, 1)
        await _later(app, 1_900_000)
        async with app.worker():
            assert await result.get(timeout=PATIENCE) == 1
            assert await is_empty(app)
    assert ran == [1, 1]


async def _delayed(app: AioQueue) -> bool:
    return await lengths(app) == (0, 0, 1)


@pytest.mark.parametrize(
    "how", ["well", "badly", "rejected", "expired", "revoked", "revoked later", "purged", "unknown"]
)
@pytest.mark.parametrize("ignore_result", [False, True])
async def test_with_its_end_the_id_is_free(app: AioQueue, tasks: Tasks, how: str, ignore_result: bool) -> None:
    tasks.how = how
    options: dict[str, Any] = {"task_id": "one", "ignore_result": ignore_result}
    async with app:
        if how == "unknown":
            await app.send_task("who", (1,), **options)
        else:
            more: dict[str, Any] = {"expires": 0.001} if how == "expired" else {}
            more |= {"countdown": 60} if how == "revoked later" else {}
            await tasks.ends.options(**options, **more).send(1)
        if how == "expired":
            await _later(app, 1000)
        if how.startswith("revoked"):
            assert await app.result("one").revoke()
        if how == "purged":
            assert await (await app.broker()).purge("default") == 1
        if not how.startswith("revoked"):
            async with app.worker(burst=True) as worker:
                await worker._background  # type: ignore[misc]
        assert await is_empty(app) or how == "revoked"
        tasks.how = "well"
        second = await tasks.ends.options(task_id="one").send(2)
        async with app.worker():
            assert await second.get(timeout=PATIENCE) == 2
            await until(lambda: is_empty(app))
    assert tasks.ran[-1] == 2
    assert how in ("well", "badly", "rejected") or tasks.ran == [2]


async def test_revoked_while_it_runs(app: AioQueue, tasks: Tasks) -> None:
    async with working(app) as worker:
        result = await tasks.hold.options(task_id="one").send(1)
        await until(lambda: tasks.gate.inside)
        assert await result.revoke()
        second = await tasks.add.options(task_id="one").send(1)
        assert await second.get(timeout=PATIENCE) == 11
        tasks.gate.open()
        runner = worker.incarnation.runner  # type: ignore[union-attr]
        await until(lambda: not runner.unsettled)  # type: ignore[union-attr]
        assert await second.get(timeout=PATIENCE) == 11, "the end of the first counts for nothing"
        assert await is_empty(app)
        assert await tasks.add.options(task_id="one").call(2, timeout=PATIENCE) == 12


async def test_a_dead_letter_takes_its_id_again(app: AioQueue, tasks: Tasks) -> None:
    tasks.how = "rejected"
    one = tasks.ends.options(task_id="one")
    async with app:
        async with app.worker():
            await outcome(await one.send(1))
        await one.send(2)
        with pytest.raises(DuplicateTask):
            await app.dead_letters.requeue("one")
        assert [dead.id for dead in await app.dead_letters.list()] == ["one"]
        tasks.how = "well"
        async with app.worker():
            assert await app.result("one").get(timeout=PATIENCE) == 2
        assert await app.dead_letters.requeue("one")
        await _refused(lambda: one.send(3))
        assert await one.send(1) == app.result("one")
        assert await lengths(app) == (1, 0, 0)
        async with app.worker():
            assert await app.result("one").get(timeout=PATIENCE) == 1
            assert await one.call(4, timeout=PATIENCE) == 4


# Many at once


async def test_of_many_all_or_none_are_sent(app: AioQueue, tasks: Tasks) -> None:
    def one(x: int) -> Any:
        return tasks.add.s(x).set(task_id="one")

    async with app:
        await one(1).send()
        await _refused(lambda: app.send_many([tasks.add.s(7), one(2), tasks.add.s(8)]))
        await _refused(lambda: app.send_many([tasks.add.s(7), tasks.add.s(8).set(task_id="new"), one(2)]))
        assert await lengths(app) == (1, 0, 0)
        await app.send_many([one(1), tasks.add.s(5).set(task_id="new"), one(1)])
        assert await lengths(app) == (2, 0, 0)
        with pytest.raises(DuplicateTask):
            await app.send_many([tasks.add.s(1).set(task_id="two"), tasks.add.s(2).set(task_id="two")])
        assert await lengths(app) == (2, 0, 0)


async def test_what_is_there_already_needs_no_room(app: AioQueue, tasks: Tasks) -> None:
    app.conf.queue_max_length = 1
    async with app:
        await tasks.add.options(task_id="one").send(1)
        await tasks.add.options(task_id="one").send(1)
        await _refused(lambda: tasks.add.options(task_id="one").send(2))


# Canvases


async def test_nodes_of_a_canvas(app: AioQueue, tasks: Tasks) -> None:
    def canvas(x: int, y: int = 3) -> Any:
        return chain(tasks.hold.si(x), tasks.add.si(x, y).set(task_id="one"), tasks.hold.si(0))

    async with working(app):
        first = await canvas(1).send()
        await until(lambda: tasks.gate.inside)
        assert await canvas(1).send() == first, "the same canvas is that one"
        for other in (
            canvas(1, 4),
            canvas(2, 3),
            tasks.add.si(1, 3).set(task_id="one"),
            chain(canvas(1), canvas(5).tasks[0]),
        ):
            await _refused(other.send)
        await _refused(group(tasks.add.si(7), tasks.add.si(1, 3).set(task_id="one")).send)
        await _refused(lambda: app.send_many([tasks.add.s(7), tasks.add.si(1, 3).set(task_id="one")]))
        tasks.gate.open()
        assert await first.get(timeout=PATIENCE) == 0
        assert await app.result("one").get(timeout=PATIENCE) == 4
        assert tasks.ran == [(1, 3)]
        second = await canvas(2).send()
        await second.get(timeout=PATIENCE)
        assert await app.result("one").get(timeout=PATIENCE) == 5, "and not what became of the first"


async def test_a_canvas_against_a_task(app: AioQueue, tasks: Tasks) -> None:
    async with app:
        await tasks.add.options(task_id="one").send(1)
        for canvas in (
            chain(tasks.add.si(1), tasks.add.si(2)).set(task_id="one"),
            group(tasks.add.si(1), tasks.add.si(2)).set(task_id="one"),
            chord([tasks.add.si(1)], tasks.hold.s().set(task_id="one")),
            group(tasks.add.si(n) for n in range(1200)) | tasks.hold.s().set(task_id="one"),
        ):
            await _refused(canvas.send)
        assert await lengths(app) == (1, 0, 0)


async def test_a_node_that_has_ended_leaves_its_id(app: AioQueue, tasks: Tasks) -> None:
    async with working(app):
        result = await chain(tasks.add.si(1).set(task_id="one"), tasks.hold.si(1)).send()
        await until(lambda: tasks.gate.inside)
        assert await tasks.add.options(task_id="one").call(5, timeout=PATIENCE) == 15
        tasks.gate.open()
        await result.get(timeout=PATIENCE)
        assert await app.result("one").get(timeout=PATIENCE) == 15


async def test_a_task_that_goes_on_as_a_canvas(app: AioQueue, tasks: Tasks) -> None:
    @app.task(bind=True)
    async def work(ctx: TaskContext, n: int) -> int:
        raise ctx.replace(chain(tasks.hold.si(n), tasks.add.si(n)))

    one = work.options(task_id="one")
    async with working(app):
        result = await one.send(1)
        await until(lambda: tasks.gate.inside)
        assert await one.send(1) == result
        await _refused(lambda: one.send(2))
        tasks.gate.open()
        assert await result.get(timeout=PATIENCE) == 11
        assert await one.call(2, timeout=PATIENCE) == 12
    assert tasks.gate.came == [1, 2]


# What is left


async def test_nothing_is_left_of_an_id(redis_app: AioQueue, redis_url: str) -> None:
    tasks = Tasks(redis_app)
    async with working(redis_app), aioredis.from_url(redis_url) as client:
        for how in ("well", "badly", "rejected"):
            tasks.how = how
            await ended(await tasks.ends.options(task_id=how).send(1))
        await chain(tasks.add.si(1), tasks.add.si(2).set(task_id="node")).call(timeout=PATIENCE)
        assert await client.keys("*sent:*") == []
        assert await client.hlen("{tests:0}:wf:names") == 0


async def test_a_message_that_vanished_holds_no_id(redis_app: AioQueue, redis_url: str) -> None:
    tasks = Tasks(redis_app)
    async with redis_app, aioredis.from_url(redis_url) as client:
        await tasks.add.options(task_id="one").send(1)
        await client.delete("{tests:0}:q:default:0")
        second = await tasks.add.options(task_id="one").send(2)
        async with redis_app.worker():
            assert await second.get(timeout=PATIENCE) == 12
        await tasks.add.options(task_id="one").send(3)
        [marker] = await client.keys("*sent:*")
        assert await client.pttl(marker) > A_DAY, "and not for ever either"


async def test_markers_of_an_earlier_version(redis_app: AioQueue, redis_url: str) -> None:
    """Its senders say only that an id is their own, for a minute."""
    tasks = Tasks(redis_app)
    async with redis_app, aioredis.from_url(redis_url) as client:
        await client.set("{tests:0}:sent:one", "", px=60_000)
        await tasks.add.options(task_id="one").send(2)
        assert await lengths(redis_app) == (0, 0, 0)
        await client.delete("{tests:0}:sent:one")
        await tasks.add.options(task_id="one").send(2)
        assert await lengths(redis_app) == (1, 0, 0)


@pytest.fixture
def redis_app(redis_url: str) -> AioQueue:
    return AioQueue("tests", broker=redis_url)
