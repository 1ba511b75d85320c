"""Values as JSON shows them."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest

from aioqueue.payload.json_form import json_form


@dataclass
class Point:
    x: int
    y: float


class Box(msgspec.Struct):
    corner: Point


class Person(pydantic.BaseModel):
    name: str
    born: date
    password: pydantic.SecretStr = pydantic.SecretStr("geheim")


class Colour(enum.Enum):
    RED = "red"


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


class Stubborn(pydantic.BaseModel):
    it: int

    @pydantic.model_serializer
    def dump(self) -> dict[str, int]:
        raise ValueError("no")


SHOWN: list[tuple[Any, Any]] = [
    (None, None),
    ({"a": [1, 2.5, True, "text"]}, {"a": [1, 2.5, True, "text"]}),
    (Point(1, 2.0), {"x": 1, "y": 2.0}),
    (Box(Point(1, 2.0)), {"corner": {"x": 1, "y": 2.0}}),
    (Person(name="Ada", born=date(1815, 12, 10)), {"name": "Ada", "born": "1815-12-10", "password": "**********"}),
    (
        [Point(1, 2.0), {"of": Person(name="Ada", born=date(1815, 12, 10)).born}],
        [{"x": 1, "y": 2.0}, {"of": "1815-12-10"}],
    ),
    (datetime(2026, 5, 1, 12, tzinfo=UTC), "2026-05-01T12:00:00Z"),
    (timedelta(seconds=90), "PT90S"),
    (UUID(int=7), str(UUID(int=7))),
    (Decimal("1.10"), "1.10"),
    (Path("a/b"), "a/b"),
    (Colour.RED, "red"),
    (b"\x00\xff", "AP8="),
    ((1, 2), [1, 2]),
    ({3}, [3]),
    ({1: "a", UUID(int=1): "b"}, {"1": "a", str(UUID(int=1)): "b"}),
    (float("nan"), None),
    (1 + 2j, "(1+2j)"),
    (Odd(), "<odd>"),
    # One of these does not spoil what is beside it.
    (
        {"point": Point(1, 2.0), (1, 2): "a pair", "half": "\ud800"},
        {"point": {"x": 1, "y": 2.0}, "(1, 2)": "a pair", "half": "\\ud800"},
    ),
    ([2**70, Point(1, 2.0)], [2**70, {"x": 1, "y": 2.0}]),
    (Stubborn(it=1), "Stubborn(it=1)"),
]


@pytest.mark.parametrize(("value", "shown"), SHOWN)
def test_what_is_shown(value: Any, shown: Any) -> None:
    found = json_form(value)
    assert found == shown
    assert json.loads(json.dumps(found, allow_nan=False).encode()) == found


def test_what_holds_itself_is_shown_all_the_same() -> None:
    ring: list[Any] = [Point(1, 2.0)]
    ring.append(ring)
    found = json_form(ring)
    assert found[0] == {"x": 1, "y": 2.0}
    json.dumps(found, allow_nan=False)
