"""Records that say which task they were written in: by filters of handlers, and by loggers of tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from aioqueue.context import current

FIELDS = ("task_id", "task", "queue", "attempt")
"""What `TaskFields` adds."""
chosen: ContextVar[Mapping[str, Any] | None] = ContextVar("aioqueue_log_fields", default=None)
"""Fields of the run that this code is in, if somebody has chosen others than these."""


class TaskFields(logging.Filter):
    """Adds the fields of the task that a record is written in, `task_id`, `task`, `queue` and `attempt` (1 is the
    first): by whatever code, in a thread of the task's too. For handlers, which then may format them.

        "filters": {"task": {"()": "aioqueue.middlewares.TaskFields", "outside": "-"}}     # for dictConfig

    `aioqueue worker` has it on the handler that it sets up.

    Args:
        outside: what the fields are in records that no task has written, for formats with `%(task_id)s` in them;
            without, these records have none.
    """

    def __init__(self, outside: str | None = None) -> None:
        super().__init__()
        self._outside = None if outside is None else dict.fromkeys(FIELDS, outside)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, with the fields that it has not got already."""
        fields, own = chosen.get(), vars(record)
        if fields is None:
            if "task_id" in own and "task" in own:  # a line of the worker's own, about a task
                return True
            context = current.get()
            if context is None:
                fields = self._outside or {}
            else:
                values = (context.id, context.name, context.queue, context.retries + 1)
                fields = dict(zip(FIELDS, values, strict=True))
        for name, value in fields.items():
            own.setdefault(name, value)
        return True


class OfTask(logging.Filter):
    """Puts `task_id`, `task_name`, `task_queue` and `task_retries` into records; outside of a task they are empty."""

    def filter(self, record: logging.LogRecord) -> bool:
        """All pass. What a record has already stays."""
        context = current.get()
        fields = vars(record)
        fields.setdefault("task_id", "" if context is None else context.id)
        fields.setdefault("task_name", "" if context is None else context.name)
        fields.setdefault("task_queue", "" if context is None else context.queue)
        fields.setdefault("task_retries", 0 if context is None else context.retries)
        return True


_OF_TASK = OfTask()


def get_task_logger(name: str) -> logging.Logger:
    """The logger of that name; its records know the task that they are written in, so that formats may have
    `%(task_id)s` and `%(task_name)s` in them.

    Where and from which level on they are written is as for every logger of the program.

    Args:
        name: mostly `__name__`.
    """
    found = logging.getLogger(name)
    found.addFilter(_OF_TASK)  # once, however often it is asked
    return found
