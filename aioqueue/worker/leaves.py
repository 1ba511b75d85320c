"""What was raised in a task group, as what was raised: exception groups, and what is in them.

`asyncio.TaskGroup` wraps whatever comes out of it, so a task that says something in one says it in a group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

from aioqueue.exceptions import Ignore, Reject, Replace, Retry, WorkerLost
from aioqueue.payload.failure import is_retried_elsewhere
from aioqueue.task import Task

# What is said, the first one first, where a group holds several.
_WORDS = (Reject, Retry, Replace, Ignore)


def said(error: BaseException) -> BaseException:
    """The Reject, Retry, Replace or Ignore that a group holds, however deep; else the error itself."""
    if not _is_group(error):
        return error
    found = list(_leaves(error))
    return next((leaf for kind in _WORDS for leaf in found if isinstance(leaf, kind)), error)


def holds(error: BaseException, one: BaseException) -> bool:
    """Whether an error is that one, or a group that holds it."""
    return error is one or (_is_group(error) and any(leaf is one for leaf in _all(error)))


def is_retried(task: Task[..., Any], error: BaseException) -> bool:
    """Whether a task is retried for an error: for a group if it is for each of those in it, or named itself."""
    if isinstance(error, WorkerLost) and task.retry_on_worker_lost:
        return True
    if (known := is_retried_elsewhere(error)) is not None:
        return known
    if not task.autoretry_for or isinstance(error, task.dont_autoretry_for):
        return False
    if not _is_group(error):
        return isinstance(error, task.autoretry_for)
    leaves = list(_leaves(error))
    if any(isinstance(leaf, task.dont_autoretry_for) for leaf in leaves):
        return False
    if isinstance(error, task.autoretry_for):
        return True
    # One that was cancelled since another failed says nothing of its own.
    own = [leaf for leaf in leaves if type(leaf) is not asyncio.CancelledError]
    return bool(own) and all(isinstance(leaf, task.autoretry_for) for leaf in own)


def let_go(error: BaseException) -> None:
    """An exception holds the frames, and they hold the arguments: let go of both."""
    for one in _all(error):
        one.__traceback__ = None


def _is_group(error: BaseException) -> bool:
    return isinstance(error, BaseExceptionGroup)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    return (one for one in _all(error) if not _is_group(one))


def _all(error: BaseException) -> Iterator[BaseException]:
    """It, and all that it holds, in order; without recursion, for anybody may nest them."""
    waiting = [error]
    while waiting:
        one = waiting.pop()
        yield one
        if _is_group(one):
            waiting.extend(reversed(cast("BaseExceptionGroup[BaseException]", one).exceptions))
