"""How the results of a workflow belong together, with whoever sent it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioqueue.group_result import GroupResult
from aioqueue.result import AsyncResult
from aioqueue.shape import Kinship, Shape

if TYPE_CHECKING:
    from aioqueue.core import Core


class Family(Kinship[AsyncResult[Any]]):
    """The results of one workflow, made when they are asked for; its shape says what comes before and after what."""

    def __init__(self, app: Core, shape: Shape) -> None:
        self._app = app
        self.shape = shape
        self._forgotten = set()

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


def result_of(app: Core, shape: Shape) -> AsyncResult[Any]:
    """The result of a workflow that was sent: that of its end."""
    return Family(app, shape).result(shape.end)
