"""Coroutines of commands, run."""

from __future__ import annotations

import gc
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
UNAVAILABLE = 69
"""Exit code: no worker has answered, or not the one that was asked. It is sysexits.h's, and Celery's."""

# New objects between two collections.
_YOUNG = 10_000


def run(coroutine: Coroutine[Any, Any, R], *, fast: bool = False) -> R:
    """Run it to its end; Ctrl-C cancels it.

    Args:
        coroutine: what to run.
        fast: for a process that does nothing else, such as a worker: on uvloop, where there is one, and with fewer
            garbage collections.
    """
    import asyncio  # costs as much as the whole of `aioqueue --help`

    if fast:
        _collect_less()
    with asyncio.Runner(loop_factory=_fast_loop() if fast else None) as runner:
        return runner.run(coroutine)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop


def _collect_less() -> None:
    """At Python's own threshold, garbage collections take a fifth of a busy worker's CPU: each task makes a dozen
    objects for a moment, and hundreds of tasks are under way. What has been imported is not looked at again."""
    gc.collect()
    gc.freeze()
    young, *older = gc.get_threshold()
    if 0 < young < _YOUNG:  # not if somebody has chosen more, or none at all
        gc.set_threshold(_YOUNG, *older)


def end(code: int) -> None:
    """Leave the command with this exit code, if it is one."""
    if code:
        click.get_current_context().exit(code)
