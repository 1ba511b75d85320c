"""Opening what a run depends on before its body, and closing it after that."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from types import AsyncGeneratorType, GeneratorType
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from aioqueue.around.calling import InThread
from aioqueue.around.planning import OpeningPlan, Provider
from aioqueue.exceptions import ConfigurationError, Ignore, Reject, Replace, Retry
from aioqueue.logs import logger

T = TypeVar("T")


class Shared(Protocol):
    """Where what the tasks of a process share is open."""

    async def value(self, provider: Provider) -> Any:
        """The value of a provider of the scope "worker"."""
        ...


class Venue(Protocol):
    """Where dependencies are opened.

    Attributes:
        scope: what is shared there; None: all is opened for the run.
    """

    @property
    def scope(self) -> Shared | None: ...

    async def in_thread(self, call: Callable[[], Any], variables: contextvars.Context) -> Any:
        """Call a function in a thread, for it may block, with these context variables."""
        ...


class Opened(NamedTuple):
    """Something that is to be closed.

    Attributes:
        variables: the context variables that it was opened with in a thread, and is closed with.
    """

    provider: Provider
    context: Any
    is_async: bool
    variables: contextvars.Context


async def open_provider(provider: Provider, call: Callable[[], Any], in_thread: InThread) -> tuple[Any, Opened | None]:
    """The value of a provider, and what is to be closed of it.

    Args:
        provider: the dependency.
        call: its call, with what it needs.
        in_thread: calls in a thread.
    """
    variables = contextvars.copy_context()
    made = call() if provider.on_loop else await in_thread(call, variables)
    # Whoever gives a generator, perhaps through a decorator, gives it to be run; and nothing else is entered but what
    # was made here: what a function returns may be what others use.
    context, is_async = _context(provider, made)
    if context is None:
        return (await made if inspect.iscoroutine(made) else made), None
    try:
        value = await (context.__aenter__() if is_async else in_thread(context.__enter__, variables))
    except RuntimeError as error:
        if str(error) != "generator didn't yield":  # contextlib's words, which do not say whose
            raise
        raise ConfigurationError(
            f"The dependency {provider.name} yielded nothing. A generator gives its value with the one yield that it "
            "comes to; what has none to give may yield None."
        ) from error
    return value, Opened(provider, context, is_async, variables)


def _context(provider: Provider, made: Any) -> tuple[Any, bool]:
    if provider.enters is not None:
        return made, provider.enters == "async"
    if isinstance(made, AsyncGeneratorType):
        made = asynccontextmanager(lambda: cast("AsyncGenerator[Any]", made))()
    elif isinstance(made, GeneratorType):
        made = contextmanager(lambda: cast("Generator[Any]", made))()
    kind = cast("type[Any]", type(made))
    if kind.__module__ == "contextlib":
        return made, hasattr(kind, "__aenter__")
    return None, False


async def close_provider(opened: Opened, error: BaseException | None, in_thread: InThread) -> None:
    """Close it, and tell it of an error; raises what it raises. That it swallows the error changes nothing."""
    about = (None, None, None) if error is None else (type(error), error, error.__traceback__)
    context = opened.context
    try:
        if opened.is_async:
            await context.__aexit__(*about)
        else:
            await in_thread(lambda: context.__exit__(*about), opened.variables)
    except RuntimeError as raised:
        if not str(raised).startswith("generator didn't stop"):
            raise
        raise ConfigurationError(
            f"The dependency {opened.provider.name} yielded a second time. A generator yields its value once; what "
            "comes after that is done when the task has ended."
        ) from raised


class Opening:
    """The dependencies of one run, for `async with`: gives the values by the names of the parameters.

    Args:
        plan: what is opened.
        venue: where.
        context: the task's.
        run: names the run in the log.
    """

    def __init__(self, plan: OpeningPlan, venue: Venue, context: Any, run: str) -> None:
        self._plan = plan
        self._venue = venue
        self._context = context
        self._run = run
        self._opened: list[Opened] = []

    async def __aenter__(self) -> dict[str, Any]:
        values: dict[Provider, Any] = {}
        try:
            for provider in self._plan.order:
                await self._open(provider, values)
        except BaseException as error:
            final = await self._close(error)
            if final is not None and final is not error:
                raise final from final.__cause__
            raise
        return {name: values[provider] for name, provider in self._plan.parameters.items()}

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        final = await self._close(error)
        if final is not None and final is not error:
            raise final

    async def _open(self, provider: Provider, values: dict[Provider, Any]) -> None:
        if provider in values:
            return
        scope = self._venue.scope
        if provider.scope == "worker":
            if scope is not None:
                values[provider] = await scope.value(provider)
                return
            for one in provider.needs:
                await self._open(one, values)
        value, opened = await open_provider(provider, provider.call(values, self._context), self._venue.in_thread)
        values[provider] = value
        if opened is not None:
            self._opened.append(opened)

    async def _close(self, error: BaseException | None) -> BaseException | None:
        """Close all, the last one first, and tell each of the error; returns what the run ends with."""
        while self._opened:
            opened = self._opened.pop()
            try:
                await close_provider(opened, error, self._venue.in_thread)
            except BaseException as raised:
                error = self._counts(error, raised, opened.provider)
        return error

    def _counts(self, error: BaseException | None, raised: BaseException, provider: Provider) -> BaseException:
        """Which of two errors is the run's.

        That of the body, unless closing was cut off, or the dependency has made another one of it on purpose: a
        rollback that fails too, because the connection is gone, does not keep a task from being retried.
        """
        if error is None or raised is error or not isinstance(raised, Exception):
            return raised
        if raised.__cause__ is error or isinstance(raised, Retry | Reject | Replace | Ignore):
            return raised
        logger.error(
            "The dependency %s of task %s failed as it was closed; the task's own error stands",
            provider.name,
            self._run,
            exc_info=raised,
        )
        return error


class Alone:
    """A place outside of a worker: threads are those of the event loop.

    Args:
        scope: what is shared there, if it is in a worker all the same.
    """

    def __init__(self, scope: Shared | None = None) -> None:
        self.scope = scope

    async def in_thread(self, call: Callable[[], Any], variables: contextvars.Context) -> Any:
        """Call it in a thread."""
        return await asyncio.to_thread(variables.run, call)


class Here:
    """A place without an event loop: everything is called where it is."""

    scope: Shared | None = None

    async def in_thread(self, call: Callable[[], Any], variables: contextvars.Context) -> Any:
        """Call it; what it sets is seen here."""
        return call()
