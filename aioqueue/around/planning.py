"""What a task depends on, in the order in which it is opened: found out once, when the task is made."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Iterable, Mapping
from typing import Any, cast

from aioqueue.around.depends import Dependency, Scope
from aioqueue.around.wishes import CONTEXT, Constant, Reader, Wish, identity, name_of
from aioqueue.definition import call_of, is_coroutine_function


class Provider:
    """One dependency, as others need it.

    Attributes:
        name: for people.
        function: gives the value.
        scope: for how long it is open.
        positional, named: what it is called with: providers, `CONTEXT` or a `Constant`.
        on_loop: it is called on the event loop, for it does not block there.
        enters: "async" or "sync" if what is made is a context manager that is entered; of a class only.
        key: the same for what gives the same, in whichever plan.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], scope: Scope, positional: list[Any], named: dict[str, Any]
    ) -> None:
        self.name = name
        self.function = function
        self.scope: Scope = scope
        self.positional = positional
        self.named = named
        self.enters = _enters(function)
        self.is_async = _is_async(function) or self.enters == "async"
        self.on_loop = self.is_async or _makes_generator(function)
        needs = [*(enumerate(positional)), *sorted(named.items())]
        self.key: Any = (
            identity(function),
            scope,
            tuple((at, one.key) for at, one in needs if isinstance(one, Provider)),
        )

    @property
    def needs(self) -> list[Provider]:
        """What has to be there before it."""
        return [one for one in (*self.positional, *self.named.values()) if isinstance(one, Provider)]

    def call(self, values: Mapping[Provider, Any], context: Any) -> Callable[[], Any]:
        """Its call with what it needs."""

        def value(source: Any) -> Any:
            if source is CONTEXT:
                return context
            return source.value if isinstance(source, Constant) else values[source]

        function = self.function
        args = [value(one) for one in self.positional]
        kwargs = {name: value(one) for name, one in self.named.items()}
        return lambda: function(*args, **kwargs)


class OpeningPlan:
    """The dependencies of a task.

    Attributes:
        parameters: the parameters that are filled, each with what fills it.
        order: what is opened for it, each after what it needs; those of the worker are asked for.
    """

    def __init__(self, parameters: Mapping[str, Provider]) -> None:
        self.parameters = parameters
        self.order = _ordered(parameters.values())

    def without(self, given: Collection[str]) -> OpeningPlan:
        """The same where some of the parameters are given."""
        return OpeningPlan({name: provider for name, provider in self.parameters.items() if name not in given})

    @property
    def providers(self) -> set[Provider]:
        """All that it is made of, also what is needed by what workers share."""
        found: set[Provider] = set()
        pending = list(self.order)
        while pending:
            if (provider := pending.pop()) not in found:
                found.add(provider)
                pending += provider.needs
        return found


class Planner:
    """Makes plans.

    Args:
        reader: finds what functions want.
        overrides: what stands in the place of functions, by their identity.
    """

    def __init__(self, reader: Reader, overrides: Mapping[Any, Callable[..., Any]]) -> None:
        self._reader = reader
        self._overrides = overrides
        self._providers: dict[Any, Provider] = {}
        self._under_way: dict[Any, Callable[..., Any]] = {}

    def plan(self, wanted: Mapping[str, Dependency]) -> OpeningPlan:
        """The plan for the parameters of a task.

        Raises:
            ConfigurationError: it cannot be opened.
        """
        return OpeningPlan({name: self._provider(dependency) for name, dependency in wanted.items()})

    def _provider(self, dependency: Dependency) -> Provider:
        function: Any = dependency.function
        function = self._overrides.get(identity(function), function)
        scope: Scope = dependency.scope or "task"
        key = (identity(function), scope)
        if key in self._providers:
            return self._providers[key]
        if key in self._under_way:
            begin = list(self._under_way).index(key)
            circle = [*list(self._under_way.values())[begin:], function]
            raise self._reader.refused(f"Dependencies in a circle: {', which needs '.join(map(name_of, circle))}.")
        self._under_way[key] = function
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for wish in self._reader.of(function):
            value = self._provider(wish.what) if isinstance(wish.what, Dependency) else wish.what
            if scope == "worker":
                self._check_scope(function, wish, value)
            if wish.by_position:
                positional.append(value)
            else:
                named[wish.name] = value
        del self._under_way[key]
        provider = self._providers[key] = Provider(name_of(function), function, scope, positional, named)
        return provider

    def _check_scope(self, function: Callable[..., Any], wish: Wish, value: Any) -> None:
        name = name_of(function)
        if value is CONTEXT:
            raise self._reader.refused(
                f"The dependency {name} has the scope 'worker', and takes the context of a task ({wish.name!r}), of "
                "which there are many: give it the scope 'task', or leave that out."
            )
        if isinstance(value, Provider) and value.scope == "task":
            raise self._reader.refused(
                f"The dependency {name} has the scope 'worker', and needs {value.name}, which is opened for each task: "
                f"write Depends({value.name}, scope='worker') there, or give {name} the scope 'task'."
            )


def _ordered(roots: Iterable[Provider]) -> tuple[Provider, ...]:
    order: dict[Provider, None] = {}

    def add(provider: Provider) -> None:
        if provider not in order:
            if provider.scope == "task":
                for one in provider.needs:
                    add(one)
            order[provider] = None

    for root in roots:
        add(root)
    return tuple(order)


def _is_async(function: Any) -> bool:
    """Whether its value is awaited: a coroutine, an async generator, also under contextlib's decorator."""
    inner = inspect.unwrap(function)
    return is_coroutine_function(function) or _is_function_of(inner, inspect.isasyncgenfunction)


def _makes_generator(function: Any) -> bool:
    """Whether a call of it runs nothing yet."""
    return _is_function_of(inspect.unwrap(function), inspect.isgeneratorfunction)


def _is_function_of(function: Any, kind: Callable[[Any], bool]) -> bool:
    while isinstance(function, functools.partial):
        function = cast("Any", function).func
    return kind(function) or kind(call_of(function))


def _enters(function: Any) -> str | None:
    """How what a class makes is entered; a lock is not, for it would be held as long as it is there."""
    if not isinstance(function, type):
        return None
    made = cast("type[Any]", function)
    if (hasattr(made, "acquire") and hasattr(made, "release")) or issubclass(made, Generator | AsyncGenerator):
        return None
    return "async" if hasattr(made, "__aenter__") else "sync" if hasattr(made, "__enter__") else None
