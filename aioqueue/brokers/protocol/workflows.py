"""Workflows, which go on with the ends of their tasks."""

from __future__ import annotations

from typing import Protocol

from aioqueue.brokers.protocol.data import Lengths
from aioqueue.brokers.protocol.statuses import WorkflowStatus
from aioqueue.workflow import Node, NoValue, Part, Start, Value

UNBEGUN_FOR = 24 * 3600 * 1000
"""For how long a workflow is kept of which only a part has arrived, or that nobody begins; ms."""


class Workflows(Protocol):
    """Workflows, as clients store and see them."""

    async def put_part(
        self, workflow: str, part: Part, start: Start | None, *, timeout: float, max_length: Lengths | None = None
    ) -> str:
        """Put in a part of a workflow; with `start`, the last one, it begins. Until then nothing of it exists for
        anybody else, and parts that are never started vanish after a day (`UNBEGUN_FOR`).

        Returns:
            Its id; or that of the workflow that goes on and is the same, by its ids: then this one is not begun.

        Raises:
            QueueFull: a queue would hold more than `max_length` messages; this part may be stored again.
            DuplicateTask: an id of it is that of another call; this part is not there.
            BrokerUnavailable: no answer within `timeout` seconds.
        """
        ...

    async def discard(self, workflow: str) -> None:
        """Drop the parts of a workflow that will not be started."""
        ...

    async def workflow(self, workflow: str) -> WorkflowStatus | None:
        """The nodes of a workflow and their states; None when there is no such workflow (any more)."""
        ...

    async def place(self, id: str) -> tuple[str, int] | None:
        """The workflow and the node of a task whose id the sender chose; also after the workflow's end, for as long as
        it is kept, until the id is used again."""
        ...

    async def members(self, workflow: str, node: int) -> list[Node] | None:
        """A join's members, in order; None when the node is no join, or nothing is known of it (any more)."""
        ...

    async def resume(self, workflow: str, node: int | None = None) -> int:
        """Run again what failed or was revoked, and what was to come after it; or only that one node.

        Returns:
            How many nodes are to run again.
        """
        ...


class Inputs(Protocol):
    """What workers ask of workflows: what those tasks take that come after others."""

    async def value(self, workflow: str, node: int) -> Value | None:
        """What a node of a workflow gave; None when nothing is known of it (any more)."""
        ...

    async def failure(self, workflow: str, subject: str) -> NoValue | None:
        """The failure of a node, for an error handler; "chord" when it is that of a header's task."""
        ...
