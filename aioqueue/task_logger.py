"""Loggers whose records say which task they come from."""

from __future__ import annotations

import logging

from aioqueue.context import current


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
