"""A value arrives as what it was, annotated or not, wherever it travels."""

from __future__ import annotations

import dataclasses
import enum
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pydantic
import pytest
from support.apps import working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, TaskContext, chain, chord, group
from aioqueue.exceptions import PayloadError


class Colour(enum.Enum):
    RED = "red"


BERLIN = datetime(2026, 1, 1, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))
VALUES: list[Any] = [
    BERLIN,
    datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=-3))),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 2, 30, fold=1),
    date(2026, 1, 1),
    time(1, 2, 3),
    timedelta(days=-1, microseconds=1),
    Decimal("1.10"),
    UUID(int=7),
    b"\x00\xff",
    (1, (2,)),
    {1, "a"},
    frozenset({(1,)}),
    Colour.RED,
    Path("a/b"),
    2**80,
    {1: "a", "1": "b"},
    {(1, 2): date(2026, 1, 1), None: 1, "$D": "$D2026-01-01"},
]
serializers = pytest.mark.parametrize("serializer", ["msgpack", "json"])


def told(value: Any) -> tuple[Any, ...]:
    zone = value.tzinfo if isinstance(value, datetime | time) else None
    return type(value), value, zone, getattr(value, "fold", None)


def as_told(values: Any) -> list[Any]:
    return list(map(told, values))


@serializers
async def test_arguments_and_results_without_annotations(app: AioQueue, serializer: str) -> None:
    app.conf.task_serializer = serializer
    seen: list[Any] = []

    @app.task(name="work")
    async def work(*args, **kwargs):  # type: ignore[no-untyped-def]
        seen.append((args, kwargs))
        return [*args, *kwargs.values()]

    async with working(app):
        got = await work.call(*VALUES, **{f"k{n}": value for n, value in enumerate(VALUES)}, timeout=PATIENCE)
        ((args, kwargs),) = seen
        assert as_told(args) == as_told(kwargs.values()) == as_told(VALUES)
        assert as_told(got) == as_told([*VALUES, *VALUES])


@serializers
async def test_each_as_a_result(app: AioQueue, serializer: str) -> None:
    app.conf.task_serializer = serializer

    @app.task(name="same")
    async def same(x):  # type: ignore[no-untyped-def]
        return x

    async with working(app):
        results = [await same.send(value) for value in VALUES]
        assert as_told([await result.get(timeout=PATIENCE) for result in results]) == as_told(VALUES)
        assert as_told([(await result.info()).result for result in results]) == as_told(VALUES)


@serializers
async def test_through_canvases(app: AioQueue, serializer: str) -> None:
    app.conf.task_serializer = serializer

    @app.task(name="same")
    async def same(x, *more):  # type: ignore[no-untyped-def]
        return [x, *more] if more else x

    async with working(app):
        wait = {"timeout": PATIENCE}
        assert as_told(await group(same.s(value) for value in VALUES).call(**wait)) == as_told(VALUES)
        assert as_told(await chord([same.s(value) for value in VALUES], same.s()).call(**wait)) == as_told(VALUES)
        assert as_told(await same.map(VALUES).call(**wait)) == as_told(VALUES)
        assert as_told(await same.starmap([(value,) for value in VALUES]).call(**wait)) == as_told(VALUES)
        chunks = await same.chunks([(value,) for value in VALUES], 4).call(**wait)
        assert as_told(value for chunk in chunks for value in chunk) == as_told(VALUES)
        for value in VALUES:
            assert as_told(await chain(same.s(value), same.s(value)).call(**wait)) == [told(value)] * 2
            canvas = chain(same.s(value), same.s(value), same.s().set(headers={"h": value}))
            again = app.signature(json.loads(json.dumps(canvas.to_dict())))
            assert json.dumps(again.to_dict()) == json.dumps(canvas.to_dict())
            assert as_told(await again.call(**wait)) == [told(value)] * 2


@serializers
async def test_headers_and_progress(app: AioQueue, serializer: str) -> None:
    app.conf.task_serializer = serializer
    seen: list[Any] = []

    @app.task(name="work", bind=True, max_retries=1)
    async def work(ctx: TaskContext) -> None:
        seen.append(ctx.headers)
        await ctx.update_state("BUSY", meta={"values": VALUES})
        info = await app.result(ctx.id).info()
        assert as_told(info.meta["values"]) == as_told(VALUES)
        if not ctx.retries:
            raise ctx.retry(countdown=0)

    async with working(app):
        headers = {"values": VALUES, "$t": "$", "at": BERLIN}
        await (await work.options(headers=headers).send()).get(timeout=PATIENCE)
        assert len(seen) == 2
        for one in seen:
            assert as_told(one["values"]) == as_told(VALUES) and told(one["at"]) == told(BERLIN) and one["$t"] == "$"
        with pytest.raises(PayloadError, match="header 'a' of work cannot be sent"):
            await work.options(headers={"a": object()}).send()


async def test_an_error_handler_gets_them(app: AioQueue) -> None:
    seen: list[Any] = []

    @app.task(name="fail")
    async def fail(*args):  # type: ignore[no-untyped-def]
        raise ValueError("no")

    @app.task(name="handle")
    async def handle(failure, at):  # type: ignore[no-untyped-def]
        seen.append((failure.args, at))

    async with working(app):
        await fail.s(*VALUES).on_error(handle.s(BERLIN)).send()
        await until(lambda: seen)
        ((args, at),) = seen
        assert as_told(args) == as_told(VALUES) and told(at) == told(BERLIN)


class Crossed(pydantic.BaseModel):
    name: str = pydantic.Field(alias="title")
    title: str = pydantic.Field(alias="heading")
    at: datetime = BERLIN
    hidden: int = pydantic.Field(2, exclude=True)


@dataclasses.dataclass
class Event:
    at: datetime
    rest: Any = None


@serializers
async def test_models_arrive_as_they_were(app: AioQueue, serializer: str) -> None:
    app.conf.task_serializer = serializer

    @app.task(name="models")
    async def models(one: Crossed, many: list[Crossed], event: Event) -> Crossed:
        assert one == many[0] == Crossed(title="a", heading="b", hidden=7)
        assert told(one.at) == told(event.at) == told(BERLIN)
        assert as_told(event.rest) == as_told(VALUES)
        return one

    async with working(app):
        one = Crossed(title="a", heading="b", hidden=7)
        assert await models.call(one, [one], Event(BERLIN, VALUES), timeout=PATIENCE) == one
