"""Whether a worker reads what its tasks are sent in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioqueue.options import check_accepted

if TYPE_CHECKING:
    from aioqueue.core import Core


def check_serializers(app: Core) -> None:
    """Each task's own serializer is one that the app accepts; pickle, one that it asks for.

    Raises:
        ConfigurationError: one is not.
    """
    for task in app.tasks.values():
        if task.serializer is not None:
            check_accepted(task.serializer, app.conf.accept_content, task.name, " The worker was not started.")
