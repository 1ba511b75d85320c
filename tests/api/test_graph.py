"""The picture of a workflow."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from aioqueue import AioQueue, Graph, TaskContext, chain, chord, group
from aioqueue.exceptions import AioQueueError

_PATIENCE = 20.0


@pytest.fixture
def app(app: AioQueue) -> AioQueue:
    @app.task(name="add")
    async def add(x: int, y: int) -> int:
        return x + y

    @app.task(name="total")
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    @app.task(name="fail")
    async def fail(*values: object) -> None:
        raise ValueError("no")

    @app.task(name="heard")
    async def heard(failure: object) -> None: ...

    @app.task(name="split", bind=True)
    async def split(ctx: TaskContext, x: int) -> int:
        raise ctx.replace(chain(add.s(x, 1), add.s(2)))

    @app.task(name="more", bind=True)
    async def more(ctx: TaskContext, x: int) -> int:
        await ctx.add_to_group(add.si(x, 10))
        return x

    return app


def names(graph: Graph) -> list[tuple[str, str]]:
    return sorted((graph[before].name, graph[after].name) for before, after in graph.edges)


async def test_a_chord_in_a_chain(app: AioQueue) -> None:
    add, total = app.tasks["add"], app.tasks["total"]
    async with app, app.worker():
        sent = await chain(add.s(1, 1), group(add.s(1), add.s(2)), total.s()).send()
        assert await sent.get(timeout=_PATIENCE) == 7
        graph = await sent.graph()
    first, members, join, last = graph.nodes[0], graph.nodes[2:4], graph.nodes[1], graph.nodes[4]
    assert [one.group for one in graph.nodes] == ["", "", join.id, join.id, ""]
    assert [one.after for one in (first, join, *members, last)] == ["", first.id, first.id, first.id, join.id]
    assert (graph.end, graph.state, graph.ended) == (sent.id, "SUCCESS", True)
    assert json.loads(json.dumps(graph.edges))


async def test_what_goes_on_in_the_place_of_a_task(app: AioQueue) -> None:
    """It comes after what came before the task, and there are no circles."""
    add, split = app.tasks["add"], app.tasks["split"]
    async with app, app.worker():
        sent = await chain(add.s(1, 1), split.s(), add.s(100)).send()
        assert await sent.get(timeout=_PATIENCE) == 105
        graph = await sent.graph()
    assert [node.name for node in graph.nodes] == ["add", "add", "add", "add"]
    order = [graph.end]
    while after := graph[order[0]].after:
        order.insert(0, after)
    assert len(order) == 4
    assert sorted(graph.edges) == sorted(pairwise(order))


async def test_what_joins_a_group(app: AioQueue) -> None:
    more, total = app.tasks["more"], app.tasks["total"]
    async with app, app.worker():
        sent = await chord([more.s(1), more.s(2)], total.s()).send()
        assert await sent.get(timeout=_PATIENCE) == 26
        graph = await sent.graph()
    [join] = [node for node in graph.nodes if node.kind == "group"]
    assert sorted(node.name for node in graph.nodes if node.group == join.id) == ["add", "add", "more", "more"]
    assert names(graph) == [("add", "group"), ("add", "group"), ("group", "total"), *[("more", "group")] * 2]


async def test_failures_and_their_handlers(app: AioQueue) -> None:
    add, fail, heard = app.tasks["add"], app.tasks["fail"], app.tasks["heard"]
    async with app, app.worker():
        sent = await chain(fail.s(), add.s(1)).on_error(heard.s()).send()
        with pytest.raises(AioQueueError):
            await sent.get(timeout=_PATIENCE)
        async with app.worker(burst=True):
            pass
        graph = await sent.graph()
    failed, after, handler = graph.nodes
    assert (failed.state, failed.upstream, after.state, after.upstream) == ("FAILURE", False, "FAILURE", True)
    assert (handler.kind, handler.after, handler.group) == ("handler", failed.id, "")
    assert names(graph) == [("fail", "add"), ("fail", "heard")]


async def test_a_task_alone(app: AioQueue) -> None:
    async with app:
        sent = await app.tasks["add"].send(1, 2)
        graph = await sent.graph()
    assert (graph.end, graph.state, graph.edges) == (sent.id, "SENT", [])


async def test_one_that_nothing_is_known_of(app: AioQueue) -> None:
    async with app:
        with pytest.raises(AioQueueError, match="Nothing is known of the workflow"):
            await Graph.load(await app.broker(), "x" * 36)
