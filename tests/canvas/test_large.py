"""Workflows of many tasks: read as they are sent, begun when all of it is there, or not at all."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from brokers.flows import leftovers
from support.apps import is_empty

from aioqueue import AioQueue, chain, chord, group
from aioqueue.canvas import Canvas
from aioqueue.exceptions import UpstreamFailed

from .stage import Expected, Stage

MANY = 8_000
SLOW = pytest.mark.timeout(90)
"""For machines that have other things to do."""


async def test_a_sender_holds_a_page_and_not_the_whole(redis_url: str) -> None:
    """On Redis, for the broker in memory holds all that is sent, whoever sends it."""
    stage = Stage(AioQueue("tests", broker=redis_url))

    async def peak(length: int) -> int:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        result = await chord((stage.same.s(f"{n:01000}") for n in range(length)), stage.same.si()).send()
        assert result.id
        return tracemalloc.get_traced_memory()[1] - before

    async with stage.app:
        await peak(10)
        tracemalloc.start()
        try:
            a_page, all_of_them = await peak(1000), await peak(2 * MANY)
        finally:
            tracemalloc.stop()
    text_alone = 2 * MANY * 1000
    assert all_of_them < text_alone / 4
    assert all_of_them < a_page + 2 * MANY * 100, "a few numbers for each node that was sent"


@SLOW
async def test_a_chord_of_very_many_from_a_generator(stage: Stage) -> None:
    """None of it runs while it is read, though workers are there."""
    early: list[Any] = []

    def members() -> Iterator[Canvas[Any]]:
        for n in range(MANY):
            early.extend(stage.heard)
            yield stage.echo.s(n)

    result = await chord(members(), stage.tsum.s()).send()
    assert await result.get(timeout=80) == sum(range(MANY))
    assert early == []
    assert sorted(stage.heard) == list(range(MANY))


@SLOW
async def test_the_results_of_very_many_in_order(stage: Stage) -> None:
    result = await group(stage.same.s(n) for n in range(MANY)).send()
    assert len(result) == MANY
    assert await result.get(timeout=80) == list(range(MANY))
    assert await result.completed_count() == MANY


@SLOW
async def test_what_a_failure_means_for_very_many(stage: Stage) -> None:
    """More than one script ends in one go: workers go on with the rest, and nobody is forgotten."""
    result = await chain(stage.fail.s(), group(stage.echo.s() for _ in range(MANY // 2)), stage.same.s()).send()
    with pytest.raises(UpstreamFailed) as caught:
        await result.get(timeout=60)
    assert isinstance(caught.value.__cause__, Expected)
    members: Any = result.parent
    values = await members.get(timeout=60, return_exceptions=True)
    assert len(values) == MANY // 2
    assert all(isinstance(one, UpstreamFailed) for one in values)
    assert stage.heard == []


def _stops(make: Callable[[int], Canvas[Any]], at: int) -> Iterator[Canvas[Any]]:
    for n in range(at):
        yield make(n)
    raise Expected("no more")


@pytest.mark.parametrize("at", [0, 1, 499, 500, 1300])
@pytest.mark.parametrize("where", ["group", "header", "nested"])
async def test_a_generator_that_raises_has_sent_nothing(stage: Stage, at: int, where: str) -> None:
    """Whether it was in its first part or in one of many: nothing of it is there, and nothing of it runs."""
    members = _stops(stage.echo.si, at)
    canvas: Any = {
        "group": lambda: group(members),
        "header": lambda: chord(members, stage.echo.s()),
        "nested": lambda: chain(stage.echo.s(1), group(stage.echo.s(), group(members)), stage.tsum.s()),
    }[where]()
    with pytest.raises(Expected, match="no more"):
        await canvas.send()
    broker = await stage.app.broker()
    assert await leftovers(broker) == []
    assert await is_empty(stage.app)
    assert await stage.same.call(1, timeout=10) == 1, "a task sent after it runs, and none of those"
    assert stage.heard == []


async def test_what_is_no_canvas_far_down_in_a_generator(stage: Stage) -> None:
    members: Any = (stage.echo.s(n) if n < 1200 else stage.echo for n in range(1300))
    with pytest.raises(Exception, match=r"not of <Task echo.*Use task\.s.*Nothing was sent"):
        await group(members).send()
    assert await leftovers(await stage.app.broker()) == []


async def test_a_cancelled_sending_has_sent_nothing(redis_url: str) -> None:
    """Somebody gave up waiting for `send`: it drops what it has stored. In memory, there is nothing to wait for."""
    stage = Stage(AioQueue("tests", broker=redis_url))
    sending: asyncio.Task[Any] | None = None

    def members() -> Iterator[Canvas[Any]]:
        for n in range(5000):
            if n == 3000:
                assert sending is not None
                sending.cancel()
            yield stage.echo.s(n)

    async with stage.working():
        sending = asyncio.create_task(group(members()).send())
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert await leftovers(await stage.app.broker()) == []
        assert await stage.same.call(1, timeout=10) == 1
        assert stage.heard == []


_SENDER = """
import asyncio, sys
from aioqueue import AioQueue, chord
app = AioQueue("tests", broker=sys.argv[1])

def members():
    for n in range(5000):
        if n == 3000:
            print("half way", flush=True)
            sys.stdin.read()
        yield app.signature("echo", (n,))

async def main():
    async with app:
        await chord(members(), app.signature("echo")).send()

asyncio.run(main())
"""


async def test_a_sender_that_is_killed_has_sent_nothing(redis_url: str, tmp_path: Path) -> None:
    """What it had stored is referred to by nobody, and Redis drops it after a day."""
    script = tmp_path / "sender.py"
    script.write_text(_SENDER)
    sender = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, str(script), redis_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stage = Stage(AioQueue("tests", broker=redis_url))
    try:
        assert sender.stdout is not None
        assert await asyncio.to_thread(sender.stdout.readline) == "half way\n"
        with redis.Redis.from_url(redis_url) as client:
            parts: Any = client.keys("{tests:0}:wf:*")
            assert parts, "it had stored some"
        async with stage.working():
            sender.send_signal(signal.SIGKILL)
            await asyncio.to_thread(sender.wait, 10)
            assert await stage.same.call(1, timeout=10) == 1
            await stage.quiet()
            assert stage.heard == []
        with redis.Redis.from_url(redis_url) as client:
            for part in parts:
                left: Any = client.pttl(part)
                assert 0 < left <= 24 * 3600 * 1000
    finally:
        sender.kill()
        sender.communicate()


@SLOW
async def test_a_long_chain(stage: Stage) -> None:
    result = await chain(stage.add.s(0, 0), *(stage.add.s(1) for _ in range(999))).send()
    assert await result.get(timeout=80) == 999
    steps = 1
    one: Any = result
    while (one := one.parent) is not None:
        steps += 1
    assert steps == 1000


@SLOW
async def test_a_long_chain_that_breaks_at_its_beginning(stage: Stage) -> None:
    result = await chain(stage.fail.s(), *(stage.echo.s() for _ in range(1500))).send()
    with pytest.raises(UpstreamFailed) as caught:
        await result.get(timeout=80)
    assert isinstance(caught.value.__cause__, Expected)
    graph = await result.graph()
    assert len(graph.nodes) == 1501
    assert stage.heard == []


async def test_links_of_links(stage: Stage) -> None:
    task = stage.echo.s(0)
    last = task
    for _ in range(300):
        last = last.link(stage.add.s(1))
    last.link(stage.echo.s())
    await stage.outcome(await task.send())
    assert stage.heard == [0, 300]


@SLOW
async def test_a_task_that_is_replaced_again_and_again(stage: Stage) -> None:
    """Each is a workflow in the place of the one before."""
    assert await chain(stage.same.s(5), stage.count_down.s(200), stage.add.s(1)).call(timeout=80) == 6
