"""The worker inside a program: what it takes, in which order, how much at once, and when it stops."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from support.apps import Gate, MakeApp, is_empty, lengths, outcome, working
from support.waiting import A_MOMENT, PATIENCE, until

from aioqueue import AioQueue, TaskContext, Worker, current_context
from aioqueue.brokers.protocol import Delivery, WorkerStatus
from aioqueue.exceptions import ConfigurationError, PayloadError, TimeLimitExceeded, WorkerLost
from aioqueue.worker.admission import admit
from aioqueue.worker.resources import resident_memory


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def hold(app: AioQueue, gate: Gate) -> Any:
    @app.task(name="hold")
    async def hold(x: Any = None) -> Any:
        await gate.wait(x)
        return x

    return hold


# Embedded


async def test_it_works_as_long_as_it_is_entered(app: AioQueue) -> None:
    @app.task
    async def one() -> int:
        return 1

    async with app:
        async with app.worker() as worker:
            assert isinstance(worker, Worker)
            assert await one.call(timeout=PATIENCE) == 1
            assert [status.id for status in await (await app.broker()).workers()] == [worker.id]
        assert await (await app.broker()).workers() == [], "it gave its lease back"
        result = await one.send()
        await asyncio.sleep(A_MOMENT)
        assert not await result.ready()


async def test_nothing_is_left_behind(app: AioQueue) -> None:
    @app.task
    def one() -> int:
        return 1

    await asyncio.to_thread(int)  # the loop's own executor stays
    threads, tasks = set(threading.enumerate()), len(asyncio.all_tasks())
    async with working(app):
        await one.call(timeout=PATIENCE)
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    await until(lambda: set(threading.enumerate()) <= threads)


async def test_an_error_in_the_program_stops_it(app: AioQueue) -> None:
    with pytest.raises(KeyError):
        async with working(app) as worker:
            raise KeyError
    assert worker.incarnation is not None and worker._background is not None and worker._background.done()


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_a_worker_that_is_cancelled_leaves_in_order(app: AioQueue, gate: Gate, kind: str) -> None:
    """Nothing runs on unheard, and everything is back in its queue at once."""
    if kind == "coroutine":

        @app.task
        async def hold() -> None:
            await gate.wait()
    else:

        @app.task
        def hold() -> None:
            gate.block()

    async with app:
        await app.send_many(hold.s() for _ in range(5))
        working = asyncio.ensure_future(app.worker(concurrency=2).run(install_signals=False))
        await until(lambda: len(gate.came) == 2)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(PATIENCE):
                await working
        assert gate.inside == 0
        assert await lengths(app) == (5, 0, 0)
        assert await (await app.broker()).workers() == []


async def test_a_worker_that_is_cancelled_settles_what_has_ended(app: AioQueue) -> None:
    """What has ended does not run again (D3)."""
    ran: list[int] = []

    @app.task
    async def quick(x: int) -> None:
        ran.append(x)

    async with app:
        await app.send_many(quick.s(x) for x in range(50))
        working = asyncio.ensure_future(app.worker().run(install_signals=False))
        await until(lambda: ran)
        working.cancel()
        await asyncio.wait({working})
        await app.worker(burst=True).run(install_signals=False)
    assert sorted(ran) == list(range(50))


async def test_a_worker_that_is_cancelled_ends_what_was_acknowledged(app: AioQueue, gate: Gate) -> None:
    """Nobody else runs it, so whoever waits for it has to hear of its end (D8)."""

    @app.task(acks_late=False)
    async def hold() -> None:
        await gate.wait()

    async with app:
        result = await hold.send()
        working = asyncio.ensure_future(app.worker().run(install_signals=False))
        await until(lambda: gate.came)
        working.cancel()
        await asyncio.wait({working})
        assert await is_empty(app)
        assert await result.ready()
        assert isinstance(await outcome(result), WorkerLost)


async def test_it_stops_when_the_threads_of_the_program_are_all_busy(app: AioQueue) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    done = threading.Event()
    busy = asyncio.create_task(asyncio.to_thread(done.wait, 3 * PATIENCE))
    try:
        async with asyncio.timeout(PATIENCE):
            async with working(app):
                pass
        assert not busy.done()
    finally:
        done.set()
        await busy


async def test_a_thread_that_comes_back_after_the_worker_has_left_ends(app: AioQueue) -> None:
    stuck = threading.Lock()
    came = threading.Event()

    @app.task(name="work")
    def work() -> None:
        came.set()
        with stuck:  # no bytecode runs while it waits
            pass

    before = set(threading.enumerate())
    stuck.acquire()
    async with app, app.worker(shutdown_timeout=0.02):
        await work.send()
        await until(came.is_set)
    assert [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("aioqueue-task")]
    stuck.release()
    await until(lambda: set(threading.enumerate()) <= before)


async def test_why_it_could_not_start_is_told(make_app: MakeApp) -> None:
    @asynccontextmanager
    async def broken(app: AioQueue) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    app = make_app(lifespan=broken)
    async with app:
        with pytest.raises(RuntimeError, match="no database"):
            async with asyncio.timeout(PATIENCE), app.worker():
                pytest.fail("it has not started")


async def test_two_workers_in_one_program(app: AioQueue) -> None:
    seen: set[str] = set()

    @app.task(bind=True)
    async def who(ctx: TaskContext) -> None:
        seen.add(ctx.hostname)
        await asyncio.sleep(0.02)

    async with app, app.worker(hostname="a", concurrency=2), app.worker(hostname="b", concurrency=2):
        for result in await app.send_many(who.s() for _ in range(12)):
            await result.get(timeout=PATIENCE)
    assert seen == {"a", "b"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 0}, "concurrency is a whole number from 1 on, or None, not 0"),
        ({"queues": ""}, r"queues are a list of names, such as \['default'\].* not ''"),
        ({"queues": []}, r"not \[\]"),
        ({"queues": ["a b"]}, "worker's queues is a name of 1 to 255 .* not 'a b'"),
        ({"hostname": "a b"}, "hostname is a name of 1 to 255 .* not 'a b'"),
        *[({"concurrency": wrong}, "concurrency is a whole number") for wrong in (True, "5", 1.0, float("nan"), 2**70)],
        *[({"hostname": wrong}, "hostname is a name") for wrong in ("", 5, b"w", "%h " * 2, "%h" * 200)],
        *[({"queues": wrong}, "queues") for wrong in (5, True, b"x", [5], [""], ["a", None])],
        *[({"on_ready": wrong}, "on_ready is a function") for wrong in (5, "x")],
        *[({"burst": wrong}, "burst is True, False or 'now'") for wrong in (1, "later", 0.0)],
        *[({"shutdown_timeout": wrong}, "shutdown_timeout is a number") for wrong in (-1, True, "5", timedelta.max)],
    ],
)
def test_wrong_options(app: AioQueue, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        app.worker(**options)


def test_names_of_workers(app: AioQueue) -> None:
    host, pid = socket.gethostname(), str(os.getpid())
    names = [app.worker().hostname, app.worker().hostname]
    assert names[0] != names[1], "two of one host"
    assert all(re.fullmatch(rf"worker-{pid}(-\d+)?@{re.escape(host)}", name) for name in names)
    assert app.worker(hostname="w1@%h").hostname == f"w1@{host}"
    assert app.worker(hostname="w1@%n-%p").hostname == f"w1@{host.partition('.')[0]}-{pid}"
    assert app.worker(hostname="plain").hostname == "plain"
    assert app.worker(hostname="a").id != app.worker(hostname="a").id, "the incarnation is new"


async def test_what_can_be_seen_of_it(app: AioQueue) -> None:
    async with working(app, hostname="w1", queues=["a", "b"], concurrency=7) as worker:
        (status,) = await (await app.broker()).workers()
        assert (status.id, status.name, status.queues, status.concurrency) == (worker.id, "w1", ["a", "b"], 7)
        assert (status.pid, status.host) == (os.getpid(), socket.gethostname())


# Lifespans


async def test_the_lifespan_is_entered_once(make_app: MakeApp) -> None:
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(app: AioQueue) -> AsyncIterator[dict[str, int]]:
        log.append("open")
        yield {"answer": 42}
        log.append("close")

    app = make_app(lifespan=lifespan)

    @app.task(bind=True)
    async def answer(ctx: TaskContext) -> int:
        return ctx.state["answer"]

    @app.task
    def answer_in_thread() -> int:
        return current_context().state["answer"]

    async with app:
        assert log == [], "senders don't need it"
        async with app.worker():
            for _ in range(3):
                assert await answer.call(timeout=PATIENCE) == 42
                assert await answer_in_thread.call(timeout=PATIENCE) == 42
            assert log == ["open"]
        assert log == ["open", "close"]


@pytest.mark.parametrize("worker", [False, True])
@pytest.mark.parametrize("framework", ["fastapi", "starlette"])
async def test_asgi_lifespan(make_app: MakeApp, framework: str, worker: bool) -> None:
    log: list[str] = []

    @asynccontextmanager
    async def app_lifespan(app: AioQueue) -> AsyncIterator[str]:
        log.append("app opens")
        yield "state"
        log.append("app closes")

    @asynccontextmanager
    async def own(program: Any) -> AsyncIterator[dict[str, int]]:
        log.append("own opens")
        yield {"answer": 42}
        log.append("own closes")

    app = make_app(lifespan=app_lifespan)

    @app.task(bind=True)
    async def add(ctx: TaskContext, x: int, y: int) -> list[Any]:
        return [x + y, ctx.state]

    lifespan = app.asgi_lifespan(worker=worker, lifespan=own, **({"concurrency": 3} if worker else {}))

    async def handle(request: Request) -> JSONResponse:
        result = await add.send(2, 3)
        value = await result.get(timeout=PATIENCE) if worker else None
        return JSONResponse({"id": result.id, "value": value, "answer": request.state.answer})

    program: Any
    if framework == "fastapi":
        program = FastAPI(lifespan=lifespan)

        @program.get("/")
        async def root(request: Request) -> Any:
            return await handle(request)
    else:
        program = Starlette(routes=[Route("/", handle)], lifespan=lifespan)

    async with (
        _served(program),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=_with_state(program, {"answer": 42})), base_url="http://test"
        ) as client,
    ):
        answer = (await client.get("/")).json()
        assert answer["answer"] == 42
        assert answer["value"] == ([5, "state"] if worker else None)
        broker = await app.broker()
    assert log == (["app opens", "own opens", "own closes", "app closes"] if worker else ["own opens", "own closes"])
    if app.conf.broker != "memory://":  # which stays the app's, open or not
        async with app:
            assert await app.broker() is not broker, "it was closed"


def _with_state(program: Any, state: dict[str, Any]) -> Any:
    async def call(scope: Any, receive: Any, send: Any) -> None:
        await program({**scope, "state": dict(state)}, receive, send)

    return call


@asynccontextmanager
async def _served(program: Any) -> AsyncIterator[dict[str, Any]]:
    """What a server does of the ASGI protocol's lifespan."""
    to_program: asyncio.Queue[Any] = asyncio.Queue()
    from_program: asyncio.Queue[Any] = asyncio.Queue()
    scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    serving = asyncio.ensure_future(program(scope, to_program.get, from_program.put))
    await to_program.put({"type": "lifespan.startup"})
    assert (await asyncio.wait_for(from_program.get(), PATIENCE))["type"] == "lifespan.startup.complete"
    yield scope["state"]
    await to_program.put({"type": "lifespan.shutdown"})
    assert (await asyncio.wait_for(from_program.get(), PATIENCE))["type"] == "lifespan.shutdown.complete"
    await serving


async def test_asgi_lifespan_alone(app: AioQueue) -> None:
    @app.task
    async def one() -> int:
        return 1

    async with _served(Starlette(lifespan=app.asgi_lifespan(worker=True))):
        assert await one.call(timeout=PATIENCE) == 1
    async with _served(Starlette(lifespan=app.asgi_lifespan())):
        await one.send()
        assert await lengths(app) == (1, 0, 0)


# How much at once


async def test_no_more_than_its_concurrency(app: AioQueue, hold: Any, gate: Gate) -> None:
    async with working(app, concurrency=3):
        results = await app.send_many(hold.s(x) for x in range(10))
        await until(lambda: gate.inside == 3)
        await asyncio.sleep(A_MOMENT)
        assert gate.inside == gate.most == 3
        gate.open()
        assert [await result.get(timeout=PATIENCE) for result in results] == list(range(10))
        assert gate.most <= 3


async def test_no_more_than_its_concurrency_under_load(app: AioQueue) -> None:
    inside = most = 0

    @app.task
    async def work() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1

    async with working(app, concurrency=7):
        for result in await app.send_many(work.s() for _ in range(500)):
            await result.get(timeout=PATIENCE)
    assert most == 7


@pytest.mark.parametrize("prefetch", [0, 1, 4])
async def test_it_holds_no_more_than_concurrency_and_prefetch(
    app: AioQueue, hold: Any, gate: Gate, prefetch: int
) -> None:
    app.conf.worker_prefetch = prefetch
    async with working(app, concurrency=2):
        await app.send_many(hold.s(x) for x in range(20))
        await until(lambda: _running(app, 2 + prefetch))
        await asyncio.sleep(A_MOMENT)
        assert await lengths(app) == (18 - prefetch, 2 + prefetch, 0)
        gate.open()
        await until(lambda: is_empty(app))
    assert len(gate.came) == 20


async def _running(app: AioQueue, count: int) -> bool:
    return (await lengths(app))[1] == count


async def test_a_tuned_prefetch_leaves_work_to_others(app: AioQueue, hold: Any, gate: Gate) -> None:
    # Nothing has ended yet, so that nothing says that more would be good.
    async with working(app, concurrency=2):
        await app.send_many(hold.s(x) for x in range(20))
        await until(lambda: gate.inside == 2)
        await asyncio.sleep(A_MOMENT)
        assert (await lengths(app))[1] == 2
        async with app.worker(concurrency=5):
            await until(lambda: gate.inside == 7)
            gate.open()


async def test_the_setting_is_the_default(make_app: MakeApp) -> None:
    assert make_app(worker_concurrency=7).worker().concurrency == 7
    assert make_app(worker_shutdown_timeout=3).worker().shutdown_timeout == 3
    assert make_app().worker(concurrency=8, shutdown_timeout=0).shutdown_timeout == 0


async def test_threads_grow_to_the_concurrency(app: AioQueue, gate: Gate) -> None:
    # Python's default executor has min(32, cpus + 4) threads.
    names: set[str] = set()

    @app.task
    def work() -> None:
        names.add(threading.current_thread().name)
        gate.block()

    async with working(app, concurrency=60):
        results = await app.send_many(work.s() for _ in range(80))
        await until(lambda: gate.inside == 60)
        await asyncio.sleep(A_MOMENT)
        assert gate.most == 60
        gate.open()
        for result in results:
            await result.get(timeout=PATIENCE)
    assert gate.most == 60
    assert len(names) == 60


async def test_coroutines_and_threads_share_the_concurrency(app: AioQueue, hold: Any, gate: Gate) -> None:
    @app.task
    def thread() -> None:
        gate.block()

    async with working(app, concurrency=4):
        await app.send_many(task.s() for _ in range(4) for task in (hold, thread))
        await until(lambda: gate.inside == 4)
        await asyncio.sleep(A_MOMENT)
        assert gate.most == 4
        gate.open()
        await until(lambda: is_empty(app))


# In which order


async def test_first_in_first_out(app: AioQueue) -> None:
    order: list[int] = []

    @app.task
    async def work(x: int) -> None:
        order.append(x)

    async with app:
        await app.send_many(work.s(x) for x in range(50))
        async with app.worker(concurrency=1):
            await until(lambda: len(order) == 50)
    assert order == list(range(50))


async def test_higher_priorities_first(app: AioQueue) -> None:
    order: list[tuple[int, int]] = []

    @app.task
    async def work(priority: int, x: int) -> None:
        order.append((priority, x))

    async with app:
        sent = [(priority, x) for x in range(3) for priority in (0, 9, 4, 1)]
        await app.send_many(work.s(*one).set(priority=one[0]) for one in sent)
        async with app.worker(concurrency=1):
            await until(lambda: len(order) == len(sent))
    assert order == [(priority, x) for priority in (9, 4, 1, 0) for x in range(3)]


async def test_a_late_high_priority_overtakes_what_the_worker_holds(app: AioQueue, gate: Gate) -> None:
    order: list[str] = []
    app.conf.worker_prefetch = 10

    @app.task
    async def work(name: str) -> None:
        await gate.wait()
        order.append(name)

    async with working(app, concurrency=1):
        await app.send_many(work.s(f"low {x}") for x in range(3))
        await until(lambda: _running(app, 3))
        await work.options(priority=9).send("high")
        await until(lambda: _running(app, 4))
        gate.open()
        await until(lambda: len(order) == 4)
    assert order == ["low 0", "high", "low 1", "low 2"]


async def test_a_late_high_priority_overtakes_what_waits(app: AioQueue, gate: Gate) -> None:
    order: list[str] = []
    app.conf.worker_prefetch = 0

    @app.task
    async def work(name: str) -> None:
        await gate.wait()
        order.append(name)

    async with working(app, concurrency=1):
        await app.send_many(work.s(f"low {x}") for x in range(5))
        await until(lambda: gate.came)
        await work.options(priority=9).send("high")
        gate.open()
        await until(lambda: len(order) == 6)
    assert order.index("high") == 1


# Which queues


async def test_only_its_queues(app: AioQueue) -> None:
    ran: list[str] = []

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        ran.append(ctx.queue)

    async with app:
        for queue in ("a", "b", "c", "default"):
            await work.options(queue=queue).send()
        async with app.worker(queues=["a", "c", "a"]) as worker:
            assert worker.queues == ["a", "c"]
            await until(lambda: len(ran) == 2)
            await asyncio.sleep(A_MOMENT)
    assert sorted(ran) == ["a", "c"]


async def test_by_default_those_that_its_tasks_name(app: AioQueue) -> None:
    @app.task(queue="email")
    async def mail() -> int:
        return 1

    @app.task
    async def plain() -> int:
        return 2

    async with working(app) as worker:
        assert worker.queues == ["default", "email"]
        assert (await mail.call(timeout=PATIENCE), await plain.call(timeout=PATIENCE)) == (1, 2)


async def test_queues_of_routes_are_consumed(make_app: MakeApp) -> None:
    app = make_app(task_routes={"mail.*": "email"})

    @app.task(name="mail.send")
    async def mail() -> int:
        return 1

    async with working(app):
        assert await mail.call(timeout=PATIENCE) == 1


async def test_an_unknown_task_does_not_hold_up_the_others(app: AioQueue) -> None:
    @app.task
    async def one() -> int:
        return 1

    async with working(app, concurrency=1):
        results = [await app.send_task("unknown"), await one.send()]
        assert await results[1].get(timeout=PATIENCE) == 1
        assert type(await outcome(results[0])).__name__ == "NotRegistered"


async def test_what_cannot_be_looked_at_does_not_hold_up_the_others(
    app: AioQueue, hold: Any, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(app: AioQueue, delivery: Delivery, *others: Any) -> Any:
        if delivery.id == "odd":
            raise RuntimeError("a mistake of ours")
        return admit(app, delivery, *others)

    monkeypatch.setattr("aioqueue.worker.intake.admit", look)
    gate.open()
    async with app:
        odd = await hold.options(task_id="odd").send(1)
        others = [await hold.send(x) for x in range(3)]
        async with app.worker():
            assert [await other.get(timeout=PATIENCE) for other in others] == [0, 1, 2]
            error = await outcome(odd)
            assert isinstance(error, PayloadError) and "RuntimeError" in str(error)
            assert await hold.call(4, timeout=PATIENCE) == 4
        (letter,) = await app.dead_letters.list()
        assert (letter.id, letter.name, letter.args) == ("odd", "hold", (1,))
        assert await is_empty(app)


# A message whose workers have died again and again


async def _deadly(app: AioQueue, id: str, deaths: int) -> None:
    """The message has been with so many workers, and each of them has died."""
    broker = await app.broker()
    timeout = app.conf.visibility_timeout
    for death in range(deaths + 1):
        status = WorkerStatus(
            id=f"dead{death}", name="d", host="h", pid=1, queues=["default"], concurrency=1, started=0
        )
        line = broker.consumer(status, visibility_timeout=timeout, dead_letters_max_length=10)
        await line.join()
        if death:
            broker.shift_clock(int(timeout * 1000) + 1)
            assert await asyncio.to_thread(line.renew)
            await line.take_over()
        if death < deaths:
            assert [delivery.id for delivery in await line.fetch(1, wait=0)] == [id]
        else:
            await line.leave()
        await line.close()


async def test_a_suspect_that_runs_for_long_does_not_hold_up_the_others(
    app: AioQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What kills its worker does so soon. Here the suspect even waits for one of the others."""
    monkeypatch.setattr("aioqueue.worker.fetcher._ALONE_WITHIN", 0.05)
    opened = asyncio.Event()
    seen: list[int] = []

    @app.task(bind=True)
    async def wait(ctx: TaskContext) -> str:
        seen.append(ctx.deliveries)
        await opened.wait()
        return "waited"

    @app.task
    async def free() -> None:
        opened.set()

    async with app:
        result = await wait.send()
        await _deadly(app, result.id, 2)
        await free.send()
        async with app.worker():
            assert await result.get(timeout=PATIENCE) == "waited"
    assert seen == [3]


async def test_a_suspect_that_is_given_up_does_not_hold_up_the_others(app: AioQueue) -> None:
    stop = asyncio.Event()

    @app.task(time_limit=0.02)
    async def stubborn() -> None:
        while not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                pass

    @app.task
    async def free() -> str:
        return "free"

    async with app:
        result = await stubborn.send()
        await _deadly(app, result.id, 2)
        async with app.worker() as worker:
            try:
                assert isinstance(await outcome(result), TimeLimitExceeded)
                assert await free.call(timeout=PATIENCE) == "free"
                assert len(worker.incarnation.runner.stuck) == 1
            finally:
                stop.set()
            await until(lambda: not worker.incarnation.runner.stuck)


# Rights that are taken away and given back


@pytest.mark.parametrize("rights", ["-evalsha -eval", "-@all", "-xack", "-xdel", "-set"])
async def test_rights_that_are_taken_away_and_given_back(
    redis_url: str, gate: Gate, caplog: pytest.LogCaptureFixture, rights: str
) -> None:
    """An end that is refused for want of rights is kept, and applied when somebody has mended them."""
    given = ["on", ">word", "allkeys", "allchannels", "+@all"]
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "worker", *given)
        try:
            app = AioQueue("tests", broker=redis_url.replace("redis://", "redis://worker:word@"))

            @app.task
            async def hold() -> str:
                await gate.wait()
                return "held"

            async with working(app):
                result = await hold.send()
                await until(lambda: gate.came)
                client.execute_command("ACL", "SETUSER", "worker", *rights.split())
                gate.open()
                await until(lambda: re.search("The end of 1 task waits for the broker|refuses the end", caplog.text))
                client.execute_command("ACL", "SETUSER", "worker", *given)
                assert "refuses the end" not in caplog.text
                assert await result.get(timeout=PATIENCE) == "held"
                assert await is_empty(app)
        finally:
            client.execute_command("ACL", "DELUSER", "worker")
    assert len(gate.came) == 1


# When it stops


async def test_burst_runs_until_nothing_is_left(app: AioQueue) -> None:
    ran: list[int] = []

    @app.task
    async def work(x: int) -> None:
        ran.append(x)
        if x < 3:
            await work.send(x + 1)

    async with app:
        await work.send(0)
        await app.send_many(work.s(10 + x) for x in range(20))
        later = await work.options(countdown=60).send(100)
        async with asyncio.timeout(PATIENCE):
            assert await app.worker(burst=True, concurrency=2).run(install_signals=False) == 0
        assert sorted(ran) == [0, 1, 2, 3, *range(10, 30)]
        assert await later.state() == "SENT"
        async with asyncio.timeout(PATIENCE):
            assert await app.worker(burst=True).run(install_signals=False) == 0, "nothing to do is fine"


async def test_burst_waits_for_what_runs(app: AioQueue) -> None:
    done: list[int] = []

    @app.task(bind=True)
    async def work(ctx: TaskContext) -> None:
        await asyncio.sleep(0.05)
        if ctx.retries == 0:
            raise ctx.retry(countdown=0)
        done.append(1)

    async with app:
        await work.send()
        async with asyncio.timeout(PATIENCE):
            await app.worker(burst=True).run(install_signals=False)
    assert done == [1]


async def test_it_stops_after_worker_max_tasks(make_app: MakeApp) -> None:
    app = make_app(worker_max_tasks=5, worker_prefetch=0)
    ran: list[int] = []

    @app.task
    async def work(x: int) -> None:
        ran.append(x)
        await asyncio.sleep(0.02)

    async with app:
        await app.send_many(work.s(x) for x in range(300))
        async with asyncio.timeout(PATIENCE):
            assert await app.worker(concurrency=1).run(install_signals=False) == 0
        assert 5 <= len(ran) < 300
        assert sum(await lengths(app)) == 300 - len(ran), "the others wait for the next worker"


async def test_it_stops_at_worker_max_memory(make_app: MakeApp) -> None:
    app = make_app(worker_max_memory=(limit := resident_memory() + 50_000_000))
    held: list[bytes] = []

    @app.task
    async def grow() -> None:
        while resident_memory() <= limit:
            held.append(b"x" * 10_000_000)

    async with app, asyncio.timeout(PATIENCE):
        result = await grow.send()
        assert await app.worker().run(install_signals=False) == 0
        assert await result.successful()


async def test_a_worker_max_memory_below_what_it_has_already(make_app: MakeApp) -> None:
    app = make_app(worker_max_memory=200_000)  # which would be Celery's kilobytes
    async with app, asyncio.timeout(PATIENCE):
        with pytest.raises(
            ConfigurationError, match=r"worker_max_memory is 200000 bytes.*before its first task.*200MB"
        ):
            await app.worker().run(install_signals=False)


async def test_stop_by_hand(app: AioQueue, hold: Any, gate: Gate) -> None:
    async with app:
        worker = app.worker()
        running = asyncio.ensure_future(worker.run(install_signals=False))
        await hold.send()
        await until(lambda: gate.came)
        worker.stop()
        await asyncio.sleep(A_MOMENT)
        assert not running.done(), "it waits for its task"
        gate.open()
        async with asyncio.timeout(PATIENCE):
            assert await running == 0


async def test_a_task_that_does_not_end_in_time(app: AioQueue, hold: Any, gate: Gate) -> None:
    async with app:
        worker = app.worker(shutdown_timeout=0.05)
        running = asyncio.ensure_future(worker.run(install_signals=False))
        await hold.send()
        await until(lambda: gate.came)
        worker.stop()
        async with asyncio.timeout(PATIENCE):
            assert await running == 1
        assert await lengths(app) == (1, 0, 0)


async def test_on_ready(app: AioQueue) -> None:
    ready: list[bool] = []
    async with app, app.worker(on_ready=lambda: ready.append(True)):
        assert ready == [True]


# Include


async def test_include_is_imported(make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "included_tasks.py").write_text(
        "from aioqueue import shared_task\n\n@shared_task(name='included.one')\nasync def one():\n    return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "included_tasks", raising=False)
    app = make_app(include=["included_tasks"])
    async with working(app):
        result = await app.send_task("included.one")
        assert await result.get(timeout=PATIENCE) == 1


async def test_an_include_that_is_not_there(make_app: MakeApp) -> None:
    app = make_app(include=["not.there"])
    async with app:
        with pytest.raises(ConfigurationError, match=r"include=\['not.there'\]: there is no module 'not.there'"):
            async with app.worker():
                pass


async def test_a_blocked_loop_loses_no_lease(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(visibility_timeout=1.0)
    runs: list[int] = []

    @app.task
    async def block() -> int:
        runs.append(1)
        time.sleep(2.5)  # noqa: ASYNC251
        return 1

    async with working(app):
        assert await block.call(timeout=PATIENCE) == 1
    assert runs == [1]
    assert "event loop has not turned" in caplog.text and "time.sleep(2.5)" in caplog.text


@pytest.mark.parametrize("factory", ["asyncio", "uvloop"])
def test_a_worker_runs_in_a_thread(app: AioQueue, factory: str) -> None:
    """No signals there; the main thread has a loop of its own. It is stopped from another thread."""
    make = pytest.importorskip("uvloop").new_event_loop if factory == "uvloop" else asyncio.new_event_loop
    begun = threading.Event()
    codes: list[int] = []

    @app.task
    async def add(x: int, y: int) -> int:
        return x + y

    worker = app.worker(on_ready=begun.set)

    def work() -> None:
        with asyncio.Runner(loop_factory=make) as runner:
            codes.append(runner.run(worker.run()))

    async def main() -> None:
        async with app:
            thread = threading.Thread(target=work)
            thread.start()
            try:
                assert await asyncio.to_thread(begun.wait, PATIENCE)
                if app.conf.broker is None or not app.conf.broker.startswith("memory"):
                    assert await (await add.send(1, 2)).get(timeout=PATIENCE) == 3
            finally:
                worker.stop()
                await asyncio.to_thread(thread.join, PATIENCE)
            assert not thread.is_alive()

    asyncio.run(main())
    assert codes == [0]


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_loop_that_ends_under_it(redis_url: str, caplog: pytest.LogCaptureFixture, in_thread: bool) -> None:
    """`asyncio.run` cancels the worker and its tasks at once: these have not failed, and are run again."""
    app = AioQueue("ends", broker=redis_url, namespace="a-loop-that-ends")
    began, leave = threading.Event(), threading.Event()

    @app.task(name="coroutine")
    async def coroutine() -> None:
        began.set()
        await asyncio.Event().wait()

    @app.task(name="plain")
    def plain() -> None:
        began.set()
        while not leave.is_set():
            time.sleep(0.01)

    async def program() -> None:
        async with app:
            await (plain if in_thread else coroutine).send()
            working = asyncio.create_task(app.worker().run(install_signals=False))
            await until(began.is_set)
            assert not working.done()
            raise KeyError("the program ends")

    async def left() -> tuple[int, int]:
        async with app:
            (queue,) = await app.queues.list()
            return queue.waiting, len(await app.dead_letters.list())

    with pytest.raises(KeyError):
        asyncio.run(program())
    leave.set()
    assert asyncio.run(left()) == (1, 0)
    assert " failed" not in caplog.text and "could not" not in caplog.text
