"""Queues are paused, and workers take nothing of them until they are resumed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.apps import Gate, MakeApp, lengths, working
from support.waiting import A_MOMENT, until

from aioqueue import AioQueue, Queue
from aioqueue.exceptions import ConfigurationError


async def _paused(app: AioQueue) -> list[str]:
    return [queue.name for queue in await app.queues.list() if queue.paused]


@pytest.mark.parametrize("queues", [None, ["email", "default"], {"email": 2, "default": 1}])
async def test_nothing_of_it_starts_and_all_else_does(app: AioQueue, queues: Any) -> None:
    ran: list[str] = []

    @app.task
    async def work(name: str) -> None:
        ran.append(name)

    @app.task(queue="email")
    async def mail(name: str) -> None:
        ran.append(name)

    async with working(app, hostname="w", queues=queues):
        assert await app.queues.pause("email") == ()
        assert await _paused(app) == ["email"]
        mails = await app.send_many([mail.s("mail"), mail.s("later").set(countdown=0.01)])
        await (await work.send("work")).get()
        await until(lambda: _waiting(app, "email", 2))
        await (await work.send("work")).get()
        assert ran == ["work", "work"]
        assert await app.queues.resume("email") == ()
        for result in mails:
            await result.get()
        assert await _paused(app) == [] and sorted(ran[2:]) == ["later", "mail"]


async def _waiting(app: AioQueue, queue: str, count: int) -> bool:
    return (await lengths(app, queue))[0] == count


async def test_what_runs_goes_on_and_what_was_fetched_goes_back(make_app: MakeApp) -> None:
    app = make_app(worker_prefetch=5)
    gate = Gate()

    @app.task
    async def work() -> str:
        await gate.wait()
        return "done"

    async with working(app, concurrency=1):
        sent = await app.send_many([work.s() for _ in range(4)])
        await until(lambda: gate.inside and _waiting(app, "default", 0))
        await app.queues.pause("default")
        assert await lengths(app) == (3, 1, 0)
        gate.open()
        await until(lambda: _is_at(app, (3, 0, 0)))
        await app.queues.resume("default")
        assert [await result.get() for result in sent] == ["done"] * 4
        assert len(gate.came) == 4, "each ran once"


async def _is_at(app: AioQueue, numbers: tuple[int, int, int]) -> bool:
    return await lengths(app) == numbers


async def test_a_worker_that_starts_later_knows(app: AioQueue) -> None:
    ran = asyncio.Event()

    @app.task
    async def work() -> None:
        ran.set()

    async with app:
        await app.queues.pause("default")
        result = await work.send()
        async with app.worker(hostname="w"):
            await app.inspect.ping()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(A_MOMENT):
                    await ran.wait()
            await app.queues.resume("default")
            await result.get()


async def test_a_burst_ends_and_leaves_it(app: AioQueue) -> None:
    @app.task
    async def work() -> None: ...

    async with app:
        await app.queues.pause("default")
        await work.send()
        assert await app.worker(burst=True).run(install_signals=False) == 0
        assert await lengths(app) == (1, 0, 0)


async def test_only_one_at_once_of_a_queue_beside_a_paused_one(make_app: MakeApp) -> None:
    app = make_app(task_queues=[Queue("email"), Queue("one", concurrency=1)])
    gate = Gate()

    @app.task(queue="one")
    async def work() -> None:
        await gate.wait()

    async with working(app, queues=["email", "one"]):
        await app.queues.pause("email")
        sent = await app.send_many([work.s() for _ in range(3)])
        await until(lambda: gate.inside)
        gate.open()
        for result in sent:
            await result.get()
        assert gate.most == 1


async def test_two_at_once_and_again(app: AioQueue) -> None:
    async with working(app, queues=["a", "b"]):
        await asyncio.gather(app.queues.pause("a"), app.queues.pause("b"), app.queues.pause("a"))
        assert await _paused(app) == ["a", "b"]
        await asyncio.gather(app.queues.resume("a"), app.queues.resume("unknown"), app.queues.pause("new"))
        assert await _paused(app) == ["b", "new"]


async def test_without_a_loop(app: AioQueue) -> None:
    async with working(app):
        assert await asyncio.to_thread(app.sync.queues.pause, "default") == ()
        assert await _paused(app) == ["default"]
        assert await asyncio.to_thread(app.sync.queues.resume, "default") == ()


async def test_wrong_use(app: AioQueue) -> None:
    async with app:
        with pytest.raises(ConfigurationError, match="The name of a queue"):
            await app.queues.pause("")
        with pytest.raises(ConfigurationError, match="A timeout is"):
            await app.queues.pause("email", timeout=0)
        assert await _paused(app) == []
