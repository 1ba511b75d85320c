"""Results of workflows: of groups, and how they hang together."""

from __future__ import annotations

import gc
from contextlib import aclosing
from types import FunctionType, ModuleType
from typing import Any

import pytest
from support.apps import MakeApp

from aioqueue import AsyncResult, GroupResult, chain, chord, group
from aioqueue.canvas.layout import Layout
from aioqueue.exceptions import TimeoutError, UpstreamFailed
from aioqueue.workflow import TASK, Node, Part

from .stage import Expected, Stage


def reachable(one: object, *, beyond: object) -> list[Any]:
    """All that is held by something, without what `beyond` holds."""
    found: dict[int, Any] = {}
    pending = [one]
    while pending:
        one = pending.pop()
        if id(one) not in found and one is not beyond and not isinstance(one, type | FunctionType | ModuleType):
            found[id(one)] = one
            pending += gc.get_referents(one)
    return list(found.values())


async def test_a_result_holds_nothing_of_what_was_sent(stage: Stage) -> None:
    """Who keeps a result keeps how the tasks belong together: not the messages, nor what was needed to make them."""
    stage.app.observers.append(lambda *about: None)
    text = "arguments" * 1_000
    result = await chord([stage.same.s(text), stage.same.s(text)], stage.same.s()).send()
    held = reachable(result, beyond=stage.app)
    assert sum(len(one) for one in held if isinstance(one, bytes | str)) < len(text)
    assert [type(one).__name__ for one in held if isinstance(one, Layout | Part | Node)] == []
    assert len(await result.parent.get(timeout=10)) == 2


async def test_a_groups_results_in_its_order(stage: Stage) -> None:
    result = await group(stage.add.s(i, i) for i in range(10)).send()
    assert isinstance(result, GroupResult)
    assert await result.get(timeout=10) == [2 * i for i in range(10)]
    assert [await one.get(timeout=10) for one in result.results] == [2 * i for i in range(10)]
    assert len(result) == 10
    assert result[3].id == result.results[3].id
    assert await result.completed_count() == 10
    assert await result.state() == "SUCCESS"
    assert (await result.ready(), await result.successful(), await result.failed()) == (True, True, False)


async def test_a_group_of_which_some_run(stage: Stage) -> None:
    result = await group(stage.same.s(1), stage.patient.s(2), stage.fail.s(3)).send()
    assert await result[0].get(timeout=10) == 1
    with pytest.raises(Expected):
        await result[2].get(timeout=10)
    assert await result.completed_count() == 1
    assert (await result.ready(), await result.successful(), await result.failed()) == (False, False, True)
    with pytest.raises(Expected):  # at once, though a member still runs
        await result.get(timeout=10)
    stage.gate.open()
    values = await result.get(timeout=10, return_exceptions=True)
    assert values[:2] == [1, 2]
    assert isinstance(values[2], Expected)
    assert values[2].args == ("as asked", 3)
    assert await result.state() == "FAILURE"
    assert await result.completed_count() == 2


async def test_a_group_that_does_not_end_in_time(stage: Stage) -> None:
    result = await group(stage.same.s(1), stage.patient.s(2)).send()
    await result[0].get(timeout=10)
    with pytest.raises(TimeoutError, match="1 of the 2 tasks"):
        await result.get(timeout=0.05)
    stage.gate.open()
    assert await result.get(timeout=10) == [1, 2]


async def test_as_completed_gives_each_when_it_is_there(stage: Stage) -> None:
    result = await group(stage.patient.s(1), stage.same.s(2)).send()
    found: list[tuple[int, int]] = []
    async for index, value in result.as_completed():
        found.append((index, value))
        stage.gate.open()
    assert found == [(1, 2), (0, 1)]


async def test_as_completed_raises_what_a_member_raised(stage: Stage) -> None:
    result = await group(stage.same.s(1), stage.fail.s()).send()
    with pytest.raises(BaseException) as caught:
        async for _ in result.as_completed():
            pass
    assert isinstance(caught.value, Expected), "not wrapped in a group of exceptions"


async def test_as_completed_can_be_left(stage: Stage) -> None:
    result = await group(stage.same.s(1), stage.patient.s(2)).send()
    async with aclosing(result.as_completed()) as completed:
        async for index, value in completed:
            assert (index, value) == (0, 1)
            break
    stage.gate.open()
    assert await result.get(timeout=10) == [1, 2]


async def test_groups_in_groups(stage: Stage) -> None:
    result = await group(stage.same.s(1), chain(stage.same.s(2), group(stage.same.s(), stage.fail.s()))).send()
    inner = result[1]
    assert isinstance(inner, GroupResult)
    values = await result.get(timeout=10, return_exceptions=True)
    assert values[0] == 1
    assert isinstance(values[1], Expected)
    assert await inner[0].get(timeout=10) == 2
    assert await inner.completed_count() == 1
    assert await result.completed_count() == 1, "of its two members, one has ended well"


async def test_members_that_joined_later_come_last(stage: Stage) -> None:
    result = await group(stage.grow.s([1, 2], 10), stage.same.s(5)).send()
    assert await result.get(timeout=10) == [0, 5, 11, 12]
    assert len(result) == 2


async def test_an_empty_group_is_there_at_once(stage: Stage) -> None:
    result = await group().send()
    assert await result.get(timeout=10) == []
    assert await result.completed_count() == 0
    assert await result.ready()
    assert [one async for one in result.as_completed()] == []


async def test_an_empty_group_ends_with_what_is_before_it(stage: Stage) -> None:
    result = await chain(stage.patient.s(1), group()).send()
    assert not await result.ready()
    assert await result.state() == "SENT"
    with pytest.raises(TimeoutError, match="0 of the 0"):
        await result.get(timeout=0.05)
    stage.gate.open()
    assert await result.get(timeout=10) == []
    assert await result.successful()


@pytest.mark.parametrize("nested", [False, True])
async def test_an_empty_group_after_a_failure_has_failed(stage: Stage, nested: bool) -> None:
    broken = chain(stage.fail.s(), group())
    result = await (group(broken, stage.same.s(1)) if nested else broken).send()
    with pytest.raises(UpstreamFailed):
        await result.get(timeout=10)
    assert await result.state() == "FAILURE"
    assert await result.failed()


async def test_an_empty_group_after_failures_that_are_let_through_has_not_failed(stage: Stage) -> None:
    result = await chord([stage.fail.s(), stage.same.s(1)], group(), allow_failures=True).send()
    assert await result.get(timeout=10) == []
    assert await result.successful()


async def test_a_group_is_forgotten(stage: Stage) -> None:
    result = await group(stage.same.s(1), stage.same.s(2)).send()
    await result.get(timeout=10)
    await result.forget()
    assert [await stage.app.result(one.id).state() for one in result.results] == ["PENDING", "PENDING"]


async def test_parents_and_children(stage: Stage) -> None:
    canvas = chain(stage.same.s(1), group(stage.add.s(1), stage.add.s(2)), stage.tsum.s(), stage.add.s(5))
    last = await canvas.send()
    assert await last.get(timeout=10) == 10
    total = last.parent
    assert total is not None
    assert await total == 5
    middle = total.parent
    assert isinstance(middle, GroupResult)
    assert await middle.get() == [2, 3]
    first = middle.parent
    assert first is not None
    assert await first == 1
    assert first.parent is None
    assert last.children == []
    assert [one.id for one in total.children] == [last.id]
    assert [one.id for one in middle.children] == [one.id for one in middle.results]
    assert {one.id for one in first.children} >= {one.id for one in middle.results}


async def test_parent_and_root_ids_along_a_chain(stage: Stage) -> None:
    """[parent_ids]: each task's parent is the one before it, its root the first."""
    result: AsyncResult[object] | None = await chain(stage.ids.si() for _ in range(10)).send()
    values: list[list[str]] = []
    while result is not None:
        values.insert(0, await result.get(timeout=10))
        assert values[0][0] == result.id
        result = result.parent
    assert len(values) == 10
    assert [parent for _, parent, _, _ in values] == [None, *(id for id, *_ in values[:-1])]
    assert {root for *_, root, _ in values} == {values[0][0]}


async def test_parent_and_root_ids_in_a_group_after_a_chain(stage: Stage) -> None:
    """[parent_ids of a group]"""
    result = await (stage.ids.si() | stage.ids.si() | group(stage.ids.si() for _ in range(2, 50))).send()
    values = await result.get(timeout=10)
    before = result.parent
    assert before is not None
    assert before.parent is not None
    assert len(values) == 48
    for _, parent, root, of_group in values:
        assert (parent, root, of_group) == (before.id, before.parent.id, result.id)


@pytest.mark.parametrize("upgraded", [False, True])
async def test_parent_ids_of_a_chord(stage: Stage, upgraded: bool) -> None:
    """[parent_ids, parent_ids__OR]"""
    header = [stage.ids.si() for _ in range(5)]
    if upgraded:
        canvas = stage.ids.si() | stage.ids.si() | group(header) | stage.ids.s() | stage.ids.si()
    else:
        canvas = chain(stage.ids.si(), stage.ids.si(), chord(header, chain(stage.ids.s(), stage.ids.si())))
    last = await canvas.send()
    id, parent, root, _ = await last.get(timeout=10)
    body = last.parent
    assert body is not None
    assert (id, parent) == (last.id, body.id)
    members = body.parent
    assert isinstance(members, GroupResult)
    second = members.parent
    assert second is not None
    first = second.parent
    assert first is not None
    assert first.parent is None
    assert root == first.id
    assert {one[1] for one in await members.get(timeout=10)} == {second.id}
    assert {one[2] for one in await members.get(timeout=10)} == {first.id}


async def test_the_members_of_a_group_know_its_id(stage: Stage) -> None:
    """[chord_header_id]: all members have one group id, which is that of the group's result."""
    result = await chain(
        stage.same.s(42), chord([stage.ids.s(), chain(stage.same.s(), stage.ids.s())], stage.same.s())
    ).send()
    first, second = await result.get(timeout=10)
    assert result.parent is not None
    assert first[3] == second[3] == result.parent.id


async def test_the_id_of_a_chain_is_that_of_its_last_task(stage: Stage) -> None:
    """[freezing_chain_sets_id_of_last_task]"""
    result = await chain(stage.ids.si(), stage.ids.si()).set(task_id="mine").send()
    assert result.id == "mine"
    assert (await result.get(timeout=10))[0] == "mine"
    again = await chain(stage.ids.si().set(task_id="first"), stage.ids.si().set(task_id="last")).send()
    assert again.id == "last"
    assert (await stage.app.result("first").get(timeout=10))[0] == "first"


async def test_the_same_canvas_is_sent_again_and_again(stage: Stage) -> None:
    canvas = chain(stage.add.s(1), group(stage.add.s(1), stage.add.s(2)), stage.tsum.s())
    results = [await canvas.send(i) for i in range(5)]
    assert len({result.id for result in results}) == 5
    assert [await result.get(timeout=10) for result in results] == [2 * (i + 1) + 3 for i in range(5)]


async def test_send_many_takes_canvases(stage: Stage) -> None:
    """[result_set]"""
    results = await stage.app.send_many([stage.add.s(1, 1), stage.add.s(2, 2)])
    assert [await result.get(timeout=10) for result in results] == [2, 4]


async def test_words_of_celery_for_sending(stage: Stage) -> None:
    canvas = stage.add.s(1) | stage.add.s(2)
    assert await (await canvas.delay(3)).get(timeout=10) == 6
    assert await (await canvas.apply_async((3,), {"z": 100}, priority=3)).get(timeout=10) == 106
    assert await canvas.call(4, timeout=10) == 7
    assert await (await group(stage.same.s(1)).delay()).get(timeout=10) == [1]
    assert canvas.options == {}, "apply_async leaves the canvas as it is"


async def test_ignored_results_pass_on_all_the_same(stage: Stage) -> None:
    """What nobody can ask for is still the next one's argument."""
    canvas = chain(stage.add.s(1, 2).set(ignore_result=True, task_id="ignored"), stage.add.s(3))
    assert await canvas.call(timeout=10) == 6
    header = [stage.same.s(i).set(ignore_result=True) for i in range(3)]
    assert await chord(header, stage.tsum.s()).call(timeout=10) == 3
    assert await stage.app.result("ignored").state() == "PENDING"


async def test_no_chunks_are_sent_by_their_tasks_app_although_there_are_others(
    stage: Stage, make_stage: MakeApp
) -> None:
    other = make_stage("another")
    result = await stage.add.chunks([], 3).send()
    assert await result.get(timeout=10) == []
    assert result.app is stage.app is not other.app


async def test_what_is_immutable_takes_no_value(stage: Stage) -> None:
    """The broker is told, and gives it none."""
    canvas = chain(
        stage.add.s(1, 1), group(stage.add.s(1), stage.add.si(2, 2)), stage.tsum.si([3, 4]), stage.add.si(5, 5)
    )
    result = await canvas.send()
    assert await result.get(timeout=10) == 10
    status = await (await stage.app.broker()).workflow(result.id.partition(".")[0])
    assert status is not None
    takes = [node.takes for n, node in sorted(status.nodes.items()) if node.kind == TASK and n]
    assert takes == [False, True, False, False, False]
