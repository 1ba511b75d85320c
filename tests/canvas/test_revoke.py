"""Revoking workflows, whole and in parts."""

from __future__ import annotations

import asyncio

import pytest

from aioqueue import TaskContext, chain, chord, group
from aioqueue.exceptions import ChordError, TaskRevoked, UpstreamFailed

from .stage import Stage


async def states(stage: Stage, result: object) -> dict[str, str]:
    """The states of all that has a name of its own."""
    graph = await result.graph()  # type: ignore[attr-defined]
    return {node.name: node.state for node in graph.nodes if node.kind == "task"}


async def test_revoking_the_result_revokes_all_that_has_not_run(stage: Stage) -> None:
    result = await chain(
        stage.same.s(1), stage.patient.s(), group(stage.echo.s(), stage.echo.s()), stage.tsum.s()
    ).send()
    await stage.until(lambda: stage.gate.came)
    assert await result.revoke(reason="changed my mind")
    with pytest.raises(TaskRevoked, match="changed my mind"):
        await result.get(timeout=10)
    stage.gate.open()
    await stage.quiet()
    assert stage.heard == []
    assert await states(stage, result) == {
        "same": "SUCCESS",
        "patient": "REVOKED",
        "echo": "REVOKED",
        "tsum": "REVOKED",
    }
    assert not await result.revoke(), "it has ended"


async def test_terminate_cancels_what_runs(stage: Stage) -> None:
    cancelled: list[str] = []

    @stage.app.task
    async def runs(name: str) -> None:
        try:
            await stage.gate.wait(name)
        except asyncio.CancelledError:
            cancelled.append(name)
            raise

    result = await chord([runs.s("a"), runs.s("b")], stage.echo.s()).send()
    await stage.until(lambda: len(stage.gate.came) == 2)
    assert await result.revoke(terminate=True)
    await stage.until(lambda: len(cancelled) == 2)
    await stage.quiet()
    assert sorted(cancelled) == ["a", "b"]
    assert stage.heard == []


async def test_without_terminate_what_runs_is_left_alone_and_unheard(stage: Stage) -> None:
    ended: list[str] = []

    @stage.app.task
    async def runs(name: str) -> str:
        await stage.gate.wait(name)
        ended.append(name)
        return name

    result = await chain(runs.s("a"), stage.echo.s()).send()
    await stage.until(lambda: stage.gate.came)
    await result.revoke()
    stage.gate.open()
    await stage.quiet()
    assert ended == ["a"]
    assert stage.heard == []
    assert await result.state() == "REVOKED"


async def test_revoking_a_step_ends_what_comes_after_it(actors: Stage) -> None:
    async with actors.app:
        canvas = chain(actors.echo.si("first"), actors.echo.si("second").set(task_id="second"), actors.echo.si("third"))
        result = await canvas.send()
        assert await actors.app.result("second").revoke()
        with pytest.raises(UpstreamFailed) as caught:
            await result.get(timeout=10)
        assert isinstance(caught.value.__cause__, TaskRevoked)
        async with actors.working():
            await actors.quiet()
    assert actors.heard == ["first"]


async def test_revoking_a_member_of_a_header(actors: Stage) -> None:
    async with actors.app:
        result = await chord([actors.echo.si("a").set(task_id="a"), actors.echo.si("b")], actors.echo.s()).send()
        await actors.app.result("a").revoke()
        with pytest.raises(ChordError, match="was revoked"):
            await result.get(timeout=10)
        async with actors.working():
            await actors.quiet()
    assert actors.heard == ["b"]


async def test_revoking_a_group(actors: Stage) -> None:
    async with actors.app:
        result = await group(actors.echo.si("a"), chain(actors.echo.si("b"), actors.echo.si("c"))).send()
        assert await result.revoke()
        assert await result.state() == "REVOKED"
        values = await result.get(timeout=10, return_exceptions=True)
        assert [type(one) for one in values] == [TaskRevoked, TaskRevoked]
        async with actors.working():
            await actors.quiet()
    assert actors.heard == []


async def test_revoking_a_group_in_a_chain_leaves_what_came_before(stage: Stage) -> None:
    result = await chain(
        stage.echo.si("before"), group(stage.patient.si(1), stage.patient.si(2)), stage.echo.s()
    ).send()
    middle = result.parent
    assert middle is not None
    await stage.until(lambda: len(stage.gate.came) == 2)
    assert await middle.revoke(terminate=True)
    with pytest.raises(ChordError):
        await result.get(timeout=10)
    await stage.quiet()
    assert stage.heard == ["before"]


async def test_a_revoked_workflow_in_which_something_waits_for_its_time(stage: Stage) -> None:
    result = await chain(stage.same.s(1), stage.echo.s().set(countdown=3600)).send()
    first = result.parent
    assert first is not None
    await first.get(timeout=10)
    assert await result.revoke()
    await stage.quiet()  # nothing waits any more
    assert await result.state() == "REVOKED"


async def test_revoking_what_goes_on_in_the_place_of_a_task(stage: Stage) -> None:
    @stage.app.task(bind=True)
    async def becomes_patient(ctx: TaskContext) -> None:
        raise ctx.replace(chain(stage.patient.si("inner"), stage.echo.si("inner after")))

    result = await chain(becomes_patient.s(), stage.echo.si("after")).send()
    await stage.until(lambda: stage.gate.came)
    assert await result.revoke(terminate=True)
    with pytest.raises(TaskRevoked):
        await result.get(timeout=10)
    stage.gate.open()
    await stage.quiet()
    assert stage.heard == []
    graph = await result.graph()
    assert {node.state for node in graph.nodes} == {"REVOKED"}


async def test_a_revocation_does_not_reach_other_workflows(actors: Stage) -> None:
    async with actors.app:
        canvas = chain(actors.echo.si("a"), actors.echo.si("b"))
        first, second = await canvas.send(), await canvas.send()
        await first.revoke()
        async with actors.working():
            assert await second.get(timeout=10) == "b"
            await actors.quiet()
    assert actors.heard == ["a", "b"]


async def test_callbacks_are_revoked_with_their_workflow(actors: Stage) -> None:
    async with actors.app:
        task = actors.echo.si("a")
        task.link(actors.echo.si("callback"))
        result = await chain(task, actors.echo.si("b")).send()
        assert await result.revoke()
        async with actors.working():
            await actors.quiet()
    assert actors.heard == []
