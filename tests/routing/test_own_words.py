"""What a queue says for itself, as its workers keep to it: how many at once, how silent, how many deliveries."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.apps import Gate, MakeApp, lengths, outcome, working
from support.waiting import A_MOMENT, PATIENCE, until

from aioqueue import AioQueue, Queue
from aioqueue.brokers.protocol import Consumer, WorkerStatus
from aioqueue.exceptions import TimeLimitExceeded, WorkerLost


@asynccontextmanager
async def dying(app: AioQueue, queue: str, visibility_timeout: float) -> AsyncIterator[Consumer]:
    """A worker that takes what there is, and is never heard of again."""
    broker = await app.broker()
    status = WorkerStatus(id=f"dead-{queue}", name="d", host="h", pid=1, queues=[queue], concurrency=1, started=0)
    dead = broker.consumer(status, visibility_timeout=visibility_timeout, dead_letters_max_length=10)
    await dead.join()
    yield dead
    await dead.close()


# concurrency


def gated(app: AioQueue) -> tuple[Any, Any, Gate]:
    gate = Gate()

    @app.task(queue="narrow")
    async def wait(number: int) -> int:
        await gate.wait(number)
        return number

    @app.task
    async def quick() -> str:
        return "quick"

    return wait, quick, gate


@pytest.mark.parametrize("queues", [None, ["narrow", "default"], {"narrow": 9, "default": 1}])
async def test_no_more_at_once_than_its_concurrency(make_app: MakeApp, queues: Any) -> None:
    """And what is in the worker's other queues is run meanwhile."""
    app = make_app(task_queues=[Queue("narrow", concurrency=2)])
    wait, quick, gate = gated(app)
    async with app:
        results = await app.send_many(wait.s(number) for number in range(10))
        async with working(app, queues=queues):
            await until(lambda: gate.inside == 2)
            for _ in range(3):
                assert await outcome(await quick.send()) == "quick"
            assert gate.came == [0, 1]
            assert await lengths(app, "narrow") == (8, 2, 0)
            gate.open()
            assert [await outcome(result) for result in results] == list(range(10))
    assert gate.most == 2


async def test_alone_in_its_queue_it_goes_on_as_places_get_free(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("narrow", concurrency=3)])
    wait, _, gate = gated(app)
    gate.open()
    async with working(app, queues=["narrow"]):
        for _ in range(2):  # from many, and again from none
            results = await app.send_many(wait.s(number) for number in range(50))
            assert [await outcome(result) for result in results] == list(range(50))
    assert gate.most <= 3


async def test_what_waits_for_a_place_is_there_for_other_workers(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("narrow", concurrency=1)])
    wait, _, gate = gated(app)
    async with app:
        results = await app.send_many(wait.s(number) for number in range(3))
        async with working(app, hostname="one"), working(app, hostname="two"):
            await until(lambda: gate.inside == 2)
            await asyncio.sleep(A_MOMENT)
            assert gate.inside == 2
            gate.open()
            assert [await outcome(result) for result in results] == [0, 1, 2]


async def test_a_burst_runs_all_of_it(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("narrow", concurrency=1)])
    wait, _, gate = gated(app)
    gate.open()
    async with app:
        results = await app.send_many(wait.s(number) for number in range(5))
        assert await app.worker(burst=True).run(install_signals=False) == 0
        assert [await outcome(result) for result in results] == list(range(5))
    assert gate.most == 1


async def test_a_queue_that_is_given_to_the_worker_says_it_too(app: AioQueue) -> None:
    wait, _, gate = gated(app)
    async with app:
        results = await app.send_many(wait.s(number) for number in range(3))
        async with working(app, queues=[Queue("narrow", concurrency=1)]):
            await until(lambda: gate.inside == 1)
            gate.open()
            assert [await outcome(result) for result in results] == [0, 1, 2]
    assert gate.most == 1


async def test_what_was_given_up_counts_until_it_has_ended(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("narrow", concurrency=1)])
    leave, inside, most = threading.Event(), 0, 0

    @app.task(queue="narrow", time_limit=0.2, max_retries=0)
    def deaf() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        while not leave.is_set():
            try:
                leave.wait(0.01)
            except BaseException:  # nothing gets it out
                pass
        inside -= 1

    async with working(app, queues=["narrow", "default"]) as worker:
        try:
            results = [await deaf.send() for _ in range(2)]
            with pytest.raises(TimeLimitExceeded):
                await results[0].get(timeout=PATIENCE)
            assert worker.incarnation.runner.stuck
            await asyncio.sleep(A_MOMENT)
            assert await lengths(app, "narrow") == (1, 0, 0)
        finally:
            leave.set()
        assert await outcome(results[1]) is None
    assert most == 1


async def test_a_burst_does_not_wait_for_what_was_given_up(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(task_queues=[Queue("narrow", concurrency=1)])
    leave = threading.Event()

    @app.task(queue="narrow", time_limit=0.2, max_retries=0)
    def deaf() -> None:
        while not leave.is_set():
            try:
                leave.wait(0.01)
            except BaseException:
                pass

    async with app:
        for _ in range(2):
            await deaf.send()
        try:
            await app.worker(burst=True, shutdown_timeout=0.1).run(install_signals=False)
        finally:
            leave.set()
        assert await lengths(app, "narrow") == (1, 0, 0)
    assert "what else is in their queues stays there" in caplog.text


# visibility_timeout


async def test_its_own_visibility_timeout(make_app: MakeApp) -> None:
    """What a silent worker has of it is soon another one's, though the app's own timeout is long."""
    app = make_app(visibility_timeout=3600.0, task_queues=[Queue("fast", visibility_timeout=1)])

    @app.task(queue="fast")
    async def one() -> int:
        return 1

    async with app:
        result = await one.send()
        async with dying(app, "fast", 1) as dead:
            assert len(await dead.fetch(1, wait=0)) == 1
            async with app.worker() as worker:
                assert worker.consuming.visibility_timeout == 1
                assert await outcome(result) == 1


async def test_workers_of_other_queues_see_to_it_as_soon(make_app: MakeApp) -> None:
    """They were there before, with leases of an hour: nothing tells them that one with a short lease has come."""
    app = make_app(visibility_timeout=3600.0, task_queues=[Queue("fast", visibility_timeout=1)])

    @app.task(queue="fast")
    async def one() -> int:
        return 1

    async with working(app, queues=["default"]) as worker:
        assert worker.consuming.visibility_timeout == 3600
        await one.send()
        async with dying(app, "fast", 1) as dead:
            assert len(await dead.fetch(1, wait=0)) == 1
            assert await lengths(app, "fast") == (0, 1, 0)

            async def is_back() -> bool:
                return await lengths(app, "fast") == (1, 0, 0)

            await until(is_back)


def test_a_worker_is_as_silent_as_the_shortest_of_its_queues_allows(make_app: MakeApp) -> None:
    app = make_app(
        visibility_timeout=30.0,
        task_queues=[Queue("fast", visibility_timeout=2), Queue("slow", visibility_timeout=300), Queue("plain")],
    )
    for queues, seconds in [
        (["fast"], 2),
        (["slow"], 300),
        (["plain"], 30),
        (["slow", "plain"], 30),
        (["slow", "fast"], 2),
        ([Queue("slow", visibility_timeout=5)], 5),
        (None, 2),
    ]:
        assert app.worker(queues=queues).consuming.visibility_timeout == seconds


# max_deliveries


async def test_its_own_max_deliveries(make_app: MakeApp) -> None:
    app = make_app(
        visibility_timeout=1.0, max_deliveries=1, task_queues=[Queue("twice", max_deliveries=2), Queue("once")]
    )

    @app.task
    async def one() -> int:
        return 1

    async with app:
        results = {queue: await one.options(queue=queue).send() for queue in ("once", "twice")}
        async with dying(app, "once", 1.0) as first, dying(app, "twice", 1.0) as second:
            for dead in (first, second):
                assert len(await dead.fetch(1, wait=0)) == 1
            async with app.worker():
                ended = {queue: await outcome(result) for queue, result in results.items()}
    assert ended["twice"] == 1
    assert isinstance(ended["once"], WorkerLost)
    assert "max_deliveries=1" in str(ended["once"])


async def test_fewer_max_deliveries_than_the_app(make_app: MakeApp) -> None:
    app = make_app(visibility_timeout=1.0, task_queues=[Queue("once", max_deliveries=1)])

    @app.task(queue="once")
    async def one() -> int:
        return 1

    async with app:
        result = await one.send()
        async with dying(app, "once", 1.0) as dead:
            assert len(await dead.fetch(1, wait=0)) == 1
            async with app.worker():
                error = await outcome(result)
        (letter,) = await app.dead_letters.list()
    assert isinstance(error, WorkerLost)
    assert "delivered 1 times" in str(error) and "max_deliveries=1" in str(error)
    assert (letter.queue, letter.reason) == ("once", str(error))
