"""Coroutines of commands, run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import asyncio

R = TypeVar("R")

FAILED = 1
"""Exit code: an error, or the task failed."""
NOT_ENDED = 3
"""Exit code: the task has not ended yet."""


def run(coroutine: Coroutine[Any, Any, R], *, fast: bool = False) -> R:
    """Run it to its end; Ctrl-C cancels it.

    Args:
        coroutine: what to run.
        fast: on uvloop, where there is one.
    """
    import asyncio  # costs as much as the whole of `aioqueue --help`

    with asyncio.Runner(loop_factory=_fast_loop() if fast else None) as runner:
        return runner.run(coroutine)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop


def end(code: int) -> None:
    """Leave the command with this exit code, if it is one."""
    if code:
        click.get_current_context().exit(code)
