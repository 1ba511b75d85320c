"""The options of a worker, as `app.worker(...)` and `app.asgi_lifespan(worker=True, ...)` take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict

from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.kinds import Seconds
from aioqueue.worker.consuming import Queues


class WorkerOptions(TypedDict, total=False):
    """What they mean is told by `Worker`."""

    queues: Queues | None
    exclude: Queues | None
    concurrency: int | None
    pool: Literal["async", "threads", "processes", "solo"] | None
    hostname: str | None
    shutdown_timeout: Seconds | None
    burst: bool | Literal["now"]
    on_ready: Callable[[], Any] | None
    beat: bool


def check_names(options: Mapping[str, Any], of: str, *beside: str) -> None:
    """Whether all of them are options of a worker.

    Args:
        options: what was given.
        of: what was called.
        beside: what that takes, too.

    Raises:
        ConfigurationError: one is not.
    """
    known = WorkerOptions.__annotations__
    for name in options:
        if name not in known:
            raise ConfigurationError(
                f"{of} has no option {name!r}.{suggest(name, (*known, *beside))} A worker takes "
                f"{', '.join(known)}. No worker was started."
            )
