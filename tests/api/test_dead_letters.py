"""Tasks that cannot be run: kept with their reason, sent again, removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from support.apps import MakeApp, ended, is_empty, lengths, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, Reject, TaskContext
from aioqueue.brokers.protocol import Outgoing
from aioqueue.exceptions import AioQueueError, NotRegistered, TaskFailed, WorkerLost
from aioqueue.message import Message, encode_message

from .steps import Fault


@pytest.fixture
def refuse(app: AioQueue) -> Any:
    @app.task(name="refuse")
    async def refuse(x: int, *, y: str = "") -> None:
        raise Reject(f"{x} is no use")

    return refuse


async def test_a_rejected_task(app: AioQueue, refuse: Any) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=2)
    async with working(app, hostname="w1", queues=["default", "q"]):
        result = await refuse.options(queue="q").send(7, y="b")
        info = await ended(result)
        assert (info.state, info.dead, info.reason) == ("FAILURE", True, "7 is no use")
        assert isinstance(info.exception, TaskFailed), "a Reject would steer the task that waits for this one"
        assert info.exception.exception_type == "aioqueue.exceptions.Reject"
        (dead,) = await app.dead_letters.list()
        assert (dead.id, dead.name, dead.args, dead.kwargs) == (result.id, "refuse", (7,), {"y": "b"})
        assert (dead.queue, dead.reason, dead.deliveries, dead.worker) == ("q", "7 is no use", 1, "w1")
        assert isinstance(dead.exception, TaskFailed)
        assert dead.traceback is not None and "raise Reject" in dead.traceback
        assert dead.died_at is not None and before <= dead.died_at <= datetime.now(UTC) + timedelta(milliseconds=2)
        assert isinstance(dead.raw, bytes) and b"refuse" in dead.raw
        assert await is_empty(app, "q")


async def test_an_ignored_result_is_still_a_dead_letter(app: AioQueue, refuse: Any) -> None:
    async with working(app):
        await refuse.options(ignore_result=True).send(1)
        (dead,) = await until(app.dead_letters.list)
        assert dead.reason == "1 is no use"


async def test_an_unknown_task(app: AioQueue) -> None:
    @app.task(name="mail.send")
    async def mail() -> None: ...

    async with working(app):
        result = await app.send_task("mail.sent", (1,))
        error = await outcome(result)
        assert isinstance(error, NotRegistered)
        for part in ("'mail.sent'", "Did you mean 'mail.send'?", "dead letters", f" dead requeue {result.id}`"):
            assert part in str(error)
        (dead,) = await app.dead_letters.list()
        assert (dead.name, dead.args) == ("mail.sent", (1,))


async def test_a_poison_task_stops_after_max_deliveries(make_app: MakeApp) -> None:
    from aioqueue.brokers.protocol import WorkerStatus

    app = make_app(max_deliveries=1, visibility_timeout=1.0)
    ran: list[int] = []

    @app.task(name="poison")
    async def poison() -> None:
        ran.append(1)

    async with app:
        broker = await app.broker()
        status = WorkerStatus(id="dead", name="d", host="h", pid=1, queues=["default"], concurrency=1, started=0)
        dead = broker.consumer(status, visibility_timeout=1.0, dead_letters_max_length=10)
        await dead.join()
        result = await poison.send()
        assert len(await dead.fetch(1, wait=0)) == 1  # and it is never heard of again
        async with app.worker():
            error = await outcome(result)
        await dead.close()
        assert isinstance(error, WorkerLost)
        assert "delivered 1 times" in str(error) and "max_deliveries=1" in str(error)
        (letter,) = await app.dead_letters.list()
        assert (letter.id, letter.deliveries, letter.reason) == (result.id, 2, str(error))
    assert ran == []


async def test_get(app: AioQueue, refuse: Any) -> None:
    async with working(app):
        result = await refuse.send(1)
        await outcome(result)
        dead = await app.dead_letters.get(result.id)
        assert dead is not None and dead.id == result.id
        assert await app.dead_letters.get("nobody") is None


async def test_the_list_is_newest_first_and_limited(app: AioQueue, refuse: Any) -> None:
    async with working(app, queues=["a", "b"]):
        ids: list[str] = []
        for number in range(6):
            result = await refuse.options(queue="ab"[number % 2]).send(number)
            await outcome(result)
            ids.append(result.id)
        letters = app.dead_letters
        assert [dead.id for dead in await letters.list()] == ids[::-1]
        assert [dead.id for dead in await letters.list(limit=2)] == ids[:-3:-1]
        assert [dead.id for dead in await letters.list("a")] == ids[0::2][::-1]
        assert [dead.id for dead in await letters.list(queue="b", limit=1)] == [ids[5]]
        assert await letters.list("c") == []


async def test_requeue_is_a_new_start(app: AioQueue) -> None:
    seen: list[Any] = []

    @app.task(bind=True, name="work", autoretry_for=(Fault,), max_retries=1, default_retry_delay=0)
    async def work(ctx: TaskContext, x: int) -> int:
        seen.append((ctx.retries, ctx.deliveries, ctx.queue, ctx.priority, ctx.headers))
        if len(seen) <= 2:
            raise Fault
        return x

    async with working(app, queues=["q"]):
        result = await work.options(queue="q", priority=3, headers={"h": 1}, expires=60).send(5)
        await outcome(result)
        assert await app.dead_letters.requeue(result.id) is True
        assert await result.get(timeout=PATIENCE) == 5
        assert seen == [(0, 1, "q", 3, {"h": 1}), (1, 1, "q", 3, {"h": 1}), (0, 1, "q", 3, {"h": 1})]
        assert await app.dead_letters.list() == []
        info = await result.info()
        assert (info.state, info.dead, info.exception) == ("SUCCESS", False, None)
        assert await app.dead_letters.requeue(result.id) is False


@pytest.mark.parametrize("odd", [{"priority": 42}, {"priority": -1}, {"queue": ""}, {"queue": "another"}], ids=str)
async def test_requeue_goes_to_where_it_was_met(app: AioQueue, odd: dict[str, Any]) -> None:
    """Whatever somebody else has written into the message: there must be a worker that looks there."""
    ran: list[int] = []

    @app.task(name="task")
    async def task() -> int:
        ran.append(1)
        if len(ran) == 1:
            raise Reject("not now")
        return len(ran)

    async with working(app):
        data = encode_message(Message(task="task", body=msgspec.msgpack.encode([[], {}]), **odd))
        await (await app.broker()).send([Outgoing("odd", "default", 0, data)], timeout=PATIENCE)
        await outcome(app.result("odd"))
        assert await app.dead_letters.requeue("odd")
        assert await app.result("odd").get(timeout=PATIENCE) == 2
        assert await is_empty(app)


async def test_requeue_after_the_code_was_deployed(app: AioQueue) -> None:
    async with working(app):
        result = await app.send_task("late", (4,))
        assert isinstance(await outcome(result), NotRegistered)

        @app.task(name="late")
        async def late(x: int) -> int:
            return x

        assert await app.dead_letters.requeue(result.id)
        assert await result.get(timeout=PATIENCE) == 4


async def test_requeue_waits_for_a_worker(app: AioQueue, refuse: Any) -> None:
    async with app:
        async with app.worker():
            result = await refuse.send(1)
            await outcome(result)
        await app.dead_letters.requeue(result.id)
        assert await lengths(app) == (1, 0, 0)
        assert await app.result(result.id).state() == "PENDING", "its end is taken back"


async def test_what_cannot_be_read_cannot_be_sent_again(app: AioQueue) -> None:
    async with working(app):
        broker = await app.broker()
        await broker.send([Outgoing("bad", "default", 0, b"\xff")], timeout=5)
        await until(app.dead_letters.list)
        with pytest.raises(AioQueueError, match=r"dead letter bad cannot be sent again: .*It stays"):
            await app.dead_letters.requeue("bad")
        (dead,) = await app.dead_letters.list()
        assert (dead.args, dead.kwargs, dead.name, dead.raw) == ((), {}, "", b"\xff")


async def test_remove_and_purge(app: AioQueue, refuse: Any) -> None:
    async with working(app, queues=["a", "b"]):
        results = [await refuse.options(queue=queue).send(1) for queue in "aabb"]
        for result in results:
            await outcome(result)
        letters = app.dead_letters
        assert await letters.remove(results[0].id) is True
        assert await letters.remove(results[0].id) is False
        assert await letters.purge("b") == 2
        assert [dead.id for dead in await letters.list()] == [results[1].id]
        assert await letters.purge() == 1
        assert await letters.purge() == 0
        assert await letters.list() == []


async def test_the_oldest_are_dropped(make_app: MakeApp) -> None:
    app = make_app(dead_letters_max_length=3)

    @app.task
    async def refuse(x: int) -> None:
        raise Reject(x)

    async with working(app, concurrency=1):
        for number in range(6):
            await outcome(await refuse.send(number))
        assert [dead.reason for dead in await app.dead_letters.list()] == ["5", "4", "3"]
