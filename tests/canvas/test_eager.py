"""Compositions that run where they are sent (`task_always_eager`): the same results as with workers, and at once."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aioqueue import AioQueue, Ignore, Reject, Task, TaskContext, chain, chord, group
from aioqueue.exceptions import AioQueueError, ChordError, ConfigurationError, TaskRevoked, UpstreamFailed

from .rows import ROWS, Row
from .stage import Expected, Stage
from .test_table import check


@pytest.fixture
def eager() -> Stage:
    """Tasks of an app that runs them in place. It is not open, has no worker, and its server is not there."""
    return Stage(AioQueue("tests", broker="redis://127.0.0.1:1", task_always_eager=True))


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
async def test_composition(eager: Stage, row: Row) -> None:
    """Each gives what it gives with workers."""
    result = await row.canvas(eager).send(*row.args, **row.kwargs)
    assert await result.ready(), "all of it has run before `send` returns"
    check(row, await eager.outcome(result, seconds=2), eager.heard)


async def test_nothing_runs_elsewhere(eager: Stage) -> None:
    """Coroutines in the sender's loop, plain functions in its threads."""
    where: list[tuple[Any, bool]] = []

    @eager.app.task
    async def coroutine() -> None:
        where.append((asyncio.get_running_loop(), True))

    @eager.app.task
    def thread() -> None:
        where.append((None, threading.current_thread() is threading.main_thread()))

    await group(coroutine.si(), thread.si()).send()
    assert sorted(where, key=str) == sorted([(asyncio.get_running_loop(), True), (None, False)], key=str)


async def test_tasks_know_that_they_run_in_place(eager: Stage) -> None:
    """Alone and in a composition; and none of them was called as a function."""
    seen: list[tuple[bool, bool]] = []

    @eager.app.task(bind=True)
    async def asks(ctx: TaskContext) -> None:
        seen.append((ctx.is_eager, ctx.request.called_directly))

    @eager.app.task(bind=True)
    async def becomes(ctx: TaskContext) -> None:
        raise ctx.replace(asks.si())

    @eager.app.task(bind=True)
    async def grows(ctx: TaskContext) -> None:
        await ctx.add_to_group(asks.si())

    await asks.send()
    await chord([asks.si(), asks.si()], asks.si()).send()
    await chain(becomes.si(), asks.si()).send()
    await group(grows.si()).send()
    assert seen == [(True, False)] * 7
    result = await chain(eager.same.si(1), grows.si()).send()
    with pytest.raises(AioQueueError, match=r"belongs to no group. Nothing was added"):
        await result.get(timeout=1)


async def test_a_worker_is_not_in_place(stage: Stage) -> None:
    @stage.app.task(bind=True)
    async def asks(ctx: TaskContext) -> bool:
        return ctx.is_eager

    assert await group(asks.si()).call(timeout=10) == [False]


async def test_delays_are_not_observed(eager: Stage) -> None:
    """Neither on the first tasks nor on later ones, nor on handlers: nobody would ever run them."""
    later = datetime.now(UTC) + timedelta(hours=1)
    hour = {"countdown": 3600}
    assert await chain(eager.same.s(1).set(**hour), eager.add.s(1).set(eta=later)).call(timeout=1) == 2
    assert await group(eager.same.s(1), eager.same.s(2)).set(countdown=3600).call(timeout=1) == [1, 2]
    assert await chord([eager.same.s(1)], eager.tsum.s().set(**hour)).call(timeout=1) == 1
    task = eager.fail.s()
    await chain(task, eager.same.s()).on_error(eager.told.s().set(**hour)).send()
    linked = eager.same.s(1)
    linked.link(eager.echo.s().set(**hour))
    await linked.send()
    assert eager.heard == [("fail", "Expected"), 1]


async def test_retries_are_made_at_once(eager: Stage) -> None:
    seen: list[int] = []

    @eager.app.task(bind=True, max_retries=3)
    async def persistent(ctx: TaskContext, x: int) -> int:
        seen.append(ctx.retries)
        if ctx.retries < 2:
            raise ctx.retry(countdown=3600)
        return x

    assert await chain(eager.same.s(1), persistent.s(), eager.add.s(1)).call(timeout=1) == 2
    assert seen == [0, 1, 2]


async def test_failures_are_in_the_results(eager: Stage) -> None:
    cases: list[tuple[Any, type[Exception]]] = [
        (chain(eager.fail.s(), eager.same.s()), UpstreamFailed),
        (chord([eager.fail.s(), eager.same.s(1)], eager.tsum.s()), ChordError),
        (group(eager.same.s(1), eager.fail.s()), Expected),
        (chain(eager.same.s(1), eager.becomes_failure.s()), Expected),
        (eager.becomes_failure.s(), Expected),
    ]
    for canvas, kind in cases:
        result = await canvas.send()
        assert await result.failed()
        with pytest.raises(kind):
            await result.get(timeout=1)


async def test_errors_come_out_of_send_when_asked_for(eager: Stage) -> None:
    """When all of it is over: handlers have heard of it, and other members have run."""
    eager.app.conf.task_eager_propagates = True
    with pytest.raises(UpstreamFailed) as caught:
        await chain(eager.fail.s(), eager.same.s()).on_error(eager.told.s("h")).send()
    assert isinstance(caught.value.__cause__, Expected)
    with pytest.raises(Expected):
        await group(eager.fail.s(), eager.echo.s("member")).send()
    with pytest.raises(Expected):
        await eager.becomes_failure.send()
    assert eager.heard == [("h", "fail", "Expected"), "member"]
    assert await group(eager.same.s(1)).call(timeout=1) == [1]


async def test_a_failed_replacement_is_the_failure_of_its_task(eager: Stage) -> None:
    """It is not retried: what has failed is not the function."""
    runs: list[int] = []

    @eager.app.task(bind=True, autoretry_for=(Expected,), max_retries=3)
    async def becomes(ctx: TaskContext) -> None:
        runs.append(ctx.retries)
        raise ctx.replace(chain(eager.same.s(1), eager.fail.s()))

    result = await becomes.send()
    assert await result.state() == "FAILURE"
    with pytest.raises(Expected):
        await result.get(timeout=1)
    assert runs == [0]


async def test_each_kind_of_replacement(eager: Stage) -> None:
    for task, expected in (
        (eager.replaced.s(1, 2), 3),
        (eager.becomes_chain.s(5), 5),
        (eager.becomes_group.s([1, 2], 1), [2, 3]),
        (eager.becomes_chord.s([1, 2], 1), 5),
        (eager.count_down.s(7, 5), 7),
    ):
        assert await task.call(timeout=1) == expected
    result = await eager.becomes_nothing.send()
    with pytest.raises(ConfigurationError, match="empty"):
        await result.get(timeout=1)


async def test_what_a_task_sends_knows_where_it_comes_from(eager: Stage) -> None:
    """Stamps, parents and roots, as with workers; whether it is a single task that sends or one of a composition."""

    @eager.app.task(bind=True)
    async def sends(ctx: TaskContext, *args: Any) -> Any:
        result: Any = await chain(eager.ids.si(), eager.same.s()).send()
        stamps = await chain(eager.same.si(), eager.stamps.si()).call(timeout=1)
        return ctx.id, ctx.root_id, await result.get(timeout=1), stamps

    for canvas in (sends.s().stamp(a=1), chain(sends.s(), eager.same.s()).stamp(a=1)):
        id, root, (_, parent, inner_root, _), stamps = await canvas.call(timeout=1)
        assert parent == id
        assert inner_root == root
        assert stamps == {"a": 1}


async def test_a_replacement_inherits_stamps(eager: Stage) -> None:
    @eager.app.task(bind=True)
    async def becomes(ctx: TaskContext) -> None:
        raise ctx.replace(eager.stamps.si().stamp(own=2))

    for canvas in (becomes.s(), chain(becomes.s(), eager.same.s())):
        assert await canvas.stamp(a=1).call(timeout=1) == {"a": 1, "own": 2}


async def test_a_task_that_sends_and_waits(eager: Stage) -> None:
    @eager.app.task
    async def outer(n: int) -> Any:
        return await chord([eager.same.s(n), eager.same.s(n)], eager.tsum.s()).call(timeout=1)

    assert await outer.call(2, timeout=1) == 4
    assert await chain(outer.s(1), outer.s(), outer.s()).call(timeout=1) == 8


async def test_what_has_expired_is_not_run(eager: Stage) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    result = await chain(eager.echo.s(1).set(expires=past), eager.echo.s()).send()
    with pytest.raises(UpstreamFailed) as caught:
        await result.get(timeout=1)
    assert isinstance(caught.value.__cause__, TaskRevoked)
    assert eager.heard == []


async def test_queues_of_all_names_are_worked_on(eager: Stage) -> None:
    """Also those that come up later, with a replacement."""

    @eager.app.task(bind=True)
    async def becomes(ctx: TaskContext, x: int) -> None:
        raise ctx.replace(eager.about.si().set(queue="third"))

    canvas = chain(eager.same.s(1).set(queue="first"), becomes.s().set(queue="second"), eager.same.s())
    assert (await canvas.call(timeout=1))[0] == "third"


async def test_a_failure_before_very_many(eager: Stage) -> None:
    """More than is ended in one go."""
    result: Any = await chain(eager.fail.s(), group(eager.echo.s() for _ in range(3000)), eager.same.s()).send()
    assert await result.ready()
    assert len(await result.parent.get(timeout=1, return_exceptions=True)) == 3000
    assert eager.heard == []


async def test_several_at_once(eager: Stage) -> None:
    """Their workers share a broker: each sender gets his own results."""
    canvases = [chord([eager.same.s(n), eager.same.s(n)], eager.tsum.s()) for n in range(10)]
    results = await asyncio.gather(*(canvas.send() for canvas in canvases))
    assert [await result.get(timeout=1) for result in results] == [2 * n for n in range(10)]


async def test_an_app_that_was_open_already(redis_url: str) -> None:
    """Others see what is sent through it, so it cannot be run in place."""
    stage = Stage(AioQueue("tests", broker=redis_url))
    async with stage.app:
        stage.app.conf.task_always_eager = True
        with pytest.raises(ConfigurationError, match=r"open already.*Nothing was sent"):
            await chain(stage.echo.s(1), stage.echo.s()).send()
    assert stage.heard == []


def test_from_a_synchronous_program(eager: Stage) -> None:
    result = chord([eager.same.s(1), eager.same.s(2)], eager.tsum.s()).sync.send()
    assert result.get(timeout=1) == 3
    eager.app.portal.close()


async def test_hooks_hear_of_a_single_task_as_of_one_in_a_chain(eager: Stage) -> None:
    told: list[str] = []

    class Hooked(Task[..., Any]):
        def before_start(self, *given: Any) -> None:
            told.append("before_start")

        def on_success(self, *given: Any) -> None:
            told.append("on_success")

        def on_retry(self, *given: Any) -> None:
            told.append("on_retry")

        def on_failure(self, *given: Any) -> None:
            told.append("on_failure")

        def after_return(self, state: str, *given: Any) -> None:
            told.append(state)

    @eager.app.task(base=Hooked, bind=True, max_retries=1)
    async def work(ctx: TaskContext, fails: bool) -> int:
        if ctx.retries == 0:
            raise ctx.retry(countdown=3600)
        if fails:
            raise Expected
        return 1

    for send in (work.send, lambda fails: chain(work.s(fails)).send()):
        told.clear()
        result = await send(False)
        assert await result.get(timeout=1) == 1
        assert told == ["before_start", "on_retry", "before_start", "on_success", "SUCCESS"]
        told.clear()
        assert await (await send(True)).state() == "FAILURE"
        assert told == ["before_start", "on_retry", "before_start", "on_failure", "FAILURE"]


async def test_what_a_single_task_has_not_said(eager: Stage) -> None:
    """It says Ignore, keeps no result, comes too late, is rejected, or makes a retry without raising it."""

    @eager.app.task
    async def ignores() -> None:
        raise Ignore

    @eager.app.task(ignore_result=True)
    async def kept() -> int:
        return 1

    @eager.app.task(ignore_result=True)
    async def unsendable() -> object:
        return object()

    @eager.app.task(bind=True)
    async def forgets(ctx: TaskContext) -> str:
        ctx.retry(countdown=0)
        return "done"

    @eager.app.task
    async def rejects() -> None:
        raise Reject("no use")

    past = datetime.now(UTC) - timedelta(hours=1)
    result = await ignores.send()
    assert await result.ready() and await result.get(timeout=1) is None
    assert await kept.call(timeout=1) == 1
    result = await unsendable.send()
    assert (await result.state(), await result.get(timeout=1)) == ("SUCCESS", None), "as in a worker"
    assert await (await kept.options(expires=past).send()).state() == "REVOKED"
    assert await (await forgets.send()).state() == "FAILURE"
    rejected = await rejects.send()
    assert await rejected.state() == "FAILURE"
    assert next(letter.id for letter in await eager.app.dead_letters.list()) == rejected.id


async def test_a_single_task_of_an_app_that_was_open_already(redis_url: str) -> None:
    stage = Stage(AioQueue("tests", broker=redis_url))
    async with stage.app:
        stage.app.conf.task_always_eager = True
        with pytest.raises(ConfigurationError, match=r"open already.*Nothing was sent"):
            await stage.echo.send(1)
    assert stage.heard == []
