"""Canvases nest without limits: what is done with one takes no more of Python's stack when it is deep."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from aioqueue import GroupResult, chain, chord, group

from .stage import Stage

DEPTH = 2 * sys.getrecursionlimit()


@pytest.mark.parametrize(
    ("step", "gives"),
    [
        pytest.param(lambda s, inner: chain(group(inner), s.tsum.s()), 1, id="group in chain"),
        pytest.param(lambda s, inner: chord([inner], s.tsum.s()), 1, id="chord in header"),
        pytest.param(lambda s, inner: chord([s.same.s()], chain(s.tsum.s(), inner)), 1, id="chord in body"),
        pytest.param(lambda s, inner: chain(inner), 1, id="chain in chain"),
        pytest.param(lambda s, inner: group(inner), [1], id="group in group"),
    ],
)
async def test_a_deep_canvas(stage: Stage, step: Callable[[Stage, Any], Any], gives: Any) -> None:
    canvas: Any = stage.same.s()
    for _ in range(DEPTH):
        canvas = step(stage, canvas)
    result = await canvas.send(1)
    assert await result.get(timeout=20) == gives
    assert await result.state() == "SUCCESS"
    again = await canvas.apply_async((1,), queue="default")  # on a copy
    assert await again.get(timeout=20) == gives


async def test_deep_results(stage: Stage) -> None:
    canvas: Any = stage.same.si(1)
    for _ in range(DEPTH):
        canvas = group(chain(stage.same.si(0), canvas))
    result = await canvas.send()
    assert isinstance(result, GroupResult)
    await stage.until(result.ready)
    assert (await result.state(), await result.completed_count()) == ("SUCCESS", 1)
