"""What the runner never does: start what others may have, lose a place, or go down into itself."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from support.waiting import PATIENCE

from aioqueue import AioQueue, current_context
from aioqueue.brokers.protocol import Delivery, Settlement, Verdict
from aioqueue.exceptions import TaskRevoked
from aioqueue.message import Message
from aioqueue.threads import Threads
from aioqueue.worker.committer import Committer
from aioqueue.worker.process import Process, shared_scope
from aioqueue.worker.rules import Rules
from aioqueue.worker.run import Cut, Phase, Run, run_of
from aioqueue.worker.run_settings import run_settings
from aioqueue.worker.runner import Runner


class Broker:
    """Of a consumer only what ends go to; it answers when it may."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()
        self.settled: list[str] = []

    async def settle(self, settlements: list[Settlement]) -> list[Verdict]:
        self.asked.set()
        await self.may_answer.wait()
        self.settled.extend(settlement.delivery.id for settlement in settlements)
        return [Verdict.APPLIED] * len(settlements)


class Stage:
    """A runner, its committer, and tasks that do what they are told to."""

    def __init__(self) -> None:
        self.app = AioQueue("tests", broker="memory://")
        self.broker = Broker()
        consumer: Any = self.broker
        self.committer = Committer(consumer)
        self.rules = Rules(self.app, "host")
        threads = Threads("aioqueue-test")
        self.runner = Runner(
            self.app,
            self.rules,
            self.committer,
            consumer,
            concurrency=2,
            hostname="host",
            is_eager=False,
            now=lambda: 1,
            process=Process(None, shared_scope(threads), threads),
        )

    def put(self, id: str, function: Callable[[], Awaitable[Any]]) -> Run:
        task = self.app.task(name=id)(function)  # type: ignore[arg-type]
        run = run_of(
            run_settings(task.app.conf), Delivery(None, id, b"", "q"), Message(task=id, queue="q"), task, (), {}
        )
        self.runner.put(run)
        return run

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                if condition():
                    return
                await asyncio.sleep(0)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    committing = asyncio.create_task(stage.committer.run())
    yield stage
    stage.broker.may_answer.set()
    for run in list(stage.runner.running):
        stage.runner.limits.cancel(run, Cut.HANDED_BACK)
    await stage.until(lambda: not stage.runner.running)
    committing.cancel()
    stage.runner.close()


async def _nothing() -> None: ...


def _ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


# D3


async def test_nothing_is_started_while_others_may_have_it(stage: Stage) -> None:
    """The lease may have ended: then what is held here runs elsewhere."""
    stage.runner.may_start = lambda: False
    stage.put("a", _nothing)
    stage.runner.start_ready()
    assert (stage.runner.started_count, stage.runner.waiting, _ids(stage.runner.ready())) == (0, 1, ["a"])
    stage.runner.may_start = lambda: True
    stage.runner.start_ready()
    await stage.until(lambda: stage.broker.settled == ["a"])


async def test_the_lease_may_end_between_two_tasks(stage: Stage) -> None:
    """It is asked for each: also when one that has ended makes room for the next."""
    leave = asyncio.Event()
    stands = True
    stage.runner.may_start = lambda: stands
    for id in ("a", "b", "c"):
        stage.put(id, leave.wait)
    stage.runner.start_ready()
    assert (stage.runner.started_count, stage.runner.waiting) == (2, 1)
    stands = False
    leave.set()
    await stage.until(lambda: len(stage.broker.settled) == 2)
    assert (stage.runner.started_count, stage.runner.waiting) == (2, 1)


# D2 and D3: what is handed back is what nobody holds


async def test_what_has_ended_is_held_until_it_is_settled(stage: Stage) -> None:
    """What waits to be settled, and what is under way: a worker that stops must not hand it back."""
    stage.broker.may_answer.clear()
    stage.put("under way", _nothing)
    stage.runner.start_ready()
    async with asyncio.timeout(PATIENCE):
        await stage.broker.asked.wait()
    assert not stage.runner.running
    assert _ids(stage.committer.deliveries()) == _ids(stage.runner.held()) == ["under way"]
    stage.put("waits", _nothing)
    stage.runner.start_ready()
    await stage.until(lambda: not stage.runner.running)
    assert _ids(stage.committer.deliveries()) == _ids(stage.runner.held()) == ["under way", "waits"]
    stage.broker.may_answer.set()
    await stage.until(lambda: len(stage.broker.settled) == 2)
    await stage.until(lambda: not stage.runner.unsettled)
    assert stage.committer.deliveries() == stage.runner.held() == []


# Places


@pytest.mark.parametrize("verdict", [Verdict.APPLIED, Verdict.REFUSED])
async def test_an_error_at_hearing_of_an_end_keeps_no_other_from_it(
    stage: Stage, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("of our own")

    async def settle(settlements: list[Settlement]) -> list[Verdict]:
        return [verdict] * len(settlements)

    heard: list[Verdict] = []
    monkeypatch.setattr(stage.rules, "refused", fail)
    monkeypatch.setattr(stage.broker, "settle", settle)
    stage.committer.add(Settlement(Delivery(None, "first", b"", "q")), fail)
    stage.committer.add(Settlement(Delivery(None, "second", b"", "q")), lambda _, verdict: heard.append(verdict))
    stage.put("a", _nothing)
    stage.runner.start_ready()
    await stage.until(lambda: not stage.runner.unsettled)
    assert heard == [verdict]


@pytest.mark.parametrize("broken", ["returned", "failed", "everything"])
async def test_an_error_of_our_own_loses_no_place(
    stage: Stage, broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RecursionError

    for name in ("returned", "failed") if broken == "everything" else (broken,):
        monkeypatch.setattr(stage.rules, name, fail)
    if broken == "everything":
        monkeypatch.setattr(stage.runner.telling, "tell", fail)

    async def raises() -> None:
        raise KeyError

    for id in range(6):
        stage.put(str(id), raises if broken == "failed" else _nothing)
    stage.runner.start_ready()
    await stage.until(lambda: len(stage.broker.settled) == 6)
    await stage.until(lambda: not stage.runner.unsettled)
    assert (stage.runner.ended_count, len(stage.runner.running), len(stage.runner.stuck)) == (6, 0, 0)


async def test_one_that_cannot_be_started_keeps_no_other_from_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def cover(message: Message) -> bool:
        asked.append(1)
        if len(asked) == 1:
            raise RuntimeError("of our own")
        return False

    monkeypatch.setattr(stage.runner.revocations.stamps, "cover", cover)
    for id in ("a", "b", "c"):
        stage.put(id, _nothing)
    stage.runner.start_ready()
    await stage.until(lambda: sorted(stage.broker.settled) == ["a", "b", "c"])
    await stage.until(lambda: not stage.runner.unsettled)
    assert not stage.runner.running


async def test_what_counts_for_nothing_can_be_ended_all_the_same(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was revoked, or another has it, and it goes on: its slot is not lost."""

    async def settle(settlements: list[Settlement]) -> list[Verdict]:
        return [Verdict.REVOKED] * len(settlements)

    monkeypatch.setattr(stage.broker, "settle", settle)
    refused, leave = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        try:
            await current_context().ack()
        except TaskRevoked:
            refused.set()
        while not leave.is_set():
            with suppress(asyncio.CancelledError):
                await leave.wait()

    run = stage.put("a", stubborn)
    stage.runner.start_ready()
    async with asyncio.timeout(PATIENCE):
        await refused.wait()
    stage.runner.limits.cancel(run, Cut.TIME_LIMIT)
    await stage.until(lambda: not stage.runner.running)
    assert (stage.runner.unsettled, stage.runner.stuck, run.phase) == (0, {run}, Phase.GIVEN_UP)
    leave.set()
    await stage.until(lambda: run.phase is Phase.OVER)
    assert not stage.runner.stuck


async def test_the_loop_has_its_turn_after_as_many_as_there_are_slots(stage: Stage) -> None:
    """Also where each has ended before the next one starts."""
    turns, begun = 0, Counter[int]()
    loop = asyncio.get_running_loop()

    def turn() -> None:
        nonlocal turns
        turns += 1
        ticking[0] = loop.call_soon(turn)

    async def work() -> None:
        begun[turns] += 1

    ticking = [loop.call_soon(turn)]
    for id in range(100):
        stage.put(str(id), work)
    stage.runner.start_ready()
    await stage.until(lambda: begun.total() == 100)
    ticking[0].cancel()
    assert max(begun.values()) <= 2


@pytest.mark.skipif(sys.version_info < (3, 12), reason="nothing is started eagerly before Python 3.12")
@pytest.mark.parametrize("is_said", [True, False])
async def test_tasks_that_are_started_eagerly_do_not_nest(stage: Stage, is_said: bool) -> None:
    """The end of one makes room for the next, which ends within its start; each at the same depth."""
    depths: set[int] = set()

    async def work() -> None:
        depth, frame = 0, sys._getframe()
        while frame is not None:
            depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
        depths.add(depth)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory if is_said else None)  # type: ignore[attr-defined]
    try:
        for id in range(3000):
            stage.put(str(id), work)
        loop.call_soon(stage.runner.start_ready)
        await stage.until(lambda: len(stage.broker.settled) == 3000)
    finally:
        loop.set_task_factory(None)
    assert len(depths) == 1
    await stage.until(lambda: not stage.runner.unsettled)
    assert not stage.runner.running


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the factory is of Python 3.12")
async def test_a_worker_in_a_loop_of_eager_tasks() -> None:
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    app = AioQueue("tests", broker="memory://")

    @app.task
    async def nothing(x: int) -> int:
        return x

    @app.task
    async def fails(x: int) -> None:
        raise KeyError(x)

    async with app, app.worker(concurrency=4):
        results = await app.send_many([nothing.s(x) for x in range(1000)])
        assert [await result.get(timeout=PATIENCE) for result in results] == list(range(1000))
        with pytest.raises(KeyError):
            await fails.call(1, timeout=PATIENCE)
        assert await nothing.call(1, timeout=PATIENCE) == 1
