"""Only the broker's clock decides: that of a process may be set while it is connected."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from support.apps import Gate, ended, is_empty, lengths, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, clock
from aioqueue.clock import BrokerClock
from aioqueue.exceptions import TaskRevoked

AN_HOUR = 3600.0


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets this process's wall clock so many seconds on or back, as an administrator or NTP does."""
    real, real_ns = time.time, time.time_ns

    def put(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + seconds)
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(seconds * 1e9))

    return put


@pytest.mark.parametrize("step", [AN_HOUR, -AN_HOUR])
async def test_what_expires_does_so_in_its_time(app: AioQueue, step: float, set_clock: Callable[[float], None]) -> None:
    @app.task
    async def work() -> int:
        return 1

    async with app:
        before = await work.options(expires=60).send()
        set_clock(step)
        after = await work.options(expires=60).send()
        late = await work.options(expires=0.001).send()
        later = await work.options(countdown=0.05, expires=60).send()
        broker = await app.broker()
        over = broker.now() + 2
        await until(lambda: broker.now() > over)
        async with app.worker():
            for result in (before, after, later):
                assert await result.get(timeout=PATIENCE) == 1
            with pytest.raises(TaskRevoked, match="expired"):
                await late.get(timeout=PATIENCE)
            set_clock(0)
            assert await work.options(expires=60).call(timeout=PATIENCE) == 1


@pytest.mark.parametrize("step", [AN_HOUR, -AN_HOUR])
async def test_what_waits_in_a_worker_expires_in_its_time(
    app: AioQueue, step: float, set_clock: Callable[[float], None]
) -> None:
    gate = Gate()

    @app.task
    async def hold() -> None:
        await gate.wait()

    @app.task
    async def work() -> int:
        return 1

    app.conf.worker_prefetch = 5
    async with working(app, concurrency=1):
        await hold.send()
        await until(lambda: gate.inside)
        short, long = await work.options(expires=0.05).send(), await work.options(expires=60).send()
        set_clock(step)
        broker = await app.broker()
        until_then = broker.now() + 100
        await until(lambda: broker.now() > until_then)
        gate.open()
        assert await long.get(timeout=PATIENCE) == 1
        with pytest.raises(TaskRevoked, match="expired"):
            await short.get(timeout=PATIENCE)


@pytest.mark.parametrize("step", [AN_HOUR, -AN_HOUR])
async def test_stamps_reach_what_was_sent_before(
    app: AioQueue, step: float, set_clock: Callable[[float], None]
) -> None:
    @app.task
    async def work() -> int:
        return 1

    async with app:
        before = await work.options(stamps={"tenant": "a"}).send()
        set_clock(step)
        between = await work.options(stamps={"tenant": "a"}).send()
        await app.revoke_by_stamp("tenant", "a")
        after = await work.options(stamps={"tenant": "a"}).send()
        set_clock(-step)
        last = await work.options(stamps={"tenant": "a"}).send()
        async with app.worker():
            assert await after.get(timeout=PATIENCE) == 1
            assert await last.get(timeout=PATIENCE) == 1
            for result in (before, between):
                with pytest.raises(TaskRevoked):
                    await result.get(timeout=PATIENCE)
            await until(lambda: is_empty(app))


async def test_a_moment_of_the_senders_is_that_moment(app: AioQueue, set_clock: Callable[[float], None]) -> None:
    @app.task
    async def work() -> int:
        return 1

    async with app:
        now = datetime.fromtimestamp((await app.broker()).now() / 1000, UTC)
        set_clock(AN_HOUR)
        await work.options(eta=now + timedelta(minutes=1)).send()
        assert await lengths(app) == (0, 0, 1)
        await work.options(eta=now - timedelta(minutes=1)).send()
        await work.options(eta=(now - timedelta(minutes=1)).replace(tzinfo=None)).send()
        assert await lengths(app) == (2, 0, 1)


@pytest.mark.parametrize("step", [AN_HOUR, -AN_HOUR])
async def test_times_of_a_record_fit_each_other(app: AioQueue, step: float, set_clock: Callable[[float], None]) -> None:
    @app.task
    async def work() -> int:
        return 1

    async with app:
        result = await work.send()
        set_clock(step)
        async with app.worker() as worker:
            info = await ended(result)
            assert info.timings.sent <= info.timings.started <= info.timings.ended
            assert info.timings.wait < AN_HOUR / 2
            [status] = await (await app.broker()).workers()
            assert abs((await app.broker()).now() - status.started) < 60_000, worker.hostname


# A host that was suspended


async def test_nothing_is_started_after_a_suspend_that_was_longer_than_the_lease(
    app: AioQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.conf.update(visibility_timeout=30, worker_prefetch=5)
    gate, ran = Gate(), list[int]()

    @app.task
    async def hold() -> None:
        await gate.wait()

    @app.task
    async def work() -> None:
        ran.append(1)

    async with working(app, concurrency=1) as worker:
        await hold.send()
        await until(lambda: gate.inside)
        result = await work.send()
        assert worker.incarnation is not None
        runner = worker.incarnation.runner
        assert runner is not None
        await until(lambda: runner.waiting)
        awake = clock.seconds
        monkeypatch.setattr(clock, "seconds", lambda: awake() + 31)  # CLOCK_MONOTONIC knows nothing of it
        assert not runner.may_start(), "the lease may have ended: others may have the task by now"
        gate.open()
        # The renewer looks within a second, and what it holds may be started when the lease stands.
        await result.get(timeout=PATIENCE)
        assert runner.may_start()
    assert ran == [1]


def test_seconds_go_on_while_the_host_is_suspended() -> None:
    if hasattr(time, "CLOCK_BOOTTIME"):
        least = time.clock_gettime(time.CLOCK_BOOTTIME)
        assert least <= clock.seconds() <= time.clock_gettime(time.CLOCK_BOOTTIME)


# What is known of the broker's clock


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """`seconds` of this process, to be set."""
    hands = [100.0]
    monkeypatch.setattr(clock, "seconds", lambda: hands[0])
    return hands


def test_it_goes_on_by_itself(hands: list[float]) -> None:
    broker = BrokerClock()
    broker.learn(5_000_000, hands[0])
    hands[0] += 3600
    assert broker.now() == pytest.approx(5_000_000 + 3_600_000, abs=1)


def test_an_answer_that_took_long_does_not_move_it(hands: list[float]) -> None:
    broker = BrokerClock()
    broker.learn(5_000_000, hands[0])
    for _ in range(10):
        asked, before = hands[0], broker.now()
        hands[0] += 4
        broker.learn(before + 100, asked)
    assert broker.now() == pytest.approx(5_000_000 + 40_000, abs=2)


@pytest.mark.parametrize("step", [3_600_000, -3_600_000, 50, -50])
def test_it_follows_the_broker(hands: list[float], step: int) -> None:
    broker = BrokerClock()
    broker.learn(5_000_000, hands[0])
    hands[0] += 10
    broker.learn(5_010_000 + step, hands[0])
    assert broker.now() == pytest.approx(5_010_000 + step, abs=1)


async def test_a_new_connection_asks_what_time_it_is(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = AioQueue("tests", broker=redis_url)

    @app.task
    async def work() -> int:
        return 1

    async with app:
        broker = await app.broker()
        awake = clock.seconds
        monkeypatch.setattr(clock, "seconds", lambda: awake() + AN_HOUR)  # as if the broker's clock was set back
        real = time.time() * 1000
        assert broker.now() > real + 3_000_000
        await broker._link.close()  # type: ignore[attr-defined]
        await broker.queues()
        assert abs(broker.now() - time.time() * 1000) < 60_000
        async with app.worker():
            assert await work.options(expires=60).call(timeout=PATIENCE) == 1
