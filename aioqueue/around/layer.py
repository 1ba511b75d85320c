"""What a middleware is to an app: what stands around sends, runs or workers. `Middleware` is its public face."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Final, cast

from aioqueue.definition import is_coroutine_function
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.kinds import Kind, shown

PLACES: Final = ("around_send", "around_task", "around_worker")


class Layer:
    """Stands around what happens at the places for which it has a method; what it leaves out passes it by.

    Attributes:
        in_children: its `around_task` sets context variables, and is called in the process that runs the function, too,
            with a `next` that does nothing.
    """

    in_children: bool = False

    async def around_send(self, message: Any, next: Any) -> Any:
        """Around a message on its way out."""
        return await next(message)

    async def around_task(self, ctx: Any, next: Any) -> Any:
        """Around one run of a task."""
        return await next(ctx)

    async def around_worker(self, worker: Any, next: Any) -> Any:
        """Around the time in which a worker works."""
        return await next(worker)


def standing(layers: Iterable[Layer], place: str) -> tuple[Layer, ...]:
    """Those that have something to do at a place, in order."""
    own = getattr(Layer, place)
    return tuple([layer for layer in layers if getattr(type(layer), place) is not own])


def checked_layer(given: Any, what: str) -> Layer:
    """`given`, if it is a middleware whose methods can be awaited.

    Args:
        given: what was given.
        what: for what, as the beginning of a sentence.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(given, Layer):
        hint = ""
        if isinstance(given, type) and issubclass(given, Layer):
            hint = f" Give an instance: {given.__name__}()."
        elif any(hasattr(cast("Any", given), place) for place in PLACES):
            hint = f" Let its class inherit from it: class {type(cast('Any', given)).__name__}(Middleware)."
        raise ConfigurationError(
            f"{what} is an instance of a subclass of aioqueue.Middleware, not {shown(given)}.{hint}"
        )
    kind = type(given)
    for name in dir(kind):
        if name.startswith("around_") and name not in PLACES and (meant := suggest(name, PLACES)):
            raise ConfigurationError(
                f"{what}: {kind.__name__} has a method {name}, which nobody would call.{meant} Name what is your own "
                "otherwise."
            )
    for place in PLACES:
        _check_method(getattr(given, place), f"{kind.__name__}.{place}", what)
    return given


def _check_method(method: Any, name: str, what: str) -> None:
    if not is_coroutine_function(method):
        raise ConfigurationError(
            f"{what}: {name} is no coroutine function, and what it stands around is awaited inside it. Write it as "
            f"`async def`, with `return await next(...)`."
        )
    try:
        inspect.signature(method).bind(None, None)
    except TypeError:
        taken = inspect.signature(method)
        raise ConfigurationError(
            f"{what}: {name}{taken} takes other arguments than it gets: what it stands around, and `next`."
        ) from None
    except ValueError:  # it has no signature to be seen
        pass


def _layers(value: Any) -> tuple[Layer, ...]:
    if isinstance(value, Layer):
        raise TypeError("put it into a list")
    if isinstance(value, str):
        raise TypeError
    return tuple([checked_layer(one, "Each middleware of a task") for one in value])


LAYERS: Final = Kind("a list of middlewares, such as [Audit()]", _layers)
