"""A stamp arrives as what it was wherever it is inherited, is revoked as such, or is refused by its sender."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import PureWindowsPath
from typing import Any

import pytest
from support.apps import outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, TaskContext, chain, chord, group
from aioqueue.brokers.protocol import Outgoing
from aioqueue.canvas import StampingVisitor
from aioqueue.exceptions import ConfigurationError, PayloadError, TaskRevoked
from aioqueue.message import Message, encode_message
from aioqueue.payload import encode

from . import test_kinds, test_types
from .test_kinds import kinds
from .test_types import BERLIN, Colour, told

VALUES: list[Any] = [
    *test_types.VALUES,
    *test_kinds.VALUES,
    bytearray(b"\xff"),
    1 + 2j,
    PureWindowsPath("a/b"),
    "$D2026-01-01",
    ["$t", 1],
    "plain",
    [1, {"a": None}],
]
STAMPS: dict[str, Any] = {"at": BERLIN, "$t": "$", "values": VALUES}


def exactly(value: Any) -> Any:
    """A value with the kinds and the zones of all that is in it."""
    if isinstance(value, dict):
        return kinds(value), [exactly(item) for item in value.values()]
    return (kinds(value), list(map(exactly, value))) if isinstance(value, list | tuple) else (kinds(value), told(value))


class Put(StampingVisitor):
    def on_signature(self, sig: Any) -> dict[str, Any]:
        return STAMPS


def linked(s: Any) -> Any:
    call = s.same.s()
    call.link(s.work.si())
    return chain(call)


WAYS: dict[str, Callable[[Any], Any]] = {
    "options": lambda s: s.work.options(stamps=STAMPS),
    "stamp": lambda s: s.work.s().stamp(**STAMPS),
    "visitor": lambda s: s.work.s().stamp(Put()),
    "chain": lambda s: chain(s.work.s(), s.work.s()).stamp(**STAMPS),
    "group": lambda s: group(s.work.s(), chain(s.work.s(), s.work.s())).stamp(**STAMPS),
    "chord": lambda s: chord([s.work.s()], s.work.s()).stamp(Put()),
    "map": lambda s: s.work.map([1]).stamp(**STAMPS),
    "link": lambda s: linked(s).stamp(**STAMPS),
    "error": lambda s: chain(s.fail.s().on_error(s.work.si())).stamp(**STAMPS),
    "replacement": lambda s: s.become.s().stamp(**STAMPS),
    "member": lambda s: group(s.add.s()).stamp(**STAMPS),
    "children": lambda s: s.parent.s().stamp(**STAMPS),
    "retry": lambda s: s.retried.s().stamp(**STAMPS),
}


class Stage:
    """Tasks that tell their stamps."""

    def __init__(self, app: AioQueue) -> None:
        self.seen: list[Any] = []
        seen = self.seen

        def task(function: Any) -> Any:
            made = app.task(name=function.__name__, bind=True)(function)
            setattr(self, function.__name__, made)
            return made

        @task
        async def work(ctx: TaskContext, *_: Any) -> None:
            seen.append(ctx.stamps)

        @task
        async def same(ctx: TaskContext) -> None: ...

        @task
        async def fail(ctx: TaskContext) -> None:
            raise ValueError("as asked")

        @task
        async def become(ctx: TaskContext) -> None:
            raise ctx.replace(work.s().stamp(more=(1, BERLIN)))

        @task
        async def add(ctx: TaskContext) -> None:
            await ctx.add_to_group(work.s().stamp(more=(1, BERLIN)))

        @task
        async def parent(ctx: TaskContext) -> None:
            await work.send()
            await chain(same.s(), work.si()).send()
            await work.options(stamps={"more": (1, BERLIN)}).send()

        @task
        async def retried(ctx: TaskContext) -> None:
            seen.append(ctx.stamps)
            if not ctx.retries:
                raise ctx.retry(countdown=0)


@pytest.mark.parametrize("eager", [False, True], ids=["sent", "eager"])
@pytest.mark.parametrize("way", WAYS)
async def test_they_arrive_as_what_they_were(app: AioQueue, way: str, eager: bool) -> None:
    app.conf.task_always_eager = eager
    stage = Stage(app)
    made = WAYS[way](stage)
    count = {"chain": 2, "group": 3, "chord": 2, "children": 3, "retry": 2}.get(way, 1)
    async with working(app):
        await outcome(await made.send())
        await until(lambda: len(stage.seen) == count)
        if hasattr(made, "to_dict"):
            again: Any = app.signature(json.loads(json.dumps(made.to_dict())))
            await outcome(await again.send())
            await until(lambda: len(stage.seen) == 2 * count)
    for one in stage.seen:
        assert exactly(one.pop("more", (1, BERLIN))) == exactly((1, BERLIN))
        assert exactly(dict(sorted(one.items()))) == exactly(dict(sorted(STAMPS.items())))


async def test_texts_that_look_like_marks_stay_texts(app: AioQueue) -> None:
    """Also in messages of versions that knew no marks."""
    stage = Stage(app)
    old = {"$t": "$D2026-01-01", "rows": ["$t", 1], "plain": 1}
    body, content = encode([[], {}], max_size=2**20)
    async with working(app):
        for stamps in (old, {"plain": 1, "rows": ["$t"]}):
            await stage.work.options(stamps=stamps).send()
            await until(lambda: stage.seen)
            assert exactly(stage.seen.pop()) == exactly(stamps)
        broker = await app.broker()
        data = encode_message(Message(task="parent", body=body, content=content, sent=broker.now(), stamps=old))
        await broker.send((Outgoing("of-old", "default", 0, data),), timeout=PATIENCE)
        await until(lambda: len(stage.seen) == 3)
        *inherited, own = sorted(stage.seen, key=len)
        assert exactly(own.pop("more")) == exactly((1, BERLIN))
        assert [exactly(one) for one in (*inherited, own)] == [exactly(old)] * 3


@pytest.mark.parametrize("value", [VALUES[0], Decimal(1), (1, 2), Colour.RED, "$D2026-01-01", 2**80, frozenset({1})])
async def test_what_carries_one_is_revoked_by_it(app: AioQueue, value: Any) -> None:
    stage = Stage(app)
    rows: list[Any] = [[value], (0, value), {value}, frozenset({value}), value]
    others: list[Any] = [repr(value), [repr(value)], None, 0, [], Decimal("sNaN"), [Decimal("sNaN")], {"a": value}]
    async with app:
        await stage.work.options(stamps={"other": value}).send()
        mine = [await chain(stage.same.s(), stage.work.si()).stamp(job=one).send() for one in rows]
        spared = [await stage.work.options(stamps={"job": one}).send() for one in others]
        await app.revoke_by_stamp("job", Decimal("sNaN"))
        await app.revoke_by_stamp("job", value)
        later = await stage.work.options(stamps={"job": value}).send()
        async with working(app):
            for result in (*spared, later):
                await result.get(timeout=PATIENCE)
            for result in mine:
                assert "revoked" in str(await outcome(result))
    assert len(stage.seen) == len(others) + 2


async def test_what_is_running_is_revoked_by_it(app: AioQueue) -> None:
    stage = Stage(app)
    started: list[str] = []

    @app.task(name="wait", bind=True)
    async def wait(ctx: TaskContext) -> None:
        started.append(ctx.id)
        await asyncio.Event().wait()

    async with working(app):
        result = await wait.options(stamps={"job": BERLIN}).send()
        await until(lambda: started)
        await app.revoke_by_stamp("job", BERLIN, terminate=True)
        assert isinstance(await outcome(result), TaskRevoked)
    assert not stage.seen


REFUSED: list[tuple[Any, str]] = [
    *test_kinds.REFUSED,
    (object(), "a object can't be sent"),
    ("\ud800", "lone surrogate"),
    (2 ** (4 * 3600), "hexadecimal digits"),
]


@pytest.mark.parametrize(("value", "advice"), REFUSED, ids=lambda one: type(one).__name__)
async def test_what_cannot_be_sent_is_refused_with_its_name(app: AioQueue, value: Any, advice: str) -> None:
    stage = Stage(app)
    told = rf"stamp 'bad' of work cannot be sent: .*{advice}.* Nothing was sent"
    async with app:
        for given in (value, [value], {"a": (value,)}):
            stamps = {"good": BERLIN, "bad": given}
            for canvas in (
                stage.work.options(stamps=stamps),
                stage.work.s().stamp(**stamps),
                group([stage.work.s()]).stamp(**stamps),
                chain(stage.work.s(), stage.work.s().stamp(**stamps)),
            ):
                with pytest.raises(PayloadError, match=told):
                    await canvas.send()
        with pytest.raises(PayloadError, match=rf"header 'bad' of work cannot be sent: .*{advice}"):
            await stage.work.options(headers={"good": BERLIN, "bad": value}).send()
        with pytest.raises(PayloadError, match=rf"stamp 'bad' cannot be sent: .*{advice}.* Nothing was revoked"):
            await app.revoke_by_stamp("bad", value)
        with pytest.raises(ConfigurationError, match="key of a stamp is text, not 7"):
            await app.revoke_by_stamp(7, value)  # type: ignore[arg-type]


async def test_in_tests_of_programs(app: AioQueue) -> None:
    stage = Stage(app)
    async with app.testing() as testing:
        await stage.work.s().stamp(**STAMPS).send()
        await stage.work.options(stamps=STAMPS).send()
        testing.assert_sent(stage.work.options(stamps={"at": BERLIN}))
        testing.assert_not_sent(stage.work.options(stamps={"values": [2**80, 1j, Decimal("sNaN")]}))
        await testing.drain()
    for one in stage.seen:
        assert exactly(one["values"]) == exactly(VALUES) and one["$t"] == "$"
    assert len(stage.seen) == 2
