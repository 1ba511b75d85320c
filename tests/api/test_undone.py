"""What a task returns and nobody runs is a failure, whether its result is kept or not."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from support.apps import outcome, working
from support.waiting import until

from aioqueue import AioQueue, TaskContext
from aioqueue.exceptions import ConfigurationError


async def _nothing() -> None: ...


def _generator() -> Any:
    yield 1


async def _asynchronous_generator() -> Any:
    yield 1


@contextlib.contextmanager
def _managed() -> Any:
    yield


def _never_finished() -> Any:
    return concurrent.futures.Future[None]()


UNDONE: dict[str, Callable[[], Any]] = {
    "list": lambda: [_nothing()],
    "tuple": lambda: (_nothing(), 1),
    "dict": lambda: {"a": 1, "b": _nothing()},
    "set": lambda: {_nothing()},
    "list of generators": lambda: [1, _generator()],
    "list of asynchronous generators": lambda: [_asynchronous_generator()],
    "list of threads' futures": lambda: [_never_finished()],
    "tuple of maps": lambda: (map(print, "ab"),),
    "map": lambda: map(print, "ab"),
    "filter": lambda: filter(print, "ab"),
    "enumerate": lambda: enumerate(map(print, "ab")),
    "starmap": lambda: itertools.starmap(print, ["ab"]),
    "thread's future": _never_finished,
    "context manager": _managed,
}


@pytest.mark.parametrize("kind", ["coroutine", "function", "many"])
@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("made", UNDONE)
@pytest.mark.filterwarnings("error::RuntimeWarning")
async def test_what_nobody_runs_in_a_collection(
    app: AioQueue, made: str, ignored: bool, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def coroutine(x: int = 0) -> Any:
        return UNDONE[made]()

    def function() -> Any:
        return UNDONE[made]()

    work = app.task(name="work", ignore_result=ignored)(function if kind == "function" else coroutine)
    async with working(app):
        result = await (work.map([0]) if kind == "many" else work.s()).send()
        await until(lambda: "that nobody" in caplog.text)
        assert "succeeded" not in caplog.text
        if not ignored:
            error = await outcome(result)
            assert isinstance(error, ConfigurationError) and "work returned a" in str(error)


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_what_is_done_or_done_elsewhere_is_no_work_undone(
    app: AioQueue, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @app.task(name="other", ignore_result=True)
    async def other() -> None: ...

    async def coroutine(ctx: TaskContext) -> Any:
        done, _ = await asyncio.wait([asyncio.create_task(_nothing())])
        return [await other.send(), *done, await ctx.progress(1, 2), open]

    def function(ctx: TaskContext) -> Any:
        return {"sent": other.sync.send(), "told": ctx.progress(1, 2), "plain": [1]}

    work = app.task(name="work", ignore_result=True, bind=True)(coroutine if kind == "coroutine" else function)
    async with working(app):
        await work.send()
        await until(lambda: "Task work" in caplog.text)
    assert "failed" not in caplog.text
