"""What a failure means for what comes after it, and what error handlers are told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from aioqueue import AsyncResult, Reject, TaskContext, chain, chord, group
from aioqueue.exceptions import ChordError, ConfigurationError, PayloadError, TaskFailed, TaskRevoked, UpstreamFailed
from aioqueue.task_failure import TaskFailure

from .stage import Expected, Stage, causes


async def test_each_task_after_a_failed_one_ends_at_once_with_its_cause(stage: Stage) -> None:
    """D8: nobody waits for what can no longer run."""
    canvas = chain(stage.fail.s("x"), stage.same.s(), group(stage.same.s(), chain(stage.same.s(), stage.same.s())))
    result = await canvas.send()
    await stage.outcome(result)
    graph = await result.graph()
    assert graph.ended
    tasks = [node for node in graph.nodes if node.kind == "task"]
    assert len(tasks) == 5
    for node in tasks[1:]:
        error = (await stage.app.result(node.id).info()).exception
        assert isinstance(error, UpstreamFailed) and not isinstance(error, ChordError)
        assert isinstance(error, Expected) and isinstance(error.__cause__, Expected)
        assert error.__cause__.args == ("as asked", "x")
        assert tasks[0].id in str(error)
        assert "fail" in str(error)
    assert stage.heard == []


async def test_a_body_knows_why_it_did_not_run(stage: Stage) -> None:
    result = await chord([stage.same.s(1), stage.fail.s()], stage.echo.s()).send()
    with pytest.raises(ChordError, match=r"fail\[.*the body was not run") as caught:
        await result.get(timeout=10)
    assert isinstance(caught.value, UpstreamFailed)
    assert isinstance(caught.value.__cause__, Expected)
    info = await result.info()
    assert info.state == "FAILURE"
    assert info.name in ("echo", "")
    assert stage.heard == []


async def test_what_an_error_handler_is_given(stage: Stage) -> None:
    seen: list[TaskFailure] = []

    @stage.app.task
    async def look(failure: TaskFailure, *args: object) -> None:
        seen.append(failure)
        assert args == ("more", 5)

    @stage.app.task(bind=True, max_retries=2)
    async def charge(ctx: TaskContext, order: int, *, currency: str) -> None:
        raise ctx.retry(exc=Expected("no money"), countdown=0)

    result = await charge.s(7, currency="EUR").on_error(look.s("more", 5)).send()
    assert isinstance(await stage.outcome(result), Expected)
    (failure,) = seen
    assert (failure.task_id, failure.name) == (result.id, charge.name)
    assert (failure.args, failure.kwargs) == ((7,), {"currency": "EUR"})
    assert isinstance(failure.exception, Expected)
    assert failure.exception.args == ("no money",)
    assert failure.retries == 2
    assert "Expected: no money" in failure.traceback


async def test_a_handler_is_given_what_the_task_had_taken(stage: Stage) -> None:
    seen: list[TaskFailure] = []

    @stage.app.task
    async def look(failure: TaskFailure) -> None:
        seen.append(failure)

    result = await chain(stage.add.s(1, 2), stage.fail.s("own")).on_error(look.s()).send()
    await stage.outcome(result)
    assert [failure.args for failure in seen] == [(3, "own")]


async def test_a_handler_hears_of_a_body_with_the_chord_error(stage: Stage) -> None:
    seen: list[TaskFailure] = []

    @stage.app.task
    async def look(failure: TaskFailure) -> None:
        seen.append(failure)

    result = await chord([stage.fail.s("x")], stage.same.s().on_error(look.s())).send()
    await stage.outcome(result)
    (failure,) = seen
    assert (failure.task_id, failure.name) == (result.id, "same")
    assert isinstance(failure.exception, ChordError)
    assert isinstance(failure.exception.__cause__, Expected)


async def test_a_failing_handler_is_recorded_and_disturbs_nobody(stage: Stage) -> None:
    canvas = group(stage.fail.s(), stage.same.s(1)).on_error(stage.failing_handler.s()).on_error(stage.told.s())
    result = await canvas.send()
    await stage.outcome(result)
    assert sorted(map(str, stage.heard)) == ["('fail', 'Expected')", "failing handler"]
    graph = await result.graph()
    (handler,) = [node for node in graph.nodes if node.name == "failing_handler"]
    info = await stage.app.result(handler.id).info()
    assert info.state == "FAILURE"
    assert isinstance(info.exception, ValueError)
    assert graph.ended


async def test_a_handler_may_be_retried(stage: Stage) -> None:
    @stage.app.task(bind=True, max_retries=3)
    async def persistent(ctx: TaskContext, failure: TaskFailure) -> None:
        if ctx.retries < 2:
            raise ctx.retry(countdown=0)
        stage.heard.append((ctx.retries, failure.name, str(failure.exception)))

    result = await stage.fail.s().on_error(persistent.s()).send()
    await stage.outcome(result)
    assert stage.heard == [(2, "fail", "as asked")]


async def test_a_handler_of_a_thread_and_with_options_of_its_own(stage: Stage) -> None:
    @stage.app.task(bind=True)
    def in_thread(ctx: TaskContext, failure: TaskFailure) -> None:
        stage.heard.append((failure.name, ctx.priority, ctx.headers))

    handler = in_thread.s().set(priority=9, headers={"a": 1})
    await stage.outcome(await chain(stage.fail.s()).set(priority=1).on_error(handler).send())
    assert stage.heard == [("fail", 9, {"a": 1})]


async def test_what_a_lenient_body_is_given(stage: Stage) -> None:
    """Exceptions of their own types in the places of the results, also where the annotation says numbers."""
    seen: list[object] = []

    @stage.app.task
    async def body(results: list[int]) -> int:
        seen.extend(results)
        return sum(one for one in results if not isinstance(one, Exception))

    header = [stage.same.s(1), stage.fail.s("x"), chain(stage.fail.s("y"), stage.same.s()), stage.same.s(4)]
    result = await chord(header, body.s(), allow_failures=True).send()
    assert await result.get(timeout=10) == 5
    one, failed, upstream, four = seen
    assert (one, four) == (1, 4)
    assert isinstance(failed, Expected)
    assert failed.args == ("as asked", "x")
    assert isinstance(upstream, UpstreamFailed)
    assert isinstance(upstream.__cause__, Expected)


async def test_a_revoked_member_of_a_lenient_header(actors: Stage) -> None:
    async with actors.app:
        member = actors.same.s(2).set(task_id="the-revoked-one")
        result = await chord([actors.same.s(1), member], actors.kinds.s(), allow_failures=True).send()
        assert await actors.app.result("the-revoked-one").revoke()
        async with actors.working():
            assert await result.get(timeout=10) == [1, "TaskRevoked"]


async def test_revoked_is_no_failure_for_handlers(actors: Stage) -> None:
    async with actors.app:
        canvas = chain(actors.same.s(1).set(task_id="first"), actors.same.s()).on_error(actors.told.s())
        result = await canvas.send()
        assert await actors.app.result("first").revoke(reason="not needed")
        with pytest.raises(UpstreamFailed, match="was revoked") as caught:
            await result.get(timeout=10)
        assert isinstance(caught.value.__cause__, TaskRevoked)
        async with actors.working():
            await actors.quiet()
    assert actors.heard == []


async def test_a_result_that_cannot_be_sent_is_a_failure_of_its_task(stage: Stage) -> None:
    @stage.app.task
    async def unsendable() -> object:
        return object()

    result = await chain(unsendable.s(), stage.same.s()).on_error(stage.told.s()).send()
    error = await stage.outcome(result)
    assert isinstance(error, UpstreamFailed)
    assert isinstance(error.__cause__, PayloadError)
    assert stage.heard == [(unsendable.name, "PayloadError")]


async def test_a_step_whose_argument_does_not_fit(stage: Stage) -> None:
    """The result of one step is no argument of the next: that one fails, with its handlers, and not the worker."""

    @stage.app.task
    async def takes_number(x: datetime) -> None:
        stage.heard.append("ran")

    result = await chain(stage.same.s("no number"), takes_number.s(), stage.same.s()).on_error(stage.told.s()).send()
    error = await stage.outcome(result)
    assert isinstance(error, UpstreamFailed)
    assert isinstance(error.__cause__, PayloadError)
    assert stage.heard == [(takes_number.name, "PayloadError")]


async def test_a_step_that_no_worker_knows(stage: Stage) -> None:
    """It ends among the dead letters, and all after it with it."""
    unknown = stage.app.tasks.pop("threaded").s()
    result = await chain(stage.same.s(1), unknown, stage.same.s()).on_error(stage.told.s()).send()
    error = await stage.outcome(result)
    assert isinstance(error, UpstreamFailed)
    (dead,) = await stage.app.dead_letters.list()
    assert dead.name == "threaded"
    assert stage.heard == [("threaded", "NotRegistered")]


async def test_an_expired_step_ends_what_comes_after_it(stage: Stage) -> None:
    result = await chain(stage.same.s(1).set(countdown=0.1, expires=0.01), stage.same.s()).send()
    error = await stage.outcome(result)
    assert isinstance(error, UpstreamFailed)
    assert isinstance(error.__cause__, TaskRevoked)


async def test_a_handler_is_a_single_task(actors: Stage) -> None:
    for errback in (chain(actors.told.s()), group(actors.told.s()), chord([actors.same.s()], actors.told.s())):
        with pytest.raises(ConfigurationError, match="single task, not a"):
            actors.same.s(1).link_error(errback)
        with pytest.raises(ConfigurationError, match="single task, not a"):
            group(actors.same.s(1)).on_error(errback)
        with pytest.raises(ConfigurationError, match="single task, not a"):
            actors.same.signature((1,), link_error=errback)


@pytest.mark.parametrize("kind", ["link", "link_error"])
async def test_a_handler_with_callbacks_of_its_own_is_refused(stage: Stage, kind: str) -> None:
    handler = stage.told.s()
    getattr(handler, kind)(stage.echo.si("x"))
    with pytest.raises(ConfigurationError, match=r"of its own.*Nothing was sent"):
        await stage.fail.s().on_error(handler).send()
    await stage.quiet()
    assert stage.heard == []


async def test_the_error_of_an_unknown_type(stage: Stage) -> None:
    """A message causes no import: what is not known here is a TaskFailed with all that is known."""

    @stage.app.task
    async def odd() -> None:
        raise type("Odd", (Exception,), {"__module__": "nowhere"})("text")

    result = await chain(odd.s(), stage.same.s()).send()
    with pytest.raises(UpstreamFailed) as caught:
        await result.get(timeout=10)
    assert isinstance(caught.value.__cause__, TaskFailed)
    assert caught.value.__cause__.exception_type == "nowhere.Odd"


async def test_failures_in_both_of_two_groups_are_all_told(stage: Stage) -> None:
    header = group(stage.fail.s(1), group(stage.fail.s(2)).on_error(stage.told.s("inner")), stage.same.s(3))
    result: AsyncResult[object] = await chord(header, stage.same.s()).on_error(stage.told.s("outer")).send()
    await stage.outcome(result)
    assert sorted(stage.heard) == [("inner", "fail", "Expected"), *[("outer", "fail", "Expected")] * 2]


@pytest.mark.parametrize("immutable", [False, True])
async def test_a_workflow_ends_with_its_last_handler(stage: Stage, immutable: bool) -> None:
    """What it takes for nothing of it to stay for ever."""

    @stage.app.task
    async def wait(*args: object) -> None:
        await stage.gate.wait()

    make = wait.si if immutable else wait.s
    result = await stage.fail.s().on_error(make()).on_error(make("another")).send()
    with pytest.raises(Expected):
        await result.get(timeout=10)
    await stage.until(lambda: stage.gate.inside == 2)
    assert not (await result.graph()).ended
    stage.gate.open()
    await stage.quiet()
    graph = await result.graph()
    assert graph.ended, graph.nodes


@pytest.mark.parametrize("immutable", [False, True])
async def test_a_handler_among_the_dead_letters_is_called_again(stage: Stage, immutable: bool) -> None:
    @stage.app.task
    async def refuse(*args: object) -> None:
        stage.heard.append("called")
        raise Reject("as asked")

    result = await stage.fail.s().on_error(refuse.si() if immutable else refuse.s()).send()
    await stage.outcome(result)
    (dead,) = await stage.app.dead_letters.list()
    assert await stage.app.dead_letters.requeue(dead.id)
    await stage.quiet()
    assert stage.heard == ["called", "called"]
    assert (await result.graph()).ended


@pytest.mark.parametrize("nested", [False, True])
async def test_a_body_that_takes_failures_waits_for_all_members_of_a_group_with_a_link(
    stage: Stage, nested: bool
) -> None:
    """A group directly in a header is a part of it, and not ended by its first failure."""
    inner = group(stage.fail.s(), stage.patient.s(1), stage.same.s(2))
    inner.link(stage.echo.si("not called"))
    if nested:
        inner = group(inner, stage.same.s(3))
        inner.link(stage.echo.si("not called either"))
    result = await chord([inner, stage.same.s(4)], stage.kinds.s(), allow_failures=True).send()
    await stage.until(lambda: stage.gate.inside == 1)
    assert not await result.ready()
    stage.gate.open()
    expected = ["Expected", 1, 2, 3, 4] if nested else ["Expected", 1, 2, 4]
    assert await stage.outcome(result) == expected
    assert stage.heard == []


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("place", ["here", "in a replacement"])
async def test_what_fails_in_a_link_is_told_to_no_handler_around_it(stage: Stage, place: str, deep: bool) -> None:
    """A link is nobody's step; only handlers of its own hear of it."""

    def linked() -> Any:
        task = stage.same.s(1)
        link = stage.becomes_failure.si() if deep else stage.fail.si()
        task.link(chain(stage.same.s(), group(link, stage.same.s())).on_error(stage.told.s("link")))
        return task

    @stage.app.task(bind=True)
    async def becomes(ctx: TaskContext) -> None:
        raise ctx.replace(linked())

    canvas = linked() if place == "here" else becomes.s()
    result = await chain(canvas, stage.same.s()).on_error(stage.told.s("whole")).send()
    assert await stage.outcome(result) == 1
    assert stage.heard == [("link", "fail", "Expected")]


@pytest.mark.parametrize("place", ["here", "in a group", "in a replacement", "in a chord"])
async def test_what_fails_in_an_added_member_is_told_to_the_handlers_of_its_group(stage: Stage, place: str) -> None:
    @stage.app.task(bind=True)
    async def grows(ctx: TaskContext) -> int:
        await ctx.add_to_group(chain(stage.same.s(1), stage.fail.s()))
        return 0

    def grown() -> Any:
        # Handlers of a single task are not those of the group that it adds to.
        return group(grows.s().on_error(stage.told.s("member")), stage.same.s(1)).on_error(stage.told.s("group"))

    @stage.app.task(bind=True)
    async def becomes(ctx: TaskContext) -> None:
        raise ctx.replace(grown())

    canvases = {
        "here": grown(),
        "in a group": group(grown(), stage.same.s(2)),
        "in a replacement": chain(becomes.s(), stage.same.s()),
        "in a chord": chord(grown(), stage.same.s()),
    }
    result = await canvases[place].on_error(stage.told.s("whole")).send()
    error = await stage.outcome(result)
    assert any(isinstance(one, Expected) for one in causes(error))
    assert sorted(stage.heard) == [("group", "fail", "Expected"), ("whole", "fail", "Expected")]
    assert (await result.graph()).ended


async def test_what_fails_in_a_member_added_in_a_link_is_told_to_handlers_of_the_link_only(stage: Stage) -> None:
    @stage.app.task(bind=True)
    async def grows(ctx: TaskContext) -> int:
        await ctx.add_to_group(stage.fail.s())
        return 0

    @stage.app.task(bind=True)
    async def becomes(ctx: TaskContext) -> None:
        task = stage.same.s(1)
        task.link(group(grows.si(), stage.same.s()).on_error(stage.told.s("link")))
        raise ctx.replace(task)

    result = await chain(becomes.s(), stage.same.s()).on_error(stage.told.s("whole")).send()
    assert await stage.outcome(result) == 1
    assert stage.heard == [("link", "fail", "Expected")]
