"""Calling what stands around something, from the outermost in: each is given what comes next."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aioqueue.around.layer import Layer, standing
from aioqueue.exceptions import ConfigurationError
from aioqueue.kinds import shown

Next = Callable[[Any], Awaitable[Any]]
"""What comes next: called with what the middleware was called with."""
Step = Callable[[Any, Next], Awaitable[Any]]
"""A middleware's method, bound."""


def steps(middlewares: Iterable[Layer], method: str) -> tuple[Step, ...]:
    """The methods of that name of those that have one of their own, the innermost first."""
    return tuple([getattr(one, method) for one in reversed(standing(middlewares, method))])


def through(steps: Iterable[Step], innermost: Next) -> Next:
    """What calls all of them, as `steps` gives them, around the innermost."""
    for step in steps:
        innermost = _link(step, innermost)
    return innermost


def _link(step: Step, inner: Next) -> Next:
    async def link(subject: Any) -> Any:
        def next(*given: Any, **named: Any) -> Awaitable[Any]:
            if named or len(given) != 1 or not isinstance(given[0], type(subject)):
                raise _called_wrongly(step, given, named)
            return inner(given[0])

        value = await step(subject, next)
        if inspect.iscoroutine(value):
            value.close()
            raise ConfigurationError(
                f"{_name(step)} returns a coroutine, which nobody has awaited: write `return await next(...)`."
            )
        return value

    return link


def _called_wrongly(step: Step, given: tuple[Any, ...], named: Mapping[str, Any]) -> ConfigurationError:
    said = ", ".join([*map(shown, given), *(f"{name}={shown(value)}" for name, value in named.items())])
    what = next(iter(inspect.signature(step).parameters), "...")
    return ConfigurationError(
        f"{_name(step)} calls next({said}), which takes what the method was called with, and nothing else: write "
        f"`await next({what})`. What it stands around was not done."
    )


def _name(step: Step) -> str:
    return f"{type(getattr(step, '__self__', step)).__name__}.{getattr(step, '__name__', 'around_…')}"
