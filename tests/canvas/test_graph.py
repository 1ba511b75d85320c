"""Workflows as pictures."""

from __future__ import annotations

import pytest

from aioqueue import TaskContext, chain, chord, group
from aioqueue.exceptions import AioQueueError

from .stage import Stage


async def test_a_chain_as_mermaid(stage: Stage) -> None:
    result = await chain(stage.same.s(1), stage.fail.s(), stage.same.s()).send()
    await stage.outcome(result)
    assert (await result.graph()).to_mermaid() == (
        "flowchart LR\n"
        '    n0["same<br/>SUCCESS"]\n'
        '    n1["fail<br/>FAILURE"]\n'
        '    n2["same<br/>FAILURE"]\n'
        "    n0 --> n1\n"
        "    n1 --> n2\n"
        "    style n0 fill:#c8e6c9\n"
        "    style n1 fill:#ffcdd2\n"
        "    style n2 fill:#ffcdd2\n"
    )


async def test_a_chord_as_graphviz(actors: Stage) -> None:
    async with actors.app:
        result = await chord([actors.same.s(1), actors.same.s(2)], actors.tsum.s()).send()
        text = (await result.graph()).to_dot()
    assert text == (
        "digraph workflow {\n"
        "    rankdir=LR\n"
        "    node [style=filled]\n"
        '    n0 [label="group\\nPENDING", shape=hexagon, fillcolor="#eeeeee"]\n'
        '    n1 [label="same\\nSENT", shape=box, fillcolor="#bbdefb"]\n'
        '    n2 [label="same\\nSENT", shape=box, fillcolor="#bbdefb"]\n'
        '    n3 [label="tsum\\nPENDING", shape=box, fillcolor="#eeeeee"]\n'
        "    n0 -> n3\n"
        "    n1 -> n0\n"
        "    n2 -> n0\n"
        "}\n"
    )


async def test_what_happens_meanwhile(stage: Stage) -> None:
    result = await chain(stage.same.s(1), stage.patient.s(), stage.same.s()).send()
    await stage.until(lambda: stage.gate.came)
    graph = await result.graph()
    assert [node.state for node in graph.nodes] == ["SUCCESS", "SENT", "PENDING"] or [
        node.state for node in graph.nodes
    ] == ["SUCCESS", "STARTED", "PENDING"]
    assert not graph.ended
    stage.gate.open()
    await stage.outcome(result)
    assert (await result.graph()).ended


async def test_upstream_failures_are_told_from_failures(stage: Stage) -> None:
    result = await chain(stage.fail.s(), stage.same.s()).send()
    await stage.outcome(result)
    graph = await result.graph()
    assert [node.upstream for node in graph.nodes] == [False, True]
    assert graph[result.id].name == "same"
    with pytest.raises(KeyError):
        graph["unknown"]


async def test_handlers_are_shown_with_what_they_were_called_for(stage: Stage) -> None:
    result = await group(stage.fail.s(), stage.same.s(1)).on_error(stage.told.s()).send()
    await stage.outcome(result)
    graph = await result.graph()
    (handler,) = [node for node in graph.nodes if node.kind == "handler"]
    (failed,) = [node for node in graph.nodes if node.name == "fail"]
    assert handler.name == "told"
    assert (failed.id, handler.id) in graph.edges


async def test_replacements_and_added_members_are_in_it(stage: Stage) -> None:
    @stage.app.task(bind=True)
    async def becomes(ctx: TaskContext) -> None:
        await ctx.add_to_group(stage.echo.si("added"))
        raise ctx.replace(chain(stage.mul.si(2, 2), stage.add.s(1)))

    result = await chord([becomes.s()], stage.tsum.s().set(ignore_result=False)).send()
    await stage.outcome(result)
    graph = await result.graph()
    names = {node.name for node in graph.nodes}
    assert {"mul", "add", "echo", "tsum"} <= names
    assert {node.state for node in graph.nodes if node.name in ("mul", "add", "echo")} == {"SUCCESS"}
    ids = {node.id for node in graph.nodes}
    assert all(before in ids and after in ids for before, after in graph.edges)


async def test_names_are_data_in_pictures(stage: Stage) -> None:
    """Nothing in a task's name is markup, or ends a label."""
    evil = 'a"] --> b\\n<script>alert(1)</script>`**'

    @stage.app.task(name=evil)
    async def named() -> int:
        return 1

    result = await chain(named.s(), stage.same.s()).send()
    await stage.outcome(result)
    graph = await result.graph()
    assert "<script" not in graph.to_mermaid()
    (line,) = [line for line in graph.to_mermaid().splitlines() if "alert" in line]
    assert line.count('"') == 2
    (line,) = [line for line in graph.to_dot().splitlines() if "alert" in line]
    label = line.partition('label="')[2].partition('", shape=')[0]
    assert label.replace("\\\\", "").replace('\\"', "").count('"') == 0


async def test_a_single_task_is_a_graph_of_one(stage: Stage) -> None:
    result = await stage.same.send(1)
    await stage.outcome(result)
    graph = await result.graph()
    assert [(node.name, node.state) for node in graph.nodes] == [("same", "SUCCESS")]
    assert graph.edges == []
    assert str(graph) == graph.to_mermaid()


async def test_each_result_of_a_workflow_shows_all_of_it(stage: Stage) -> None:
    result = await chain(stage.same.s(1).set(task_id="first"), stage.same.s()).send()
    assert len((await stage.app.result("first").graph()).nodes) == 2
    await stage.outcome(result)
    assert len((await stage.app.result(result.id).graph()).nodes) == 2


async def test_nothing_is_known(make_stage: object) -> None:
    stage: Stage = make_stage(result_expires=0.05)  # type: ignore[operator]
    async with stage.working():
        result = await chain(stage.same.s(1), stage.same.s()).send()
        await stage.quiet()

        async def gone() -> bool:
            try:
                await result.graph()
            except AioQueueError as error:
                return "Nothing is known of the workflow" in str(error)
            return False

        await stage.until(gone)
