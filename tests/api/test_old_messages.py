"""Messages that were sent for another signature of the task than the one that the worker has."""

from __future__ import annotations

from typing import Any

import pytest
from support.apps import outcome, working
from support.waiting import until

from aioqueue import AioQueue, TaskContext, chain
from aioqueue.exceptions import PayloadError, UpstreamFailed


def added(a: Any, b: Any) -> None: ...


def removed() -> None: ...


def renamed(b: Any) -> None: ...


def bound(ctx: TaskContext, a: Any, b: Any) -> None: ...


def keyword(*, a: Any, b: Any) -> None: ...


CASES = [
    (added, (1,), {}, "missing a required argument: 'b'"),
    (removed, (1,), {}, "too many positional arguments"),
    (removed, (), {"a": 1}, "unexpected keyword argument 'a'"),
    (renamed, (), {"a": 1}, "missing a required argument: 'b'"),
    (bound, (1,), {}, "missing a required argument: 'b'"),
    (bound, (1, 2, 3), {}, "too many positional arguments"),
    (keyword, (1, 2), {}, "too many positional arguments"),
]


@pytest.mark.parametrize(("function", "args", "kwargs", "reason"), CASES)
async def test_they_are_kept(app: AioQueue, function: Any, args: Any, kwargs: Any, reason: str) -> None:
    async with app:
        result = await app.send_task("work", args, kwargs)
        app.task(name="work", bind=function is bound)(function)
        async with app.worker():
            error = await outcome(result)
        assert isinstance(error, PayloadError) and reason in str(error)
        assert (await result.info()).dead
        (letter,) = await app.dead_letters.list()
        assert (letter.id, list(letter.args), letter.kwargs) == (result.id, list(args), kwargs)
        assert reason in letter.reason and "don't fit work(" in letter.reason


async def test_in_a_chain_and_as_an_error_handler(app: AioQueue) -> None:
    @app.task(name="one")
    async def one() -> int:
        return 1

    @app.task(name="fail")
    async def fail() -> None:
        raise ValueError("no")

    async with app:
        work = app.signature("work")
        result = await chain(one.s(), work, one.si()).send()
        await fail.s().on_error(work).send()
        app.task(name="work")(removed)
        async with app.worker():
            assert isinstance(await outcome(result), UpstreamFailed)

            async def both() -> bool:
                return len(await app.dead_letters.list()) == 2

            await until(both)
        assert all("don't fit work()" in letter.reason for letter in await app.dead_letters.list())


@pytest.mark.parametrize(("kind", "items"), [("map", [1, 2]), ("starmap", [(1, 2), (3,)])])
async def test_each_item_is_a_call(app: AioQueue, kind: str, items: list[Any]) -> None:
    async with app:
        result = await app.signature({"task": "work", "args": [items], "spread": kind}).send()
        app.task(name="work")(added)
        async with app.worker():
            error = await outcome(result)
        assert isinstance(error, PayloadError) and "missing a required argument: 'b'" in str(error)
        assert len(await app.dead_letters.list()) == 1


async def test_a_type_error_of_the_body_is_a_failure(app: AioQueue) -> None:
    @app.task(name="work")
    async def work(a: int) -> None:
        def inner() -> None: ...

        inner(a)  # type: ignore[call-arg]

    async with working(app):
        result = await work.send(1)
        assert isinstance(await outcome(result), TypeError)
        assert not (await result.info()).dead
        assert await app.dead_letters.list() == []
