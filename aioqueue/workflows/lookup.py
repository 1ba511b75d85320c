"""Reading what is known of workflows. Nothing here changes anything."""

from __future__ import annotations

from aioqueue.brokers.protocol.data import UNKEPT
from aioqueue.workflow import SOURCE, NoValue, Step, Value
from aioqueue.workflows.flow import Flow
from aioqueue.workflows.interface import Shelf


class Lookup:
    """What can be asked of workflows, and of tasks by their ids."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    # Where

    def get(self, id: str) -> Flow | None:
        """A workflow."""
        return self._shelf.get(id)

    def graft(self, flow: Flow, n: int) -> Flow | None:
        """The workflow that goes on in the place of a node."""
        return self.get(flow.grafts.get(str(n), ""))

    def outer(self, flow: Flow) -> tuple[Flow, str] | None:
        """The workflow and the place there that a graft takes."""
        if flow.stands_for is None:
            return None
        workflow, place = flow.stands_for
        outer = self.get(workflow)
        return None if outer is None else (outer, place)

    def place(self, id: str) -> tuple[str, int] | None:
        """The workflow and the node of a task whose id the sender chose; also after its end, until the id is used
        again."""
        return self._shelf.place(id)

    def find(self, id: str) -> tuple[Flow, int] | None:
        """The workflow and the node of any task."""
        workflow, _, node = id.rpartition(".")
        flow = self.get(workflow)
        if flow is not None and node.isdecimal() and int(node) in flow.nodes:
            return flow, int(node)
        workflow, n = self.place(id) or ("", SOURCE)
        flow = self.get(workflow)
        return None if flow is None else (flow, n)

    def holder(self, id: str) -> Flow | None:
        """The workflow of a task whose id the sender chose, as long as the task has not ended."""
        workflow, n = self.place(id) or ("", SOURCE)
        flow = self.get(workflow)
        return None if flow is None or flow.has_ended(n) else flow

    # How it is

    def has_ended(self, id: str) -> bool:
        """Whether a task's place in its workflow, if it has one, has ended."""
        found = self.find(id)
        return found is not None and found[0].has_ended(found[1])

    def is_whole(self, id: str) -> bool:
        """Whether a task stands for the whole of its workflow: it is the end of it."""
        found = self.find(id)
        return found is not None and found[0].end == found[1]

    def is_waiting(self, id: str) -> bool:
        """Whether there is no message of a task yet, or another workflow goes on in its place."""
        found = self.find(id)
        return found is not None and not found[0].is_queued(found[1])

    def is_untimely(self, step: Step) -> bool:
        """Whether its node cannot have ended, as its turn has not come: it has no message, but others may send one."""
        flow = self.get(step.workflow)
        return flow is not None and flow.begun and "." not in step.node and int(step.node) not in flow.states

    def keeping(self, workflow: str) -> int | None:
        """For how long the record of one of its tasks that ends now is kept, where it is known and has not ended."""
        flow = self.get(workflow)
        if flow is None or flow.open <= 0:
            return None
        return UNKEPT if flow.keep == UNKEPT else 0

    def keeping_of(self, id: str) -> int | None:
        """The same for a task."""
        found = self.find(id)
        return None if found is None else self.keeping(found[0].id)

    # What it gave

    def value(self, workflow: str, n: int) -> Value | None:
        """What a node gave."""
        flow = self.get(workflow)
        return None if flow is None else flow.value(n)

    def failure(self, workflow: str, subject: str) -> NoValue | None:
        """The failure of a node, for an error handler."""
        flow = self.get(workflow)
        return None if flow is None else flow.failure(subject)
