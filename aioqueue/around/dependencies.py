"""A task's dependencies: around each of its runs, and around a call of it as a function."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Any

from aioqueue.around.depends import Dependency
from aioqueue.around.opening import Alone, Here, Opening, Shared
from aioqueue.around.planning import Planner
from aioqueue.around.wishes import Reader
from aioqueue.exceptions import ConfigurationError


class Dependencies:
    """What a task depends on.

    Args:
        reader: finds what functions want.
        wanted: the parameters that depend on something.
        overrides: what stands in the place of functions.

    Attributes:
        plan: what is opened, in which order.
    """

    def __init__(
        self, reader: Reader, wanted: Mapping[str, Dependency], overrides: Mapping[Any, Callable[..., Any]]
    ) -> None:
        self._reader = reader
        self._wanted = wanted
        self.plan = Planner(reader, overrides).plan(wanted)

    @property
    def names(self) -> frozenset[str]:
        """The parameters that are filled."""
        return frozenset(self._wanted)

    def under(self, overrides: Collection[tuple[Any, Callable[..., Any]]]) -> Dependencies:
        """The same where others stand in the place of some functions, given by their identity; the last word counts.

        Raises:
            ConfigurationError: then they need each other, or something that there is not.
        """
        if not overrides:
            return self
        reader = copy.copy(self._reader)
        reader.after = "Nothing is overridden."
        return Dependencies(reader, self._wanted, dict(overrides))

    async def around(self, context: Any, body: Callable[[Mapping[str, Any]], Awaitable[Any]]) -> Any:
        """Open them, call the body with their values, close them; gives or raises what comes of it."""
        async with Opening(self.plan, context._runtime, context, f"{context.name}[{context.id}]") as given:
            return await body(given)

    def called(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: Any,
        *,
        is_coroutine: bool,
        scope: Shared | None,
    ) -> Any:
        """Call the task's function, as a function. What is not given is opened for the call.

        Raises:
            ConfigurationError: it is a plain function, and what it depends on has to be awaited.
        """
        if self._wanted.keys() <= kwargs.keys():
            return function(*args, **kwargs)
        given = inspect.signature(function).bind_partial(*args, **kwargs).arguments
        plan = self.plan.without(given)
        if is_coroutine:
            return _awaited(function, args, kwargs, Opening(plan, Alone(scope), context, context.name))
        if (provider := next((one for one in plan.providers if one.is_async), None)) is not None:
            raise ConfigurationError(
                f"{context.name} is a plain function, and called as one it cannot wait for its dependency "
                f"{provider.name}. It was not called. Give it what it depends on, as arguments; or in a test run it "
                "with t.run(...)."
            )
        return _at_once(function, args, kwargs, Opening(plan, Here(), context, context.name))


def dependencies_of(function: Callable[..., Any], *, bind: bool, name: str, context: type[Any]) -> Dependencies | None:
    """What a function that is made a task depends on; None if on nothing.

    Args:
        function: the task's.
        bind: it takes its context first.
        name: the task's.
        context: the class of a task's context.

    Raises:
        ConfigurationError: a dependency that cannot be, with its name.
    """
    reader = Reader(name, context)
    wanted = reader.of_task(function, bind=bind)
    return Dependencies(reader, wanted, {}) if wanted else None


async def _awaited(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], opening: Opening
) -> Any:
    async with opening as given:
        return await function(*args, **kwargs, **given)


def _at_once(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], opening: Opening) -> Any:
    async def call() -> Any:
        async with opening as given:
            return function(*args, **kwargs, **given)

    return _driven(call())


def _driven(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise ConfigurationError("A dependency has to be awaited, and a plain function was called that needs it.")
