"""Waiting for what a test expects. Each wait has an end: nothing here sleeps and hopes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds after which something that should happen at once will not happen any more."""
LONG = 30.0
"""The same where processes start and end, or much is to be done."""
A_MOMENT = 0.15
"""Seconds for which something that should not happen is watched; no test fails by its being short."""

_SHORTEST, _LONGEST = 0.002, 0.02


async def until(condition: Callable[[], T | Awaitable[T]], seconds: float = PATIENCE, what: str = "") -> T:
    """Wait until the condition is true, which may be a coroutine function; returns what it gave."""
    pause = _SHORTEST
    try:
        async with asyncio.timeout(seconds) as limit:
            while True:
                found = condition()
                value = cast("T", await found if inspect.isawaitable(found) else found)
                if value:
                    return value
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, _LONGEST)
    except TimeoutError:
        if not limit.expired():
            raise
        raise AssertionError(_in_vain(condition, seconds, what)) from None


def eventually(condition: Callable[[], T], what: str = "", seconds: float = LONG) -> T:
    """The same where there is no event loop."""
    end, pause = time.monotonic() + seconds, _SHORTEST
    while not (value := condition()):
        assert time.monotonic() < end, _in_vain(condition, seconds, what)
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST)
    return value


async def within(awaitable: Awaitable[T], seconds: float = PATIENCE) -> T:
    """What an awaitable gives, soon."""
    async with asyncio.timeout(seconds):
        return await awaitable


def _in_vain(condition: object, seconds: float, what: str) -> str:
    return f"waited {seconds:g} s in vain for {what or condition}"
