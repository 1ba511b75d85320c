"""Who wrote a line of the log: what is logged while a task runs, by whatever code, carries the task's fields.

That is done by a filter of handlers, the way that the documentation of `logging` shows: a record factory would make
`logger.info("…", extra={"task_id": …})` of somebody else's code an error, for a field of that name would be there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from aioqueue import kinds
from aioqueue.around.middleware import Middleware, Next
from aioqueue.context import TaskContext
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.task_logger import TaskFields, chosen

if TYPE_CHECKING:
    from aioqueue.worker import Worker

_FIELDS: dict[str, Callable[[TaskContext], Any]] = {
    "task_id": lambda ctx: ctx.id,
    "task": lambda ctx: ctx.name,
    "queue": lambda ctx: ctx.queue,
    "attempt": lambda ctx: ctx.retries + 1,
    "deliveries": lambda ctx: ctx.deliveries,
    "priority": lambda ctx: ctx.priority,
    "worker": lambda ctx: ctx.hostname,
    "root_id": lambda ctx: ctx.root_id,
    "parent_id": lambda ctx: ctx.parent_id,
    "group_id": lambda ctx: ctx.group_id,
}
_filter = TaskFields()


class StructuredLogging(Middleware):
    """Gives each record that is logged while a task runs, by any code and in its thread too, the task's fields.

        app.add_middleware(StructuredLogging())          # aioqueue worker … --log-format json

    Args:
        fields: of these: task_id, task, queue, attempt (1 is the first), deliveries, priority, worker, root_id,
            parent_id, group_id.
        headers: names of headers of the message that become fields, too, where it has them.

    Raises:
        ConfigurationError: there is no such field.
    """

    in_children = True

    def __init__(
        self, fields: Iterable[str] = ("task_id", "task", "queue", "attempt"), *, headers: Iterable[str] = ()
    ) -> None:
        names: tuple[str, ...] = kinds.ARGUMENTS.of("The option fields of StructuredLogging", fields)
        for name in names:
            if name not in _FIELDS:
                raise ConfigurationError(
                    f"StructuredLogging knows no field {name!r}.{suggest(str(name), _FIELDS)} There are "
                    f"{', '.join(_FIELDS)}; a header of the message is given as headers=[...]."
                )
        self._fields = {name: _FIELDS[name] for name in names}
        self._headers: tuple[str, ...] = kinds.ARGUMENTS.of("The option headers of StructuredLogging", headers)

    async def around_task(self, ctx: TaskContext, next: Next) -> Any:
        """Set the fields for the run, and for what is said of its end."""
        for handler in logging.getLogger().handlers:  # there may be others by now
            handler.addFilter(_filter)
        fields = {name: of(ctx) for name, of in self._fields.items()}
        if self._headers:
            given = ctx.headers
            fields.update((name, given[name]) for name in self._headers if name in given)
        chosen.set({**(chosen.get() or {}), **fields})
        return await next(ctx)

    async def around_worker(self, worker: Worker, next: Next) -> Any:
        """Give the filter to all handlers that there are."""
        for handler in _handlers():
            handler.addFilter(_filter)  # which is done once
        return await next(worker)


def _handlers() -> Iterator[logging.Handler]:
    root = logging.getLogger()
    yield from root.handlers
    for logger in list(root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield from logger.handlers
