"""The setting `task_routes`: how a task is sent when neither its sender nor the task itself says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, TypeAlias, cast

from aioqueue import kinds
from aioqueue.exceptions import AioQueueError, ConfigurationError, RoutingError, suggest
from aioqueue.options import NOTHING_SENT, OF_CALLS, RouteOptions, checked

Route: TypeAlias = RouteOptions | str | None
"""Options of the sending, or the name of a queue; None says nothing."""
Router: TypeAlias = Callable[[str, tuple[Any, ...], dict[str, Any], dict[str, Any]], Mapping[str, Any] | str | None]
"""A function of a task's name, its arguments, and the options that its sender gave; it returns a route."""
Table: TypeAlias = Mapping[Any, Route]
"""Routes by the name of a task, or a pattern of such names: text, or a regular expression."""
Routes: TypeAlias = Table | Router | str | Sequence[Table | Router | str | tuple[str | re.Pattern[str], Route]] | None
"""What the setting `task_routes` takes."""

_OF_CALLS_ALONE: Final = frozenset({"link", "link_error", "task_id"})
_OF_CELERY: Final = {
    "exchange": "there are no exchanges; a routing_key finds queues by their topics.",
    "exchange_type": "there are no exchanges; a routing_key finds queues by their topics.",
    "delivery_mode": "messages are as durable as the broker; leave it out.",
    "broker": "a task goes to the broker of its app; make an app for each broker.",
    "rate_limit": "rate limits are not here yet.",
}
"""What routes of Celery's may have, and those here not."""
_PATH: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*[.:][^\W\d]\w*")


def read_routes(where: str, value: Any) -> Any:
    """The setting `task_routes`: a dict of routes, a function, or a list of such, which are asked one after the other.

    Args:
        where: which setting, and from where.
        value: what was given. A function may be given as `module:function`, and a dict as a list of pairs.

    Raises:
        ConfigurationError: it is something else, or says nothing that is understood.
    """
    if value is None:
        return {}
    if isinstance(value, str | Mapping) or callable(value) or hasattr(value, "route_for_task") or _are_pairs(value):
        return _read_one(where, value)
    if not isinstance(value, list | tuple):
        raise _no_router(where, value)
    return [_read_one(where, one) for one in cast("Sequence[Any]", value)]


def route(routes: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]) -> Any:
    """The options that `task_routes` has for a call, checked; empty where it has none.

    Args:
        routes: the setting, as `read_routes` gave it, or as it was changed since.
        name: the task's.
        args, kwargs: its arguments.
        options: those that its sender gave.

    Raises:
        ConfigurationError: what was found is no route.
        RoutingError: a function that was asked raised an error.
    """
    for router in cast("list[Any]", routes) if isinstance(routes, list) else (routes,):
        found = _ask(router, name, args, kwargs, options)
        if found:
            return _options(name, found)
    return {}


def names_of(routes: Any) -> Iterator[str]:
    """The names of all queues that routes name, but for those of functions, which say so only when they are asked."""
    for router in cast("list[Any]", routes) if isinstance(routes, list) else (routes,):
        for to in cast("Mapping[Any, Any]", router).values() if isinstance(router, Mapping) else ():
            if to and (queue := _options("a task", to).get("queue")):
                yield queue


def asks_functions(routes: Any) -> bool:
    """Whether some of it is decided by functions, so that nobody knows all queues beforehand."""
    routers = cast("list[Any]", routes) if isinstance(routes, list) else (routes,)
    return not all(isinstance(router, Mapping) for router in routers)


def _ask(router: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]) -> Any:
    if isinstance(router, Mapping):
        return _in_table(cast("Mapping[Any, Any]", router), name)
    function: Any = _imported(router) if isinstance(router, str) else router
    of_celery = getattr(function, "route_for_task", None)
    if not callable(function) and of_celery is None:
        raise _no_router("task_routes", router)
    try:
        if of_celery is not None:
            found = of_celery(name, args, dict(kwargs))
        else:
            found = function(name, args, dict(kwargs), dict(options))
    except AioQueueError:
        raise
    except Exception as error:
        raise RoutingError(
            f"The function {_called(function)} of task_routes was asked for the route of {name}, and raised "
            f"{type(error).__name__}: {error}.{NOTHING_SENT}"
        ) from error
    if inspect.iscoroutine(found):
        found.close()
        raise _no_router("task_routes", function)
    return found


def _in_table(table: Mapping[Any, Any], name: str) -> Any:
    """By the whole name first, then by the first pattern that fits."""
    found = table.get(name)
    if found is not None:
        return found
    for pattern, to in table.items():
        if to is not None and (fnmatchcase(name, pattern) if isinstance(pattern, str) else pattern.match(name)):
            return to
    return None


def _options(task: str, to: Any) -> dict[str, Any]:
    """What a route says, as options."""
    if isinstance(to, Mapping):
        options = cast("Mapping[Any, Any]", to)
        for name in options:
            if name in _OF_CALLS_ALONE:
                raise ConfigurationError(
                    f"task_routes has {name!r} for {task}: a route says how a task is sent. Which id it has, and what "
                    f"follows it, is its sender's to say.{NOTHING_SENT}"
                )
            if name not in OF_CALLS:
                why = _OF_CELERY.get(str(name)) or f"that is no option of sending a task.{suggest(str(name), OF_CALLS)}"
                raise ConfigurationError(f"task_routes has {name!r} for {task}: {why}{NOTHING_SENT}")
        try:
            if said := checked(options):
                return said
        except ConfigurationError as error:
            raise ConfigurationError(f"task_routes has {kinds.shown(to)} for {task}: {error}") from None
    elif kinds.is_name(to):
        return {"queue": to}
    raise ConfigurationError(
        f"task_routes has {kinds.shown(to)} for {task}: it takes the name of a queue (1 to 255 printable characters "
        "without spaces), or a dict of options of the sending, such as {'queue': name, 'priority': 5}."
    )


# Reading the setting


def _read_one(where: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return _table(cast("Mapping[Any, Any]", value))
    if _are_pairs(value):
        return _table(value)
    if isinstance(value, str) and _PATH.fullmatch(value):
        return value  # it may be of a module that is being imported right now
    if hasattr(value, "route_for_task"):  # a router of Celery's, or the class of one
        return value() if isinstance(value, type) else value
    if callable(value) and not isinstance(value, type) and not inspect.iscoroutinefunction(value):
        _check_parameters(where, value)
        return value
    raise _no_router(where, value)


def _check_parameters(where: str, function: Any) -> None:
    try:
        signature = inspect.signature(function)
        signature.bind("", (), {}, {})
    except ValueError:  # it has none to be seen
        return
    except TypeError as error:
        raise ConfigurationError(
            f"The setting {where} has the function {_called(function)}, which cannot be called with a task's name, its "
            f"args, its kwargs, and the options of the call ({error}): write `def route(name, args, kwargs, options)`."
        ) from None


class RouteTable(dict[Any, Any]):
    """Routes by the task's name; what is put into it later is looked at, too.

    Raises:
        ConfigurationError: by each of its methods, for what is no route; nothing is changed then.
    """

    def __setitem__(self, pattern: Any, to: Any, /) -> None:
        super().__setitem__(pattern, _checked_route(pattern, to))

    def setdefault(self, pattern: Any, to: Any = None, /) -> Any:
        """As of a dict."""
        return super().setdefault(pattern, _checked_route(pattern, to))

    def update(self, *more: Any, **by_name: Any) -> None:
        """As of a dict."""
        super().update({pattern: _checked_route(pattern, to) for pattern, to in dict(*more, **by_name).items()})

    def __ior__(self, more: Any, /) -> RouteTable:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.update(more)
        return self


def _table(pairs: Any) -> RouteTable:
    found = RouteTable()
    found.update(pairs)
    return found


def _checked_route(pattern: Any, to: Any) -> Any:
    text: Any = cast("Any", pattern).pattern if isinstance(pattern, re.Pattern) else pattern
    if not isinstance(text, str):
        raise ConfigurationError(
            f"task_routes has {pattern!r}: the name of a task is text, or a pattern: 'mail.*', or a regular "
            "expression, re.compile(...)."
        )
    if to is not None:
        _options(text, to)
    return dict(cast("Mapping[Any, Any]", to)) if isinstance(to, Mapping) else to


def _are_pairs(value: Any) -> bool:
    """A list of (pattern, route), as Celery takes it in place of a dict whose order is kept."""
    return (
        isinstance(value, list | tuple)
        and len(cast("Sequence[Any]", value)) > 0
        and all(
            isinstance(pair, list | tuple)
            and len(cast("Sequence[Any]", pair)) == 2
            and isinstance(pair[0], str | re.Pattern)
            and not isinstance(pair[1], list | tuple)
            for pair in cast("Sequence[Any]", value)
        )
    )


def _no_router(where: str, value: Any) -> ConfigurationError:
    return ConfigurationError(
        f"The setting {where} has {kinds.shown(value)}: it takes a dict of routes by the task's name, such as "
        "{'shop.mail.*': 'email'}; a plain function (name, args, kwargs, options) that returns a route or None, or its "
        "place, 'module:function'; or a list of those."
    )


@lru_cache(maxsize=128)
def _imported(path: str) -> Any:
    """A function by its place, `module:function`, or with a dot in between as Celery has it."""
    module, _, name = path.rpartition(":" if ":" in path else ".")
    try:
        found = getattr(import_module(module), name)
        return found() if isinstance(found, type) and hasattr(found, "route_for_task") else found
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"task_routes has {path!r}, which cannot be imported: {error}.{NOTHING_SENT}"
        ) from error


def _called(function: Any) -> str:
    return getattr(function, "__qualname__", repr(function))
