"""A deadline of the waiter's own, and errors that look like one."""

from __future__ import annotations

import asyncio
import builtins
from typing import Any

import pytest

from aioqueue import AsyncResult, chain, chord, exceptions, group

from .stage import Stage

KINDS = {"builtin": builtins.TimeoutError, "own": exceptions.TimeoutError}
assert asyncio.TimeoutError is builtins.TimeoutError


@pytest.fixture(params=KINDS)
def failing(stage: Stage, request: pytest.FixtureRequest) -> Any:
    """A task that fails with a kind of TimeoutError."""
    kind: type[Exception] = KINDS[request.param]

    @stage.app.task(name="upstream")
    async def upstream() -> None:
        raise kind("upstream")

    return upstream


@pytest.mark.parametrize("timeout", [None, 60])
async def test_a_tasks_timeout_error_is_its_own(stage: Stage, failing: Any, timeout: float | None) -> None:
    sent: list[AsyncResult[Any]] = [
        await failing.send(),
        await group(stage.same.s(1), failing.s()).send(),
        await group(stage.same.s(1), chain(stage.same.s(1), group(failing.si(), failing.si()))).send(),
    ]
    sent += [stage.app.result(one.id) for one in sent]
    for result in sent:
        with pytest.raises(builtins.TimeoutError, match=r"^upstream"):
            await result.get(timeout=timeout)
        with pytest.raises(builtins.TimeoutError, match=r"^upstream"):
            await asyncio.to_thread(result.sync.get, timeout)
    for call in (failing.call, group(failing.s()).call, failing.s().call):
        with pytest.raises(builtins.TimeoutError, match=r"^upstream"):
            await call(timeout=timeout)


async def test_it_is_among_the_exceptions_and_the_ends(stage: Stage, failing: Any) -> None:
    result = await group(stage.same.s(1), failing.s()).send()
    value, error = await result.get(timeout=60, return_exceptions=True)
    assert (value, str(error)) == (1, "upstream")
    assert isinstance(error, builtins.TimeoutError)
    with pytest.raises(builtins.TimeoutError, match=r"^upstream"):
        async for _ in result.as_completed():
            pass


async def test_a_chord_that_lets_failures_through_gives_it_to_its_body(stage: Stage, failing: Any) -> None:
    result = await chord([stage.same.s(1), failing.s()], stage.kinds.s(), allow_failures=True).send()
    assert await result.get(timeout=10) == [1, "TimeoutError"]


async def test_the_waiters_own_deadline_says_what_goes_on(stage: Stage) -> None:
    alone = await stage.patient.send(1)
    together = await group(stage.same.s(1), stage.patient.s(2)).send()
    await together[0].get(timeout=10)
    with pytest.raises(exceptions.TimeoutError, match=r"has not ended after 0\.01 s"):
        await alone.get(timeout=0.01)
    with pytest.raises(exceptions.TimeoutError, match=r"1 of the 2 tasks .* after 0\.01 s"):
        await together.get(timeout=0.01)
    with pytest.raises(exceptions.TimeoutError, match=r"1 of the 2 tasks .* after 0 s"):
        await together.get(timeout=0)
    stage.gate.open()
    assert await together.get(timeout=10) == [1, 2]
