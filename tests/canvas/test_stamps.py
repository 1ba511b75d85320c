"""Stamps: who has which, and what is revoked by them."""

from __future__ import annotations

from typing import Any

import pytest

from aioqueue import TaskContext, chain, chord, group
from aioqueue.canvas import StampingVisitor
from aioqueue.exceptions import PayloadError, TaskRevoked

from .stage import Stage


class Mark(StampingVisitor):
    """Marks each task."""

    def __init__(self, **stamps: Any) -> None:
        self.stamps = stamps

    def on_signature(self, sig: Any) -> dict[str, Any]:
        return self.stamps


CANVASES = [
    lambda s: s.stamps.s(),
    lambda s: group(s.stamps.s(), s.stamps.s()),
    lambda s: chain(s.stamps.s(), s.stamps.s()),
    lambda s: chord([s.stamps.s(), s.stamps.s()], s.same.s()),
    lambda s: chain(group(s.stamps.s()), s.same.s()),
    lambda s: group(s.stamps.s() | s.stamps.s(), s.stamps.s() | s.stamps.s()),
    lambda s: chord([s.stamps.s() | s.stamps.s(), s.stamps.s()], s.same.s()),
    lambda s: chain(chain(s.stamps.s() | s.stamps.s(), s.stamps.s()), s.stamps.s()),
    lambda s: chord(group(chain(s.stamps.s(), s.stamps.s()), chord([s.stamps.s()], s.same.s())), s.same.s()),
    lambda s: s.stamps.chunks([(1,), (2,)], 1),
    lambda s: s.stamps.map([1, 2]),
]


def leaves(value: Any) -> list[Any]:
    return [leaf for one in value for leaf in leaves(one)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("how", ["stamp", "visitor", "option"])
@pytest.mark.parametrize("number", range(len(CANVASES)))
async def test_all_tasks_of_a_canvas_are_stamped(stage: Stage, number: int, how: str) -> None:
    """[all_tasks_of_canvas_are_stamped]"""
    canvas = CANVASES[number](stage)
    match how:
        case "stamp":
            canvas.stamp(mark=42)
        case "visitor":
            canvas.stamp(Mark(mark=42))
        case _:
            canvas.set(stamps={"mark": 42})
    found = leaves(await canvas.call(timeout=10))
    assert found
    assert all(one == {"mark": 42} for one in found), found


async def test_stamps_are_merged_and_inner_ones_count_for_more(stage: Stage) -> None:
    inner = chain(stage.stamps.s().stamp(own=1, shared="task"), stage.same.s()).stamp(chain=2, shared="chain")
    value = await group(inner, stage.stamps.s()).stamp(group=3, shared="group").call(timeout=10)
    assert value == [
        {"own": 1, "chain": 2, "group": 3, "shared": "task"},
        {"group": 3, "shared": "group"},
    ]


async def test_the_last_stamp_of_a_name_counts(stage: Stage) -> None:
    """[twice_stamping]"""
    assert await stage.stamps.s().stamp(a=1, c=4).stamp(a=2, b=3).call(timeout=10) == {"a": 2, "b": 3, "c": 4}
    assert await stage.stamps.s().stamp(mark=1).stamp(Mark(mark=2)).call(timeout=10) == {"mark": 2}


async def test_stamps_are_plain_data(stage: Stage) -> None:
    """[stamp_value_type_defined_by_visitor]"""
    stamps = {"one": 42, "list": [4, 2], "dict": {"a": None}, "text": "é"}
    assert await stage.stamps.s().stamp(**stamps).call(timeout=10) == stamps
    with pytest.raises(PayloadError, match="Nothing was sent"):
        await stage.stamps.s().stamp(a=object()).send()


async def test_stamps_are_no_headers(stage: Stage) -> None:
    """[properties_not_affected_from_stamping]"""
    queue, _, headers = await stage.about.s().stamp(a=1).call(timeout=10)
    assert (queue, headers) == ("default", {})


async def test_callbacks_inherit_them(stage: Stage) -> None:
    """[linking_stamped_sig, stamping_workflow]"""
    task = stage.same.s(1).stamp(a=1)
    task.link(chain(stage.tell_stamps.si("link"), stage.tell_stamps.si("second")))
    canvas = chain(task).stamp(b=2)
    canvas.link(stage.tell_stamps.si("outer").stamp(c=3))
    await stage.outcome(await canvas.send())
    assert sorted(stage.heard) == [
        ("link", ("a", 1), ("b", 2)),
        ("outer", ("b", 2), ("c", 3)),
        ("second", ("a", 1), ("b", 2)),
    ]


async def test_error_handlers_inherit_them(stage: Stage) -> None:
    """[err_linking_stamped_sig]"""
    task = stage.fail.si().stamp(a=1).on_error(stage.tell_stamps.si("inner"))
    canvas = chain(task).stamp(b=2).on_error(stage.tell_stamps.si("outer").stamp(c=3))
    await stage.outcome(await canvas.send())
    assert sorted(stage.heard) == [("inner", ("a", 1), ("b", 2)), ("outer", ("b", 2), ("c", 3))]


async def test_replacements_inherit_them(stage: Stage) -> None:
    """[replace_merge_stamps]"""

    @stage.app.task(bind=True)
    async def become(ctx: TaskContext) -> None:
        raise ctx.replace(chain(stage.same.s(0), stage.stamps.s().stamp(mine=1, shared="replacement")))

    assert await chain(become.s()).stamp(outer=2, shared="outer").call(timeout=10) == {
        "outer": 2,
        "mine": 1,
        "shared": "replacement",
    }


async def test_added_members_and_what_a_task_sends_inherit_them(stage: Stage) -> None:
    @stage.app.task(bind=True)
    async def more(ctx: TaskContext) -> Any:
        await ctx.add_to_group(stage.stamps.s())
        return [
            await stage.stamps.s().call(timeout=10),
            await chain(stage.same.s(1), stage.stamps.s()).call(timeout=10),
        ]

    value = await group(more.s()).stamp(a=1).call(timeout=10)
    assert leaves(value) == [{"a": 1}] * 3


async def test_they_stay_over_retries(stage: Stage) -> None:
    """[stamps_remain_on_task_retry]"""

    @stage.app.task(bind=True)
    async def retried(ctx: TaskContext) -> Any:
        if ctx.retries < 2:
            raise ctx.retry(countdown=0)
        return ctx.stamps

    assert await chain(retried.s()).stamp(a=1).call(timeout=10) == {"a": 1}
    assert await retried.s().stamp(a=1).call(timeout=10) == {"a": 1}


async def test_a_visitor_sees_each_part(stage: Stage) -> None:
    seen: list[str] = []

    class Witness(StampingVisitor):
        def on_signature(self, sig: Any) -> dict[str, Any]:
            seen.append(f"signature {sig.task}")
            return {"of": sig.task}

        def on_chain_start(self, chain: Any) -> dict[str, Any]:
            seen.append("chain")
            return {"chain": True}

        def on_chain_end(self, chain: Any) -> None:
            seen.append("chain ends")

        def on_group_start(self, group: Any) -> dict[str, Any]:
            seen.append("group")
            return {"group": True}

        def on_group_end(self, group: Any) -> None:
            seen.append("group ends")

        def on_chord_header_start(self, chord: Any) -> dict[str, Any]:
            seen.append("header")
            return {"header": True}

        def on_chord_header_end(self, chord: Any) -> None:
            seen.append("header ends")

        def on_chord_body(self, chord: Any) -> dict[str, Any]:
            seen.append("body")
            return {"body": True}

        def on_callback(self, callback: Any) -> dict[str, Any]:
            seen.append("callback")
            return {"callback": True}

        def on_errback(self, errback: Any) -> dict[str, Any]:
            seen.append("errback")
            return {"errback": True}

    first = stage.same.s(1)
    first.link(stage.tell_stamps.si("link"))
    canvas = chain(first, chord([stage.stamps.s()], stage.same.s())).on_error(stage.told.s())
    canvas.stamp(Witness())
    assert seen == [
        *("chain", "signature same", "callback", "signature tell_stamps"),
        *("header", "group", "signature stamps", "group ends", "header ends", "body", "signature same"),
        *("chain ends", "errback", "signature told"),
    ]
    (stamps,) = await stage.outcome(await canvas.send())
    assert stamps == {"of": "stamps", "group": True, "header": True, "chain": True}
    assert stage.heard == [("link", ("callback", True), ("chain", True), ("of", "tell_stamps"))]


async def test_a_visitor_reads_a_generator(stage: Stage) -> None:
    value = await group(stage.stamps.s() for _ in range(3)).stamp(Mark(a=1)).call(timeout=10)
    assert value == [{"a": 1}] * 3


async def test_revoke_by_stamp(actors: Stage) -> None:
    """All that waits and carries it, and what comes after that; others run."""
    async with actors.app:
        mine = await chain(actors.echo.si("mine"), actors.echo.si("mine after")).stamp(job="a").send()
        listed = await actors.echo.si("listed").stamp(job=["x", "a"]).send()
        other = await chain(actors.echo.si("other")).stamp(job="b").send()
        none = await chain(actors.echo.si("none")).send()
        await actors.app.revoke_by_stamp("job", "a")
        later = await chain(actors.echo.si("later")).stamp(key="value").send()
        async with actors.working():
            for result in (other, none, later):
                await result.get(timeout=10)
            with pytest.raises(Exception, match="revoked"):
                await mine.get(timeout=10)
            with pytest.raises(TaskRevoked):
                await listed.get(timeout=10)
            await actors.quiet()
    assert sorted(actors.heard) == ["later", "none", "other"]


async def test_revoke_by_stamp_cancels_what_runs_when_asked(stage: Stage) -> None:
    result = await chain(stage.patient.si("a"), stage.echo.si("after")).stamp(job=1).send()
    other = await chain(stage.patient.si("b"), stage.echo.si("other")).stamp(job=2).send()
    await stage.until(lambda: len(stage.gate.came) == 2)
    await stage.app.revoke_by_stamp("job", 1, terminate=True)
    with pytest.raises(Exception, match="revoked"):
        await result.get(timeout=10)
    stage.gate.open()
    assert await other.get(timeout=10) == "other"
    await stage.quiet()
    assert stage.heard == ["other"]
