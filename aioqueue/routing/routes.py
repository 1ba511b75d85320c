"""Which queue a task goes to when neither it nor its sender says."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, cast

from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.kinds import is_name


def route(routes: Mapping[str, Any], task: str) -> str | None:
    """The queue that `task_routes` has for a task: by its name, else by the first pattern (`mail.*`) that fits.

    Raises:
        ConfigurationError: what was put there is no route.
    """
    if not routes:
        return None
    found = routes.get(task)
    if found is None:
        found = next((to for pattern, to in routes.items() if fnmatchcase(task, pattern)), None)
    return None if found is None else _queue_of(task, found)


def check_routes(routes: Mapping[Any, Any]) -> None:
    """Look at all of `task_routes`.

    Raises:
        ConfigurationError: one of them says nothing that is understood.
    """
    for pattern, to in routes.items():
        if not isinstance(pattern, str):
            raise ConfigurationError(
                f"task_routes has {pattern!r}: the name of a task is text, or a pattern such as 'mail.*'."
            )
        if to is not None:
            _queue_of(pattern, to)


def _queue_of(task: str, to: Any) -> str:
    queue = to
    if isinstance(to, Mapping):
        options = cast("Mapping[Any, Any]", to)
        for name in options:
            if name != "queue":
                raise ConfigurationError(
                    f"task_routes has {name!r} for {task}: a route says the queue alone in this version, as "
                    f"{{'queue': name}}.{suggest(str(name), ('queue',))} Other options go with the task, "
                    "@app.task(...), or with the call, task.options(...)."
                )
        queue = options.get("queue")
    if is_name(queue):
        return queue
    raise ConfigurationError(
        f"task_routes has {to!r} for {task}: it takes the name of a queue (1 to 255 printable characters without "
        "spaces), or {'queue': name}."
    )
