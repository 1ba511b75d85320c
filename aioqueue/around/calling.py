"""Calling what users have written for a moment: a coroutine here, a plain function in a thread, and neither for ever.

Nothing that it does reaches whoever calls it: what it raises is logged, and after its time it is cancelled, reported
and left to itself. A handler of a signal that is late again and again is left out for a while, so that it does not hold
up the others; a hook is part of its task's class, and never left out.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from aioqueue import clock
from aioqueue.definition import is_coroutine_function
from aioqueue.logs import logger
from aioqueue.threads import in_thread

InThread = Callable[[Callable[[], Any], contextvars.Context], Awaitable[Any]]
"""Calls a function in a thread, with these context variables."""

# One that is cancelled may clean up for so long, in seconds, before it is left to itself.
_GRACE = 0.2
# After so many calls in a row that were too late it is not called for so many seconds.
_LATE_AT_MOST = 5
_LEFT_OUT = 60.0

_THREAD = "aioqueue-handler"
_NONE: Any = object()


class _Ending:
    """Whether a call was ended from outside: what it is cancelled by otherwise is its own doing.

    Attributes:
        is_meant: its caller has cancelled it.
    """

    def __init__(self) -> None:
        self.is_meant = False
        self._caller = asyncio.current_task()

    def explains(self, error: BaseException) -> bool:
        """Whether that is why this was raised. (When a loop ends, it cancels the caller and the call alike.)"""
        if not isinstance(error, asyncio.CancelledError):
            return False
        return self.is_meant or (self._caller is not None and self._caller.cancelling() > 0)


class Handler:
    """A function of the user's.

    Args:
        function: a coroutine function, or a plain one.
        name: how it is called in the log; by default by its own name.
        may_be_left_out: for a while, if it is late again and again.

    Attributes:
        is_prompt: it takes no time, and its `function` may be called as it is.
    """

    is_prompt = False

    def __init__(self, function: Callable[..., Any], name: str | None = None, *, may_be_left_out: bool = True) -> None:
        self.function = function
        self.name = name or f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"
        self._is_coroutine = is_coroutine_function(function)
        self._late, self._late_at = 0, float("-inf")
        self._may_be_left_out = may_be_left_out
        self._left_out_until = float("-inf")
        self._skipped = 0

    async def call(self, about: str, *arguments: Any, within: float, keeps: bool = False) -> None:
        """Call it.

        Args:
            about: what it is called for, as it reads in the log.
            arguments: what it is called with.
            within: how long it may take, in seconds.
            keeps: the context variables that it sets stay set.
        """
        await self.call_each(about, (arguments,), within=within, keeps=keeps)

    async def call_each(
        self, about: str, calls: Sequence[tuple[Any, ...]], *, within: float, keeps: bool = False
    ) -> None:
        """Call it for each of many, one after the other; all of them together have that time."""
        begun = clock.seconds()
        if self._left_out_until > begun:
            self._skipped += len(calls)
            return
        if self._skipped:
            skipped, self._skipped = self._skipped, 0
            logger.error("%s is called again; while it was left out it missed %d calls", self.name, skipped)
        context, ending = contextvars.copy_context(), _Ending()
        work = (
            self._coroutines(about, calls, ending)
            if self._is_coroutine
            else self._in_thread(about, calls, context, ending)
        )
        doing = asyncio.get_running_loop().create_task(work, context=context if self._is_coroutine else None)
        try:
            await asyncio.wait({doing}, timeout=within)
            is_late = not doing.done()
            if is_late:
                ending.is_meant = doing.cancel()
                await asyncio.wait({doing}, timeout=_GRACE)
        except BaseException:
            ending.is_meant = doing.cancel()
            raise
        if is_late:
            self._was_late(about, within, begun)
        else:
            self._late = 0
            if keeps:
                _adopt(context)

    async def _coroutines(self, about: str, calls: Sequence[tuple[Any, ...]], ending: _Ending) -> None:
        for arguments in calls:
            try:
                await self.function(*arguments)
            except BaseException as error:  # SystemExit would end the loop, and its own CancelledError nobody
                if ending.explains(error):
                    return
                self._failed(about, error)

    async def _in_thread(
        self, about: str, calls: Sequence[tuple[Any, ...]], context: contextvars.Context, ending: _Ending
    ) -> None:
        def each() -> list[Any]:
            given: list[Any] = []
            for arguments in calls:
                try:
                    given.append(self.function(*arguments))
                except BaseException as error:
                    self._failed(about, error)
            return given

        for value in await in_thread(_THREAD, each, context):
            if inspect.isawaitable(value):  # a plain function that gives a coroutine, such as a partial of one
                try:
                    await value
                except BaseException as error:
                    if ending.explains(error):
                        return
                    self._failed(about, error)

    def _failed(self, about: str, error: BaseException) -> None:
        logger.error("%s, called for %s, failed; nothing else changes", self.name, about, exc_info=error)

    def _was_late(self, about: str, within: float, begun: float) -> None:
        logger.error(
            "%s, called for %s, did not end within %g s; it was cancelled, and may go on unheard",
            self.name,
            about,
            within,
        )
        if begun < self._late_at:  # at the same time as the one before, which was counted
            return
        self._late, self._late_at = self._late + 1, clock.seconds()
        if self._may_be_left_out and self._late >= _LATE_AT_MOST:
            self._late, self._left_out_until = 0, self._late_at + _LEFT_OUT
            logger.error("%s was late %d times in a row; it is left out for %g s", self.name, _LATE_AT_MOST, _LEFT_OUT)


class Tap(Handler):
    """A function of our own, which takes no time: called at once, and nobody watches over it."""

    is_prompt = True

    def __init__(self, function: Callable[[Any], object]) -> None:
        super().__init__(function, may_be_left_out=False)

    async def call(self, about: str, *arguments: Any, within: float, keeps: bool = False) -> None:
        """Call it."""
        self.function(*arguments)

    async def call_each(
        self, about: str, calls: Sequence[tuple[Any, ...]], *, within: float, keeps: bool = False
    ) -> None:
        """Call it for each of many."""
        for arguments in calls:
            self.function(*arguments)


def are_prompt(handlers: Sequence[Handler]) -> bool:
    """Whether none of them takes time."""
    return all(handler.is_prompt for handler in handlers)


def tell_now(handlers: Sequence[Handler], event: object) -> None:
    """Call those of them that take no time."""
    for handler in handlers:
        if handler.is_prompt:
            handler.function(event)


async def called(thread: InThread, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function as a part of what runs here, a plain one in a thread. Context variables that it sets stay set;
    what it raises is raised.

    Args:
        thread: calls in one.
    """
    if is_coroutine_function(function):
        return await function(*arguments)
    context = contextvars.copy_context()
    try:
        value = await thread(partial(function, *arguments), context)
    finally:
        _adopt(context)
    return await value if inspect.isawaitable(value) else value


def _adopt(context: contextvars.Context) -> None:
    """Set here what was set there."""
    for variable, value in context.items():
        if variable.get(_NONE) is not value:
            variable.set(value)
