"""What became of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Watch(Protocol):
    """One task's records as they are written."""

    async def next(self) -> bytes:
        """The next record: at first the one that is there, if there is one."""
        ...


class Records(Protocol):
    """The records of tasks, each until it expires."""

    async def records(self, ids: Sequence[str]) -> list[bytes | None]:
        """The records of tasks, None where there is none."""
        ...

    def watch(self, id: str) -> AbstractAsyncContextManager[Watch]:
        """The records of a task from now on; none is missed, as long as it is small, and never the final one."""
        ...

    async def forget(self, ids: Sequence[str]) -> list[bool]:
        """Drop the records of tasks; and of one at the end of a workflow, all that is known of the workflow: what has
        ended now, and when its last task has ended all else.

        Returns:
            For each id whether it stood for a whole workflow.
        """
        ...
