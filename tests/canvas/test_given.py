"""What canvases are made of: what cannot be a part of one is refused where it is written, and not by a worker later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioqueue import TaskContext, chain, chord, chunks, group, signature
from aioqueue.exceptions import ConfigurationError, UpstreamFailed

from .stage import Stage


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda s: s.add.s(1).link(s.add), id="a task as a link"),
        pytest.param(lambda s: s.add.s(1).link(None), id="nothing as a link"),
        pytest.param(lambda s: s.add.s(1).link_error(s.told), id="a task as an error handler"),
        pytest.param(lambda s: group(s.add.s(1, 1)).link("told"), id="a name as a link"),
        pytest.param(lambda s: signature(5), id="a signature of a number"),
        pytest.param(lambda s: signature(s.add), id="a signature of a task"),
        pytest.param(lambda s: chunks(s.add.s(1), [(2,)], 1), id="chunks of a partial call"),
    ],
)
async def test_what_is_no_canvas(stage: Stage, wrong: Callable[[Stage], Any]) -> None:
    with pytest.raises(ConfigurationError):
        wrong(stage)


async def test_chunks_of_a_generator_are_sent_once(stage: Stage) -> None:
    """A second time there would be nothing left in it, and nothing to tell that."""
    canvas = stage.add.chunks(zip(range(4), range(4), strict=True), 2)
    assert await canvas.call(timeout=10) == [[0, 2], [4, 6]]
    with pytest.raises(ConfigurationError, match="give a list"):
        await canvas.send()
    with pytest.raises(ConfigurationError, match="give a list"):
        canvas.clone()
    listed = stage.add.chunks([(1, 1), (2, 2)], 1)
    assert await listed.call(timeout=10) == await listed.call(timeout=10) == [[2], [4]]


async def test_the_signature_of_a_canvas_is_a_copy(stage: Stage) -> None:
    canvas = chain(stage.add.s(1, 1), stage.add.s(2))
    copy = signature(canvas)
    assert copy == canvas
    copy.set(queue="other")
    copy.tasks[0].set(priority=3)
    assert (canvas.options, canvas.tasks[0].options) == ({}, {})
    assert await chord([signature(stage.add.s(1, 1))], stage.tsum.s()).call(timeout=10) == 2


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("word", ["replace", "retry"])
async def test_what_is_to_be_raised_and_was_returned(stage: Stage, word: str, ignored: bool) -> None:
    """In Celery one writes `return self.replace(...)`: here that would lose the canvas without a word."""

    @stage.app.task(bind=True)
    async def returns(ctx: TaskContext) -> Any:
        return ctx.replace(stage.echo.si("replaced")) if word == "replace" else ctx.retry(countdown=0)

    canvas = chain(returns.s().set(ignore_result=ignored), stage.same.s())
    with pytest.raises(UpstreamFailed, match=rf"raise ctx\.{word}"):
        await canvas.call(timeout=10)
    assert stage.heard == []


@pytest.mark.parametrize("size", [{}, {"n": 0}, {"size": True}, {"n": "3"}])
def test_chunks_of_no_size(stage: Stage, size: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"chunks\(task, items, size\) takes how many calls"):
        chunks(stage.add.s(), [(1, 1)], **size)
    with pytest.raises(ConfigurationError, match=r"chunks\(task, items, size\) takes how many calls"):
        stage.add.chunks([(1, 1)], **size)


def test_chunks_of_a_name(stage: Stage) -> None:
    with pytest.raises(ConfigurationError, match="takes a task, or a signature of one, not 'add'"):
        chunks("add", [(1, 1)], 2)  # type: ignore[arg-type]


def test_chunks_of_nothing_given(stage: Stage) -> None:
    with pytest.raises(ConfigurationError, match=r"chunks takes a list .*not None"):
        chunks(stage.add.s(), n=3)


def test_the_size_of_chunks_in_celerys_words(stage: Stage) -> None:
    assert chunks(stage.add, [(1, 1)], n=3).size == stage.add.chunks([(1, 1)], n=3).size == 3
