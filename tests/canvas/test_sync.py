"""Compositions sent by threads and by programs without an event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aioqueue import AioQueue, chain, chord, group
from aioqueue.exceptions import (
    AioQueueError,
    ChordError,
    ConfigurationError,
    PayloadError,
    TimeoutError,
    UpstreamFailed,
)
from aioqueue.sync_results import SyncGroupResult

from .stage import Expected, Stage


@pytest.fixture
def sync_stage(redis_url: str) -> Iterator[Stage]:
    """On Redis: a thread with its own loop is another client of the broker."""
    stage = Stage(AioQueue("tests", broker=redis_url))
    yield stage
    stage.app.portal.close()


async def test_each_kind_from_threads(sync_stage: Stage) -> None:
    s = sync_stage

    def work(n: int) -> None:
        for canvas, expected in (
            (chain(s.add.s(n, 1), s.add.s(1)), n + 2),
            (s.add.s(n, 1) | s.add.s(1), n + 2),
            (group(s.same.s(n), s.same.s(2)), [n, 2]),
            (group(s.same.s(k) for k in range(n)), list(range(n))),
            (chord([s.same.s(n), s.same.s(2)], s.tsum.s()), n + 2),
            (s.add.chunks([(n, 1), (n, 2)], 1), [[n + 1], [n + 2]]),
            (s.add.starmap([(n, 1)]), [n + 1]),
            (s.same.s(n).on_error(s.told.s()), n),
        ):
            result = canvas.sync.send()
            assert result.get(timeout=10) == expected
            assert result.ready() and result.successful() and not result.failed()
            assert result.state == "SUCCESS"

    async with s.working():
        await asyncio.gather(*(asyncio.to_thread(work, n) for n in range(4)))


async def test_arguments_and_the_other_words_for_it(sync_stage: Stage) -> None:
    s = sync_stage

    def work() -> None:
        canvas = chain(s.add.s(1), s.add.s(1)).sync
        assert canvas.send(5).get(timeout=10) == 7
        assert canvas.delay(5, z=10).get(timeout=10) == 17
        assert canvas.call(5, timeout=10) == 7

    async with s.working():
        await asyncio.to_thread(work)


async def test_failures(sync_stage: Stage) -> None:
    s = sync_stage

    def work() -> None:
        result = chord([s.fail.s(), s.same.s(1)], s.tsum.s()).sync.send()
        with pytest.raises(ChordError) as caught:
            result.get(timeout=10)
        assert isinstance(caught.value.__cause__, Expected)
        assert result.failed()
        assert result.state == "FAILURE"
        with pytest.raises(Expected):
            group(s.same.s(1), s.fail.s()).sync.call(timeout=10)

    async with s.working():
        await asyncio.to_thread(work)


def test_without_any_loop_or_worker(sync_stage: Stage) -> None:
    s = sync_stage
    result = chain(s.echo.s(1), s.echo.s()).sync.send()
    assert result.state == "SENT"
    with pytest.raises(TimeoutError, match="has not ended"):
        result.get(timeout=0.02)
    assert result.revoke()
    assert result.state == "REVOKED"
    with pytest.raises(PayloadError, match="nothing was sent"):
        chain(s.add.s(1), s.same.s()).sync.send()
    with pytest.raises(ConfigurationError, match="Nothing was sent"):
        group(s.same.s(1), chain()).sync.send()


def test_the_errors_of_a_generator(sync_stage: Stage) -> None:
    """It is read in the thread of the loop, and its errors come out where it is sent."""

    def members() -> Any:
        yield sync_stage.echo.s(1)
        raise Expected("no more")

    with pytest.raises(Expected, match="no more"):
        group(members()).sync.send()


async def test_beside_a_running_loop_it_is_refused(actors: Stage) -> None:
    """It would block the loop; and a generator is not begun."""
    read: list[int] = []

    def members() -> Any:
        for n in range(3):
            read.append(n)
            yield actors.same.s(n)

    members_read = group(members())
    for send in (chain(actors.same.s(1)).sync.send, members_read.sync.send, chain(actors.same.s(1)).sync.call):
        with pytest.raises(AioQueueError, match=r"would block the loop.*Nothing was sent"):
            send()
    async with actors.working():
        assert await members_read.call(timeout=10) == [0, 1, 2]
    assert read == [0, 1, 2]


async def test_a_task_in_a_thread_that_sends_and_waits(sync_stage: Stage) -> None:
    s = sync_stage

    @s.app.task
    def outer(n: int) -> Any:
        return chord([s.same.s(n), s.same.s(n)], s.tsum.s()).sync.call(timeout=10)

    async with s.working():
        assert await chain(outer.s(1), outer.s(), outer.s()).call(timeout=10) == 8
        result = await outer.send(1)
        await result.get(timeout=10)
        (child,) = (await result.info()).children
        assert await s.app.result(child).get(timeout=10) == 2


async def test_the_relatives_of_a_result(sync_stage: Stage) -> None:
    s = sync_stage

    def work() -> None:
        result = chain(s.add.s(1, 1), group(s.add.s(1), s.add.s(2)), s.tsum.s()).sync.send()
        assert result.get(timeout=10) == 7
        assert (result.name, result.ignored) == ("tsum", False)
        header = result.parent
        assert isinstance(header, SyncGroupResult)
        assert header.get(timeout=1) == [3, 4]
        assert header.children == list(header)
        assert header.parent.get(timeout=1) == 2
        assert [child.get(timeout=1) for child in header[0].parent.children] == [[3, 4], 3, 4]
        assert header.parent.parent is None
        assert {member.id for member in header} | {result.id} <= {node.id for node in result.graph().nodes}
        assert len({result, header, header[0], header.results[0]}) == 3
        assert s.same.sync.send(1).children == []

    async with s.working():
        await asyncio.to_thread(work)


async def test_a_group_from_a_thread(sync_stage: Stage) -> None:
    s = sync_stage

    def work() -> None:
        result = group(s.same.s(n) for n in range(3)).sync.send()
        assert isinstance(result, SyncGroupResult)
        assert (len(result), bool(result), len(result.results)) == (3, True, 3)
        assert sorted(result.as_completed()) == [(0, 0), (1, 1), (2, 2)]
        assert [member.get(timeout=1) for member in result] == [0, 1, 2]
        assert (result[1].get(), result.completed_count()) == (1, 3)
        assert group().sync.send().results == []
        assert s.add.chunks([(1, 1)], 1).sync.apply_async(queue="default")[0].get(timeout=10) == [2]

        failing = group(s.same.s(1), s.fail.s()).sync.send()
        value, error = failing.get(timeout=10, return_exceptions=True)
        assert (value, type(error), failing.completed_count()) == (1, Expected, 1)
        with pytest.raises(Expected):
            list(failing.as_completed())

    async with s.working():
        await asyncio.to_thread(work)


async def test_watching_from_a_thread(sync_stage: Stage) -> None:
    s = sync_stage

    def work() -> None:
        result = chain(s.same.s(1), s.same.s()).sync.send()
        assert [info.state for info in result.watch()][-1] == "SUCCESS"
        for info in group(s.same.s(1), s.patient.s()).sync.send().watch():
            assert not info.ready
            break  # nothing is left that waits

    async with s.working():
        await asyncio.to_thread(work)
        s.gate.open()


async def test_resuming_from_a_thread(sync_stage: Stage) -> None:
    s = sync_stage
    broken = True

    @s.app.task
    async def repaired(x: int) -> int:
        if broken:
            raise Expected("broken")
        return x

    def work() -> None:
        nonlocal broken
        result = chain(s.same.s(1), repaired.s(), s.add.s(1)).sync.send()
        with pytest.raises(UpstreamFailed):
            result.get(timeout=10)
        broken = False
        again = result.resume()
        assert again is result
        assert result.get(timeout=10) == 2
        with pytest.raises(AioQueueError, match="Nothing was changed"):
            result.resume()

    async with s.working():
        await asyncio.to_thread(work)


async def test_beside_a_running_loop_a_result_is_refused(sync_stage: Stage) -> None:
    result = await asyncio.to_thread(group(sync_stage.same.s(1)).sync.send)
    for wait in (result.graph, result.resume, result.completed_count, lambda: next(result.as_completed())):
        with pytest.raises(AioQueueError, match="would block the loop"):
            wait()


_PROGRAM = """
import sys
from aioqueue import AioQueue, chord
app = AioQueue("tests", broker=sys.argv[1])
same = [app.signature("same", (n,)) for n in range(1000)]
print(chord(same, app.signature("tsum")).sync.call(timeout=20))
"""


async def test_a_script_from_its_start_to_its_end(sync_stage: Stage, redis_url: str, tmp_path: Path) -> None:
    """It ends by itself: the thread with the loop does not keep it."""
    (tmp_path / "program.py").write_text(_PROGRAM)
    async with sync_stage.working():
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, str(tmp_path / "program.py"), redis_url],
            capture_output=True,
            text=True,
            timeout=25,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (0, f"{sum(range(1000))}\n"), ended.stderr
