"""Failures to order: the next run of a task raises instead of running."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

from aioqueue.context import current
from aioqueue.task import Task

Raised = BaseException | type[BaseException]


class Failures:
    """What the tasks of a test are to raise; in place of their functions until `close`."""

    def __init__(self) -> None:
        self._ordered: dict[str, deque[Raised]] = {}
        self._replaced: list[tuple[Task[..., Any], Callable[..., Any]]] = []

    def order(self, task: Task[..., Any], error: Raised, times: int) -> None:
        """Let the next runs of the task raise `error`."""
        if task.name not in self._ordered:
            self._ordered[task.name] = deque()
            self._replaced.append((task, task.function))
            task.function = self._failing(task, task.function)
        self._ordered[task.name].extend([error] * times)

    def close(self) -> None:
        """Give the tasks their functions back."""
        while self._replaced:
            task, function = self._replaced.pop()
            task.function = function
        self._ordered.clear()

    def _failing(self, task: Task[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
        ordered = self._ordered[task.name]

        def fail() -> None:
            # The function may also be called as a function, by a test or by another task; that is no run.
            context = current.get()
            if ordered and context is not None and context.task.name == task.name:
                error = ordered.popleft()
                raise error if isinstance(error, type) else error.with_traceback(None)

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            fail()
            return await function(*args, **kwargs)

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            fail()
            return function(*args, **kwargs)

        return coroutine if task.is_coroutine else plain
