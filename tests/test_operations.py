"""What things cost on a real Redis: counted, not timed, so that it is the same on every machine."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from functools import partial
from typing import Any

import pytest
from support import waiting
from support.monitoring import counts, monitored
from support.waiting import LONG

from aioqueue import AioQueue
from aioqueue.brokers.redis.scripts import script

PATIENCE = LONG
until = partial(waiting.until, seconds=PATIENCE)


@pytest.fixture
def app(redis_url: str) -> AioQueue:
    return AioQueue("cost", broker=redis_url)


def _asked(seen: list[tuple[bool, list[bytes]]]) -> list[str]:
    return [words[0].upper().decode() for in_script, words in seen if not in_script]


# Sending


async def test_a_plain_send_is_one_round_trip(app: AioQueue, redis_url: str) -> None:
    @app.task
    async def nothing() -> None: ...

    async with app:
        await nothing.send()  # the queue is known from here on,
        await nothing.send()  # and both scripts
        async with monitored(redis_url) as seen:
            await nothing.send()
        assert _asked(seen) == ["EVALSHA"]
        async with monitored(redis_url) as seen:
            await nothing.options(countdown=60, queue="q", priority=3).send()
        assert _asked(seen) == ["EVALSHA"]


async def test_a_plain_send_makes_two_writes_in_the_server(app: AioQueue, redis_url: str) -> None:
    @app.task
    async def nothing() -> None: ...

    async with app:
        await nothing.send()
        await nothing.send()
        async with monitored(redis_url) as seen:
            await nothing.send()
        # The number of the request is looked at, the message queued, and the number kept; the clock is not read.
        assert [words[0].upper() for in_script, words in seen if in_script] == [b"GET", b"XADD", b"SET"]


async def test_a_plain_send_is_made_by_its_sender(app: AioQueue) -> None:
    # No other task is woken for it, and no timer is made.
    @app.task
    async def nothing() -> None: ...

    async with app:
        await nothing.send()
        await nothing.send()
        loop = asyncio.get_running_loop()
        steps: list[Any] = []
        call_soon, call_at = loop.call_soon, loop.call_at

        def counted(call: Any) -> Any:
            return lambda *arguments, **more: steps.append(arguments) or call(*arguments, **more)

        loop.call_soon, loop.call_at = counted(call_soon), counted(call_at)  # type: ignore[method-assign]
        try:
            await nothing.send()
        finally:
            loop.call_soon, loop.call_at = call_soon, call_at  # type: ignore[method-assign]
    assert len(steps) <= 2, steps  # the stream's waiter wakes the sender


@pytest.mark.parametrize(("tasks", "trips"), [(1, 1), (1000, 1), (1001, 2), (10_000, 10)])
async def test_many_are_sent_in_one_round_trip_per_thousand(
    app: AioQueue, redis_url: str, tasks: int, trips: int
) -> None:
    @app.task
    async def nothing() -> None: ...

    async with app:
        await nothing.send()
        async with monitored(redis_url) as seen:
            await app.send_many(nothing.s() for _ in range(tasks))
        assert _asked(seen) == ["EVALSHA"] * trips


async def test_what_is_sent_at_once_goes_together(app: AioQueue, client: Any) -> None:
    @app.task
    async def nothing() -> None: ...

    async with app:
        await nothing.send()
        before = await counts(client)
        await asyncio.gather(*[nothing.send() for _ in range(500)])
        assert (await counts(client) - before)["evalsha"] <= 5


# Running


@pytest.mark.parametrize("keep_results", [True, False])
async def test_commands_per_task(app: AioQueue, client: Any, keep_results: bool) -> None:
    tasks = 10_000

    @app.task(ignore_result=not keep_results)
    async def nothing() -> None: ...

    async with app:
        await app.send_many(nothing.s() for _ in range(tasks))
        before = await counts(client)
        async with asyncio.timeout(PATIENCE):
            await app.worker(burst=True).run(install_signals=False)
        commands = await counts(client) - before
    each = sum(commands.values()) / tasks
    assert each <= (1.2 if keep_results else 0.2), commands


async def test_events_cost_little_while_they_are_on(redis_url: str, client: Any) -> None:
    app, tasks = AioQueue("cost", broker=redis_url, events=True), 2000

    @app.task
    async def nothing() -> None: ...

    async with app:
        before = await counts(client)
        await app.send_many(nothing.s() for _ in range(tasks))
        async with asyncio.timeout(PATIENCE):
            await app.worker(burst=True).run(install_signals=False)
    commands = await counts(client) - before
    # Each task has told of five moments, and that took a command for some hundreds of them.
    assert await client.xlen("{cost:0}:events") <= tasks / 20
    told = [commands[word] for word in ("xadd", "xrevrange", "get")]
    assert sum(told) <= 1.1 * tasks, "each task is added to its queue, and the events come to a tenth of that at most"


async def test_events_cost_nothing_while_they_are_off(app: AioQueue, redis_url: str) -> None:
    @app.task
    async def nothing() -> None: ...

    async with app, app.worker():
        await (await nothing.send()).get()
        async with monitored(redis_url) as seen:
            for _ in range(20):
                await (await nothing.send()).get()
    assert [words for _, words in seen if any(b":events" in word for word in words)] == []


async def test_a_single_task_is_a_handful_of_commands(app: AioQueue, redis_url: str) -> None:
    # One that comes alone, to a worker that waits: read, settled, and nothing more than is needed to wait again.
    @app.task
    async def nothing() -> None: ...

    async with app, app.worker():
        await nothing.call(timeout=PATIENCE)
        await asyncio.sleep(0.3)
        async with monitored(redis_url) as seen:
            result = await nothing.send()
            await until(result.ready)
        asked = [name for name in _asked(seen) if name != "MGET"]  # which are ours
        assert len(asked) <= 6, asked


async def test_a_task_that_ends_alone_is_settled_by_a_script_of_its_own(app: AioQueue, redis_url: str) -> None:
    @app.task
    async def nothing() -> None: ...

    async with app, app.worker():
        await nothing.call(timeout=PATIENCE)
        async with monitored(redis_url) as seen:
            await nothing.call(timeout=PATIENCE)
    scripts = [words[1].decode() for _, words in seen if words[0] == b"EVALSHA"]
    assert scripts.count(script("settle_one").sha) == 1
    assert script("settle").sha not in scripts


async def test_what_one_stream_gives_is_read_without_a_script(app: AioQueue, redis_url: str) -> None:
    tasks = 3000

    @app.task
    async def nothing() -> None: ...

    async with app:
        await app.send_many(nothing.s() for _ in range(tasks))
        async with monitored(redis_url) as seen, asyncio.timeout(PATIENCE):
            await app.worker(burst=True).run(install_signals=False)
    scripts = [words[1].decode() for _, words in seen if words[0] == b"EVALSHA"]
    # To begin, and to see that there is nothing left.
    assert scripts.count(script("fetch").sha) <= 5
    assert [name for name in _asked(seen) if name == "XREADGROUP"]


async def test_an_idle_worker_costs_little(app: AioQueue, client: Any) -> None:
    seconds = 8.0

    @app.task(queue="other")
    async def nothing() -> None: ...

    async with app, app.worker():
        await nothing.call(timeout=PATIENCE)
        await asyncio.sleep(1.0)  # what follows the start and the task is over
        before = await counts(client)
        await asyncio.sleep(seconds)
        commands = await counts(client) - before
    assert sum(commands.values()) / seconds <= 2.0, commands


# Connections


async def _connections(client: Any) -> int:
    return len(await client.client_list())


async def test_connections_do_not_grow_with_the_waiters(app: AioQueue, client: Any) -> None:
    gate = asyncio.Event()

    @app.task
    async def wait() -> int:
        await gate.wait()
        return 1

    own = await _connections(client)
    async with app:
        async with app.worker(concurrency=2000):
            first = asyncio.ensure_future((await wait.send()).get(timeout=PATIENCE))
            await until(lambda: client.keys("*waiters*"))
            one = await _connections(client)
            results = await app.send_many(wait.s() for _ in range(1000))
            waits = [asyncio.ensure_future(result.get(timeout=PATIENCE)) for result in results]
            await until(lambda: _registered(client, 1001))
            assert await _connections(client) == one
            assert one - own <= 10
            gate.set()
            assert await asyncio.gather(first, *waits) == [1] * 1001
        assert await _connections(client) - own <= 5
    await until(lambda: _is(client, own))


async def _registered(client: Any, count: int) -> bool:
    keys = await client.keys("*waiters*")
    return sum([await client.hlen(key) for key in keys]) >= count


async def _is(client: Any, connections: int) -> bool:
    return await _connections(client) == connections


async def test_connections_do_not_grow_with_what_is_done_at_once(app: AioQueue, client: Any) -> None:
    @app.task
    async def nothing() -> None: ...

    own = await _connections(client)
    async with app:
        results = await asyncio.gather(*[nothing.send() for _ in range(300)])
        await asyncio.gather(*[result.state() for result in results])
        await asyncio.gather(*[result.revoke() for result in results])
        assert await _connections(client) - own <= 5


# What stays


async def _state(client: Any) -> tuple[set[bytes], int, list[bytes]]:
    """The keys that stay for ever, how much memory they take, and those that expire."""
    staying: set[bytes] = set()
    expiring: list[bytes] = []
    memory = 0
    async for key in client.scan_iter(count=1000):
        if await client.ttl(key) > 0:
            expiring.append(key)
        else:
            staying.add(key)
            memory += await client.memory_usage(key, samples=0) or 0
    return staying, memory, expiring


async def test_nothing_grows_with_what_has_been_done(redis_url: str, client: Any) -> None:
    app = AioQueue("cost", broker=redis_url, result_expires=60)
    runs: list[int] = []

    @app.task(bind=True, max_retries=1)
    async def work(ctx: Any, x: int) -> int:
        runs.append(x)
        if x % 10 == 0 and ctx.retries == 0:
            raise ctx.retry(countdown=0.01)
        return x

    async def drain(count: int) -> None:
        results = await app.send_many(
            work.s(x).set(queue="ab"[x % 2], priority=x % 10, countdown=0.01 if x % 7 == 0 else None)
            for x in range(count)
        )
        await results[1].revoke()
        for result in results[:1] + results[2:]:
            await result.get(timeout=PATIENCE)

    async with app:
        async with app.worker(queues=["a", "b"]):
            await drain(200)
        few, few_memory, expiring = await _state(client)
        assert sum(b":r:" in key for key in expiring) == 200
        async with app.worker(queues=["a", "b"]):
            await drain(3000)
        many, many_memory, _ = await _state(client)
        assert many <= few, "keys that never go"
        assert many_memory <= few_memory * 1.2 + 1000
        assert not any(b":r:" in key for key in many)
        statuses = await (await app.broker()).queues()
        assert [(status.name, status.waiting, status.running, status.delayed) for status in statuses] == [
            ("a", 0, 0, 0),
            ("b", 0, 0, 0),
        ]


async def test_workers_leave_nothing(app: AioQueue, client: Any) -> None:
    @app.task
    async def nothing() -> None: ...

    async def come_and_go() -> None:
        async with app.worker():
            await nothing.call(timeout=PATIENCE)

    async with app:
        await come_and_go()
        before, _, _ = await _state(client)
        for _ in range(10):
            await come_and_go()
        after, _, _ = await _state(client)
        assert after <= before
        for key in after:
            if await client.type(key) == b"stream":
                for group in await client.xinfo_groups(key):
                    assert group["consumers"] == 0, f"{key!r} remembers workers that have left"


# How much one script does: while it runs, nobody else is served.


async def test_no_script_is_given_more_than_a_thousand(redis_url: str, app: AioQueue) -> None:
    tasks = 4000

    @app.task
    async def nothing() -> None: ...

    async with app:
        async with monitored(redis_url) as sending:
            await app.send_many(nothing.s() for _ in range(tasks))
            due = time.time() + 0.3
            await app.send_many(nothing.s().set(countdown=max(0.01, due - time.time())) for _ in range(tasks))
        await asyncio.sleep(max(0.0, due - time.time()) + 0.1)
        async with monitored(redis_url) as working:
            await app.worker(burst=True, concurrency=5000).run(install_signals=False)
    large = (b"EVALSHA", b"XACK", b"XDEL", b"HMGET", b"HDEL", b"ZMSCORE")
    for seen in (sending, working):
        assert sum(words[0].upper() == b"EVALSHA" for _, words in seen) > 4
        assert 900 < max(len(words) for _, words in seen if words[0].upper() in large) <= 2100
        commands = most = 0
        for in_script, words in seen:
            if in_script:
                commands += 1
                most = max(most, commands)
            elif words[0].upper() in (b"EVALSHA", b"EVAL"):
                commands = 0
        assert 900 < most <= 3100, "that many commands by one script"


# Memory


def _tracked() -> int:
    """How many objects the collector knows. How many nodes a context has depends on addresses: they are left out."""
    return sum(type(one).__name__ != "hamt_bitmap_node" for one in gc.get_objects())


async def test_what_a_task_in_hand_takes(app: AioQueue) -> None:
    tasks = 500
    gate, running = asyncio.Event(), 0

    @app.task
    async def wait(x: int) -> int:
        nonlocal running
        running += 1
        await gate.wait()
        return x

    async def all_run() -> bool:
        return running == tasks

    async with app, app.worker(concurrency=tasks):
        gate.set()
        for result in await app.send_many(wait.s(0) for _ in range(tasks)):  # what is made once, is made now
            await result.get(timeout=PATIENCE)
        gate.clear()
        running = 0
        gc.collect()
        gc.disable()
        objects = _tracked()  # outside of what is traced, where it would hold the event loop for as long as is reported
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            await app.send_many(wait.s(x) for x in range(tasks))
            await until(all_run)
            grown = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            made = _tracked() - objects
        finally:
            tracemalloc.stop()
            gc.enable()
            gate.set()
    assert grown / tasks < 4500, grown / tasks
    assert made / tasks < 19, made / tasks
