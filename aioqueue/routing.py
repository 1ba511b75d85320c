"""Which queue a task goes to when neither it nor its sender says."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from aioqueue.exceptions import ConfigurationError


def route(routes: Mapping[str, Any], task: str) -> str | None:
    """The queue that `task_routes` has for a task: by its name, else by the first pattern (`mail.*`) that fits."""
    if not routes:
        return None
    found = routes.get(task)
    if found is None:
        found = next((to for pattern, to in routes.items() if fnmatchcase(task, pattern)), None)
    if isinstance(found, Mapping):
        found = found.get("queue")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if found is not None and not isinstance(found, str):
        raise ConfigurationError(
            f"task_routes has {found!r} for {task}: it takes the name of a queue, or {{'queue': name}}."
        )
    return found
