"""Results of groups, asked in every way: what can be waited for must end, here and from an id alone."""

from __future__ import annotations

import asyncio
import builtins
from datetime import timedelta
from typing import Any

import pytest

from aioqueue import AsyncResult, TaskInfo, chain, chord, group
from aioqueue.exceptions import ChordError, TaskRevoked, TimeoutError, UpstreamFailed

from .stage import Expected, Stage


async def watched(result: AsyncResult[Any]) -> list[TaskInfo]:
    """Every change until the final one."""
    async with asyncio.timeout(10):
        return [info async for info in result.watch()]


async def completed(result: Any) -> list[tuple[int, Any]]:
    """What it gives as it comes, in the order of the members."""
    async with asyncio.timeout(10):
        return sorted([pair async for pair in result.as_completed()])


async def test_watching_a_group_ends_with_it(stage: Stage) -> None:
    result = await group(stage.same.s(1), stage.patient.s(2)).send()
    seen: list[TaskInfo] = []
    async with asyncio.timeout(10):
        async for info in result.watch():
            seen.append(info)
            if info.meta["done"] == 1:
                stage.gate.open()
    assert [info.state for info in seen[:-1]] == ["SENT"] * (len(seen) - 1)
    last = seen[-1]
    assert (last.state, last.result, last.name) == ("SUCCESS", [1, 2], "group")
    assert last.meta == {"done": 2, "total": 2}
    assert last.children == [one.id for one in result]
    assert await watched(result) == [last]


async def test_watching_a_group_ends_with_its_first_failure(stage: Stage) -> None:
    result = await group(stage.fail.s(1), stage.patient.s(2)).send()
    last = (await watched(result))[-1]
    assert (last.state, type(last.exception)) == ("FAILURE", Expected)
    assert "Expected" in (last.traceback or "")
    stage.gate.open()


async def test_a_group_in_a_group_completes_as_one_member(stage: Stage) -> None:
    result = await group(stage.same.s(1), chain(stage.same.s(2), group(stage.same.s(), stage.same.s()))).send()
    assert await completed(result) == [(0, 1), (1, [2, 2])]
    assert await result.completed_count() == 2


async def test_a_member_that_joined_later_counts(stage: Stage) -> None:
    result = await group(stage.grow.s([1, 2], 10), stage.same.s(5)).send()
    assert await completed(result) == [(0, 0), (1, 5), (2, 11), (3, 12)]
    assert await result.completed_count() == 4
    late = await group(stage.grow_by_patient.s()).send()
    await late[0].get(timeout=10)
    assert (await late.state(), await late.ready()) == ("SENT", False)
    stage.gate.open()
    assert await late.get(timeout=10) == [0, None]
    assert (await late.state(), await late.ready()) == ("SUCCESS", True)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("lenient", [False, True])
async def test_what_joins_a_group_with_a_link_joins_the_groups_that_it_is_directly_in(
    stage: Stage, lenient: bool, deep: bool
) -> None:
    """With a link or without one, its members are theirs."""

    def inner() -> Any:
        linked = group(stage.grow.s([1, 2], 10), stage.same.s(5))
        linked.link(stage.echo.s())
        if deep:
            linked = group(linked, stage.same.s(6))
            linked.link(stage.echo.s())
        return linked

    sent = [0, 5, 6, 7] if deep else [0, 5, 7]
    result = await group(inner(), stage.same.s(7)).send()
    assert await result.get(timeout=10) == [*sent, 11, 12]
    await stage.quiet()
    told = [[0, 5, 11, 12], [0, 5, 6, 11, 12]] if deep else [[0, 5, 11, 12]]
    assert sorted(stage.heard, key=len) == told
    assert (await result.graph()).ended
    body = chord([inner(), stage.same.s(7)], stage.same.s(), allow_failures=lenient)
    assert await body.call(timeout=10) == [*sent, 11, 12]


async def test_a_group_waits_for_what_joined_one_with_a_link_in_it(stage: Stage) -> None:
    inner = group(stage.grow_by_patient.s())
    inner.link(stage.echo.si("linked"))
    result = await chord([inner, stage.same.s(1)], stage.echo.s()).send()
    await stage.until(lambda: stage.gate.inside == 1)
    assert stage.heard == []
    stage.gate.open()
    assert await stage.outcome(result) == [0, 1, None]
    assert [0, 1, None] in stage.heard
    assert "linked" in stage.heard


async def test_members_can_be_gone_through(stage: Stage) -> None:
    result = await group(stage.same.s(1), stage.same.s(2)).send()
    assert [await one.get(timeout=10) for one in result] == [1, 2]


async def test_a_group_is_found_by_its_id(stage: Stage) -> None:
    """D8: whoever has only the id, another process for one, does not wait for ever."""
    sent = await group(stage.same.s(1), chain(stage.same.s(2), group(stage.same.s(), stage.patient.s()))).send()
    found = stage.app.result(sent.id)
    assert (await found.state(), await found.ready()) == ("SENT", False)
    with pytest.raises(TimeoutError):
        await found.get(timeout=0.05)
    stage.gate.open()
    assert await found.get(timeout=10) == [1, [2, 2]]
    assert await found == [1, [2, 2]]
    assert (await found.state(), await found.ready(), await found.successful()) == ("SUCCESS", True, True)
    assert (await found.info()).result == [1, [2, 2]]
    assert (await watched(found))[-1].state == "SUCCESS"
    await found.forget()
    assert await stage.app.result(sent[0].id).state() == "PENDING"


async def test_an_empty_group_is_found_by_its_id(stage: Stage) -> None:
    sent = await group().send()
    assert await stage.app.result(sent.id).get(timeout=10) == []


async def test_a_group_that_failed_is_found_by_its_id(stage: Stage) -> None:
    sent = await group(stage.same.s(1), stage.fail.s()).send()
    found = stage.app.result(sent.id)
    with pytest.raises(Expected):
        await found.get(timeout=10)
    assert (await found.state(), await found.failed()) == ("FAILURE", True)


@pytest.mark.parametrize("followed", [False, True])
async def test_a_group_is_revoked_by_its_id(stage: Stage, followed: bool) -> None:
    header = group(stage.patient.s(1), stage.patient.s(2))
    result = await (header | stage.same.s() if followed else header).send()
    members = result.parent if followed else result
    assert await stage.app.result(members.id).revoke(terminate=True)
    for one in members:
        with pytest.raises(TaskRevoked):
            await one.get(timeout=10)
    if followed:
        with pytest.raises(ChordError, match=members.id):
            await result.get(timeout=10)


async def test_an_empty_group_ends_after_what_comes_before_it(stage: Stage) -> None:
    result = await chain(stage.patient.s(1), group()).send()
    assert (await result.state(), await result.ready()) == ("SENT", False)
    with pytest.raises(TimeoutError):
        await result.get(timeout=0.05)
    stage.gate.open()
    assert await result.get(timeout=10) == []
    assert await completed(result) == []
    assert [info.state for info in await watched(result)] == ["SUCCESS"]


@pytest.mark.parametrize("empties", [1, 2])
async def test_an_empty_group_after_a_failure_fails(stage: Stage, empties: int) -> None:
    result = await chain(stage.fail.s(), *(group() for _ in range(empties))).send()
    with pytest.raises(UpstreamFailed) as caught:
        await result.get(timeout=10)
    assert isinstance(caught.value.__cause__, Expected)
    with pytest.raises(UpstreamFailed):
        await completed(result)
    assert await result.state() == "FAILURE"
    body = await chord([stage.fail.s()], group()).send()
    with pytest.raises(ChordError):
        await body.get(timeout=10)


async def test_each_revoked_task_keeps_its_name(stage: Stage) -> None:
    """The result stands for the whole, but what is revoked with it are other tasks."""
    result = await chain(stage.patient.s(1), group(stage.same.s()), stage.tsum.s()).send()
    assert await result.revoke(terminate=True)
    first = result.parent.parent
    for one, name in ((first, "patient"), (result.parent[0], "same"), (result, "tsum")):
        with pytest.raises(TaskRevoked, match=rf"\({name}\)"):
            await one.get(timeout=10)
        assert (await one.info()).name == name


async def test_what_is_there_needs_no_time(stage: Stage) -> None:
    """get(timeout=0) asks whether there is a result."""
    one, some = await stage.same.send(1), await group(stage.same.s(1), stage.same.s(2)).send()
    late = await group(stage.same.s(1), stage.patient.s(2)).send()
    await one.get(timeout=10)
    await some.get(timeout=10)
    assert (await one.get(timeout=0), await some.get(timeout=0)) == (1, [1, 2])
    assert await stage.app.result(some.id).get(timeout=0) == [1, 2]
    for result in (late, late[1], stage.app.result(late.id)):
        with pytest.raises(TimeoutError):
            await result.get(timeout=0)
    stage.gate.open()
    assert await late.get(timeout=10) == [1, 2]


async def test_the_result_of_an_empty_group_is_one(stage: Stage) -> None:
    assert await group().send()


async def test_watching_what_is_ignored_ends(stage: Stage) -> None:
    """get() gives None at once; there is nothing to wait for."""
    last = await chain(stage.same.s(1), stage.same.s().set(ignore_result=True)).send()
    assert await last.get(timeout=10) is None
    assert [info.state for info in await watched(last)] == ["PENDING"]
    some = await group(stage.same.s(1).set(ignore_result=True)).send()
    assert await some.get(timeout=10) == [None]
    assert {info.state for info in await watched(some)} <= {"SENT", "PENDING", "SUCCESS"}


@pytest.mark.parametrize("timeout", [None, 60, timedelta(seconds=60)])
@pytest.mark.parametrize("error", [builtins.TimeoutError("upstream"), TimeoutError("of a call of its own")])
async def test_a_member_that_ran_into_a_timeout_of_its_own(stage: Stage, error: Exception, timeout: Any) -> None:
    @stage.app.task(name="times_out")
    async def times_out() -> None:
        raise error

    for canvas in (group(stage.same.s(1), times_out.s()), times_out.s()):
        result = await canvas.send()
        with pytest.raises(type(error), match=str(error)):
            await result.get(timeout=timeout)
        with pytest.raises(type(error), match=str(error)):
            await stage.app.result(result.id).get(timeout=timeout)
    values = await (await group(stage.same.s(1), times_out.s()).send()).get(timeout=timeout, return_exceptions=True)
    assert values[0] == 1 and str(values[1]) == str(error)
