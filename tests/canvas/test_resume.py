"""Resuming a failed workflow: what failed runs again, and the results of the others are kept."""

from __future__ import annotations

from collections import Counter

import pytest

from aioqueue import TaskContext, chain, chord, group
from aioqueue.exceptions import AioQueueError, ChordError, UpstreamFailed

from .stage import Expected, Stage


async def test_a_chain_goes_on_from_the_failed_step(stage: Stage) -> None:
    result = await chain(stage.echo.s(1), stage.once.s(), stage.add.s(10), stage.echo.s()).send()
    assert isinstance(await stage.outcome(result), UpstreamFailed)
    stage.mended = True
    assert await result.resume() is result
    assert await result.get(timeout=10) == 11
    await stage.quiet()
    assert stage.heard == [1, ("once", 1), ("once", 1), 11]
    assert (await result.graph()).states.keys()
    assert set((await result.graph()).states.values()) == {"SUCCESS"}


async def test_it_may_fail_again_and_be_resumed_again(stage: Stage) -> None:
    result = await chain(stage.once.s(1), stage.same.s()).send()
    for _ in range(3):
        assert isinstance(await stage.outcome(result), UpstreamFailed)
        await result.resume()
    assert isinstance(await stage.outcome(result), UpstreamFailed)
    stage.mended = True
    await result.resume()
    assert await result.get(timeout=10) == 1
    assert stage.heard == [("once", 1)] * 5


async def test_members_of_a_header_that_went_well_are_not_run_again(stage: Stage) -> None:
    header = [stage.echo.s(1), stage.once.s(2), chain(stage.echo.s(3), stage.once.s()), stage.echo.s(4)]
    result = await chord(header, stage.tsum.s()).send()
    assert isinstance(await stage.outcome(result), ChordError)
    stage.mended = True
    await result.resume()
    assert await result.get(timeout=10) == 10
    await stage.quiet()
    assert Counter(stage.heard) == {1: 1, 3: 1, 4: 1, ("once", 2): 2, ("once", 3): 2}


async def test_a_failed_body_is_run_again_with_the_same_results(stage: Stage) -> None:
    result = await chain(chord([stage.echo.s(1), stage.echo.s(2)], stage.once.s()), stage.tsum.s()).send()
    assert isinstance(await stage.outcome(result), UpstreamFailed)
    stage.mended = True
    await result.resume()
    assert await result.get(timeout=10) == 3
    await stage.quiet()
    assert Counter(map(str, stage.heard)) == {"1": 1, "2": 1, "('once', [1, 2])": 2}


async def test_a_group_is_resumed(stage: Stage) -> None:
    result = await group(stage.once.s(1), stage.echo.s(2)).send()
    await result.get(timeout=10, return_exceptions=True)
    stage.mended = True
    assert await result.resume() is result
    await stage.quiet()
    assert await result.get(timeout=10) == [1, 2]
    assert Counter(map(str, stage.heard)) == {"('once', 1)": 2, "2": 1}


async def test_what_goes_on_in_the_place_of_a_task_is_resumed_there(stage: Stage) -> None:
    @stage.app.task(bind=True)
    async def becomes(ctx: TaskContext) -> None:
        stage.heard.append("becomes")
        raise ctx.replace(chain(stage.echo.s(1), stage.once.s()))

    result = await chain(becomes.s(), stage.add.s(1)).send()
    assert isinstance(await stage.outcome(result), UpstreamFailed)
    stage.mended = True
    await result.resume()
    assert await result.get(timeout=10) == 2
    assert stage.heard == ["becomes", 1, ("once", 1), ("once", 1)]


async def test_links_and_handlers_are_called_for_each_run(stage: Stage) -> None:
    task = stage.once.s(1)
    task.link(stage.echo.si("linked"))
    canvas = chain(task, stage.same.s()).on_error(stage.told.s())
    canvas.link(stage.echo.si("done"))
    result = await canvas.send()
    await stage.outcome(result)
    assert stage.heard == [("once", 1), ("once", "Expected")]
    stage.mended = True
    await result.resume()
    await stage.outcome(result)
    assert Counter(map(str, stage.heard[2:])) == {"('once', 1)": 1, "linked": 1, "done": 1}


async def test_a_revoked_workflow_is_resumed(actors: Stage) -> None:
    async with actors.app:
        result = await chain(actors.echo.s(1), actors.add.s(1)).send()
        assert await result.revoke()
        await result.resume()
        async with actors.working():
            assert await result.get(timeout=10) == 2
            await actors.quiet()
    assert actors.heard == [1]


async def test_resumed_by_another_process_from_the_id(stage: Stage) -> None:
    sent = await chain(stage.once.s(1), stage.same.s()).send()
    await stage.outcome(sent)
    stage.mended = True
    result = await stage.app.result(sent.id).resume()
    assert await result.get(timeout=10) == 1


async def test_there_is_nothing_to_resume(stage: Stage) -> None:
    good = await chain(stage.same.s(1), stage.same.s()).send()
    await stage.outcome(good)
    single = await stage.fail.send()
    await stage.outcome(single)
    for result in (good, single, stage.app.result("unknown")):
        with pytest.raises(AioQueueError, match="Nothing was changed"):
            await result.resume()


async def test_a_lenient_body_that_ended_well_is_not_run_again(stage: Stage) -> None:
    """The results of what ended well are kept."""
    result = await chord([stage.once.s(1), stage.same.s(2)], stage.kinds.s(), allow_failures=True).send()
    assert await stage.outcome(result) == ["Expected", 2]
    stage.mended = True
    await result.resume()
    await stage.quiet()
    assert stage.heard == [("once", 1), ("once", 1)]
    assert await stage.outcome(result) == ["Expected", 2]


async def test_one_that_runs_is_not_disturbed(stage: Stage) -> None:
    result = await group(stage.once.s(1), chain(stage.patient.s(2), stage.echo.s())).send()
    with pytest.raises(Exception, match="not mended"):
        await result[0].get(timeout=10)
    await stage.until(lambda: stage.gate.came)
    stage.mended = True
    await result.resume()
    assert await result[0].get(timeout=10) == 1
    stage.gate.open()
    assert await result.get(timeout=10) == [1, 2]
    await stage.quiet()
    assert stage.gate.came == [2]
    assert Counter(map(str, stage.heard)) == {"('once', 1)": 2, "2": 1}


async def test_a_group_with_a_link_in_a_header_is_resumed_as_a_part_of_it(stage: Stage) -> None:
    inner = group(stage.once.s(1), stage.once.s(2), stage.same.s(3))
    inner.link(stage.echo.s())
    result = await chord([inner, stage.same.s(4)], stage.same.s()).send()
    assert isinstance(await stage.outcome(result), ChordError)
    stage.mended = True
    await result.resume()
    assert await result.get(timeout=10) == [1, 2, 3, 4]
    await stage.quiet()
    assert (await result.graph()).ended
    assert [1, 2, 3] in stage.heard


@pytest.mark.parametrize("body", ["task", "chain", "group"])
async def test_a_failed_body_that_takes_failures_waits_for_the_members_that_run_again(stage: Stage, body: str) -> None:
    """Else it may see failures that are mended."""
    bodies = {
        "task": stage.once.s(),
        "chain": chain(stage.once.s(), stage.same.s()),
        "group": group(stage.once.s(), stage.kinds.s()),
    }

    @stage.app.task
    async def mended_at_the_gate(x: int) -> int:
        if stage.mended:
            await stage.gate.wait(x)
        return await stage.once.function(None, x)

    header = group(mended_at_the_gate.s(1), stage.same.s(2))
    header.link(stage.echo.si("linked"))
    canvas = chain(chord(header, bodies[body], allow_failures=True), stage.echo.s())
    result = await canvas.send()
    assert isinstance(await stage.outcome(result), UpstreamFailed)
    assert len(stage.heard) == 3
    stage.mended = True
    stage.heard.clear()
    await result.resume()
    await stage.until(lambda: stage.gate.inside == 1)
    for _ in range(5):  # whatever could run has had its turn
        assert await stage.same.call(0, timeout=10) == 0
    assert stage.heard == []
    stage.gate.open()
    expected = [[1, 2], ["Expected", 2]] if body == "group" else [1, 2]
    assert await stage.outcome(result) == expected
    assert stage.heard == [("once", 1), ("once", [1, 2]), expected]
    assert (await result.graph()).ended


async def test_a_link_of_a_header_that_takes_failures_waits_for_them_too(stage: Stage) -> None:
    header = group(stage.once.s(1), stage.same.s(2))
    header.link(stage.once.s())
    result = await chord(header, stage.kinds.s(), allow_failures=True).send()
    assert await stage.outcome(result) == ["Expected", 2]
    stage.mended = True
    stage.heard.clear()
    await result.resume()
    await stage.quiet()
    assert stage.heard == [("once", 1), ("once", [1, 2])]
    assert await stage.outcome(result) == ["Expected", 2]
    assert set((await result.graph()).states.values()) == {"SUCCESS"}


async def test_a_body_that_takes_failures_may_fail_of_others_again(stage: Stage) -> None:
    @stage.app.task
    async def refuses(values: list[object]) -> list[object]:
        names = [type(one).__name__ for one in values]
        return await stage.once.function(None, names)

    result = await chord([stage.fail.s(), stage.once.s(1)], refuses.s(), allow_failures=True).send()
    assert isinstance(await stage.outcome(result), Expected)
    stage.mended = True
    await result.resume()
    assert await stage.outcome(result) == ["Expected", "int"]
    told = [what for _, what in stage.heard if what != 1]
    assert told == [["Expected", "Expected"], ["Expected", "int"]]
    assert (await result.graph()).ended
