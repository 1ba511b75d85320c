"""How the results of a workflow belong together, with whoever sent it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioqueue.group_result import GroupResult
from aioqueue.result import AsyncResult
from aioqueue.shape import Shape

if TYPE_CHECKING:
    from aioqueue.core import Core


class Family:
    """The results of one workflow, made when they are asked for; its shape says what comes before and after what."""

    def __init__(self, app: Core, shape: Shape) -> None:
        self._app = app
        self.shape = shape
        self._forgotten: set[int] = set()

    @property
    def workflow(self) -> str:
        """The workflow's id."""
        return self.shape.id

    @property
    def end(self) -> int:
        """The node at its end."""
        return self.shape.end

    def result(self, node: int) -> AsyncResult[Any]:
        """The result of a node."""
        shape = self.shape
        if node in shape.joins:
            group: GroupResult[Any] = GroupResult(self._app, shape.id_of(node), family=self, node=node)
            return group
        return AsyncResult(
            self._app,
            shape.id_of(node),
            name=shape.tasks[node],
            ignored=node in shape.ignored,
            keeps_errors=node in shape.keeping_errors,
            family=self,
            node=node,
        )

    def before(self, node: int) -> int:
        """The node before it."""
        return self.shape.before[node]

    def behind(self, node: int) -> list[int]:
        """The nodes that come directly after it."""
        return [number for number, before in enumerate(self.shape.before) if before == node and number]

    def forget(self, node: int) -> None:
        """Note that a node's result was forgotten; with that at the end, those of all nodes."""
        self._forgotten.add(node)

    def is_forgotten(self, node: int) -> bool:
        """Whether it was, by this process."""
        return node in self._forgotten or self.shape.end in self._forgotten


def result_of(app: Core, shape: Shape) -> AsyncResult[Any]:
    """The result of a workflow that was sent: that of its end."""
    return Family(app, shape).result(shape.end)
