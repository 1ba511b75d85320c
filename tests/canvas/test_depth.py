"""Canvases nest without limits: what is done with one takes no more of Python's stack when it is deep."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aioqueue import GroupResult, Signature, StampingVisitor, chain, chord, group
from aioqueue.exceptions import ConfigurationError

from .stage import Stage

DEPTH = 400
"""Twice what Python's stack has room for, where a test of this file runs."""


@pytest.fixture(autouse=True)
def shallow_stack() -> Iterator[None]:
    """The stack has room for less than usual, so that a canvas that is too deep for it is quickly run."""
    usual = sys.getrecursionlimit()
    used, frame = 0, sys._getframe()
    while frame := frame.f_back:
        used += 1
    sys.setrecursionlimit(used + DEPTH // 2)
    yield
    sys.setrecursionlimit(usual)


CASES = [
    pytest.param(lambda s, inner: chain(group(inner), s.tsum.s()), 1, id="group in chain"),
    pytest.param(lambda s, inner: chord([inner], s.tsum.s()), 1, id="chord in header"),
    pytest.param(lambda s, inner: chord([s.same.s()], chain(s.tsum.s(), inner)), 1, id="chord in body"),
    pytest.param(lambda s, inner: chain(inner), 1, id="chain in chain"),
    pytest.param(lambda s, inner: chain(inner, s.add.s(1)), DEPTH + 1, id="first of a chain"),
    pytest.param(lambda s, inner: chain(inner, s.add.s(1), priority=3), DEPTH + 1, id="chain with options"),
    pytest.param(lambda s, inner: group(inner), [1], id="group in group"),
]
STEPS: list[Callable[[Stage, Any], Any]] = [case.values[0] for case in CASES]  # type: ignore[misc]


@pytest.mark.parametrize(("step", "gives"), CASES)
async def test_a_deep_canvas(stage: Stage, step: Callable[[Stage, Any], Any], gives: Any) -> None:
    canvas: Any = stage.same.s()
    for _ in range(DEPTH):
        canvas = step(stage, canvas)
    result = await canvas.send(1)
    assert await result.get(timeout=50) == gives
    assert await result.state() == "SUCCESS"
    again = await canvas.apply_async((1,), queue="default")  # on a copy
    assert await again.get(timeout=50) == gives


async def test_deep_canvases_as_text_and_data(actors: Stage) -> None:
    """Only some levels are shown; and data that deep are none that JSON could hold."""
    data: Any = {"task": "same"}
    for step in STEPS:
        canvas: Any = actors.same.s()
        for _ in range(DEPTH):
            canvas = step(actors, canvas)
        assert "..." in repr(canvas)
        assert len(repr(canvas)) < 2000
        with pytest.raises(ConfigurationError, match="nested too deep to be written as data"):
            canvas.to_dict()
    for _ in range(DEPTH):
        data = {"type": "chain", "tasks": [data]}
    with pytest.raises(ConfigurationError, match="nested too deep"):
        actors.app.signature(data)


async def test_what_is_not_deep_is_shown_whole(actors: Stage) -> None:
    s = actors
    canvas = chain(s.same.s(1), chain(s.same.s(s.same.s(2))), group(s.same.s(x=3))) | chord([s.same.s()], s.tsum.s())
    shown = "same(1) | (same(same(2))) | chord(group(same(x=3)), chord(group(same()), tsum()))"
    assert repr(canvas) == shown


async def test_stamping_deep_canvases(actors: Stage) -> None:
    class Counting(StampingVisitor):
        """Numbers the tasks."""

        seen = 0

        def on_signature(self, sig: Signature[Any]) -> dict[str, int]:
            self.seen += 1
            return {"n": self.seen}

    canvas: Any = actors.same.s()
    for _ in range(DEPTH):
        canvas = chord([canvas], actors.tsum.s())
    visitor = Counting()
    canvas.stamp(visitor)
    assert visitor.seen == DEPTH + 1
    assert canvas.body.options["stamps"] == {"n": DEPTH + 1}


async def test_deep_results(stage: Stage) -> None:
    canvas: Any = stage.same.si(1)
    for _ in range(DEPTH):
        canvas = group(chain(stage.same.si(0), canvas))
    result = await canvas.send()
    assert isinstance(result, GroupResult)
    await stage.until(result.ready)
    assert (await result.state(), await result.completed_count()) == ("SUCCESS", 1)
