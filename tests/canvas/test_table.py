"""A table of compositions with what each must give, on both brokers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from .rows import ROWS, Fails, Row
from .stage import Stage, causes


def check(row: Row, given: Any, heard: list[Any]) -> None:
    """The composition gave what it must, and was heard of as it must be."""
    if isinstance(row.gives, Fails):
        kind, cause = row.gives
        assert isinstance(given, kind), repr(given)
        assert cause is None or any(isinstance(one, cause) for one in causes(given)), list(causes(given))
    else:
        assert given == row.gives
    if row.ordered:
        assert heard == list(row.heard)
    else:
        assert Counter(map(repr, heard)) == Counter(map(repr, row.heard))


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
async def test_composition(stage: Stage, row: Row) -> None:
    result = await row.canvas(stage).send(*row.args, **row.kwargs)
    check(row, await stage.outcome(result), stage.heard)


def test_the_table_is_large_and_its_names_are_unique() -> None:
    assert len(ROWS) >= 80
    assert len({row.name for row in ROWS}) == len(ROWS)
