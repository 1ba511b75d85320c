"""What an exception holds arrives as what it was; what cannot be sent is shown, and never in the error's way."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from support.apps import ended, outcome, working
from support.waiting import PATIENCE, until

from aioqueue import AioQueue, TaskContext, chain, group
from aioqueue.exceptions import TaskFailed

from . import test_kinds
from .test_stamped_kinds import VALUES, exactly
from .test_types import BERLIN


class Failed(Exception):
    """With attributes."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args)
        vars(self).update(named)


def attributes(error: BaseException) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if name != "__notes__"}


@pytest.mark.parametrize("eager", [False, True], ids=["sent", "eager"])
async def test_they_arrive_as_what_they_were(app: AioQueue, eager: bool) -> None:
    app.conf.task_always_eager = eager
    seen: list[Any] = []

    @app.task(name="fail")
    async def fail() -> None:
        error = Failed(VALUES, *VALUES[:20], at=BERLIN, values=VALUES, text="$D")
        error.__cause__ = Failed((1,), at=BERLIN)
        raise error

    @app.task(name="handle")
    async def handle(failure: Any) -> None:
        seen.append(failure.exception)

    async with working(app):
        result = await fail.s().on_error(handle.s()).send()
        error = await outcome(result)
        await until(lambda: seen)
        seen += [error, (await result.info()).exception]
        seen.append((await outcome(await chain(fail.s(), fail.si()).send())).__cause__)
        seen.append(await outcome(await group(fail.s(), fail.s()).send()))
    for error in seen:
        assert exactly(error.args) == exactly((VALUES, *VALUES[:20]))
        assert exactly(attributes(error)) == exactly({"at": BERLIN, "values": VALUES, "text": "$D"})
    for error in (error.__cause__ for error in seen[1:3]):
        assert exactly((error.args, error.at)) == exactly((((1,),), BERLIN))


@pytest.mark.parametrize("number", range(len(VALUES)))
async def test_each_alone(app: AioQueue, number: int) -> None:
    @app.task(name="fail")
    async def fail() -> None:
        raise ValueError(VALUES[number])

    async with working(app):
        error = await outcome(await fail.send())
    assert type(error) is ValueError and exactly(error.args) == exactly((VALUES[number],))


async def test_those_of_other_shapes(app: AioQueue) -> None:
    raised: list[BaseException] = [
        FileNotFoundError(2, "gone", Path("/a/b")),
        KeyError((1, BERLIN)),
        SyntaxError("bad", ("f.py", 1, 2, "x y", 1, 3)),
        ExceptionGroup("several", [Failed({1}, at=BERLIN), ExceptionGroup("more", [Failed(BERLIN)])]),
        SystemExit((1, 2)),
    ]

    @app.task(name="fail")
    async def fail(number: int) -> None:
        raise raised[number]

    async with working(app):
        lost, key, syntax, several, exited = [await outcome(await fail.send(n)) for n in range(len(raised))]
    assert (lost.errno, lost.strerror, exactly(lost.filename)) == (2, "gone", exactly(Path("/a/b")))
    assert exactly(key.args) == exactly(((1, BERLIN),))
    assert exactly(syntax.args) == exactly(("bad", ("f.py", 1, 2, "x y", 1, 3)))
    first, more = several.exceptions
    assert exactly((first.args, first.at)) == exactly((({1},), BERLIN))
    assert exactly(more.exceptions[0].args) == exactly((BERLIN,))
    assert type(exited) is TaskFailed and exactly(exited.arguments) == exactly(((1, 2),))


async def test_what_cannot_be_sent_is_shown(app: AioQueue) -> None:
    lock = threading.Lock()
    strange: list[Any] = [lock, *(value for value, _ in test_kinds.REFUSED), [lock], 2 ** (4 * 3600), "\ud800", "$D"]

    @app.task(name="fail")
    async def fail() -> None:
        raise Failed(*strange, BERLIN, lock=lock, at=BERLIN)

    async with working(app):
        error = await outcome(await fail.send())
    assert type(error) is Failed
    assert error.args[0] == repr(lock) and error.args[-2] == "$D" and "\\ud800" in error.args[-3]
    assert all(type(one) is str for one in error.args[:-1])
    assert exactly((error.args[-1], attributes(error))) == exactly((BERLIN, {"at": BERLIN}))


async def test_what_is_retried_and_put_away(app: AioQueue) -> None:
    """The end of a task is made whatever its error holds."""

    @app.task(name="fail", bind=True, autoretry_for=(ValueError,), max_retries=1, default_retry_delay=0)
    async def fail(ctx: TaskContext) -> None:
        raise ValueError(2**80, 1j, BERLIN)

    async with working(app):
        info = await ended(await fail.send())
        assert info.retries == 1
        causes = [info.exception, info.exception.__cause__]
        assert exactly((2**80, 1j, BERLIN)) in [exactly(error.args) for error in causes if error]
        await asyncio.wait_for(until(lambda: app.dead_letters.list()), PATIENCE)
