"""Ids that senders chose for their tasks, and what is called under them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aioqueue.brokers.protocol import Outgoing
from aioqueue.exceptions import DuplicateTask
from aioqueue.workflow import Start
from aioqueue.workflows.flow import Flow


class OwnIds(dict[str, str]):
    """What is called under each, until its end: one call at a time.

    Args:
        flow_of: the workflow that goes on and has the id.
        is_there: whether a task of no workflow waits or runs.
    """

    def __init__(self, flow_of: Callable[[str], Flow | None], is_there: Callable[[str], bool]) -> None:
        super().__init__()
        self._flow_of = flow_of
        self._is_there = is_there

    def holder(self, id: str) -> str | None:
        """What is called under an id, as long as its task waits or runs."""
        if (flow := self._flow_of(id)) is not None:
            return self.get(id) or flow.call or "unknown"
        return self[id] if id in self and self._is_there(id) else None

    def refuse_other_calls(self, messages: Sequence[Outgoing]) -> None:
        """See that these messages may be sent.

        Raises:
            DuplicateTask: something else is called under the id of one.
        """
        calls: dict[str, str] = {}
        for message in messages:
            if message.once:
                held = self.holder(message.id)
                if not _same(held, message.call) or not _same(calls.get(message.id), message.call):
                    raise DuplicateTask.of(message.id)
                calls[message.id] = message.call

    def same_workflow(self, start: Start) -> str:
        """The workflow that goes on and is the same, by the ids that were chosen; "" is none.

        Raises:
            DuplicateTask: something else is called under one of them.
        """
        same = ""
        for name in start.claims:
            if self.holder(name) is None:
                continue
            flow = self._flow_of(name)
            if flow is None or not start.call or flow.call != start.call:
                raise DuplicateTask.of(name)
            same = flow.id
        return same


def _same(call: str | None, other: str) -> bool:
    """Whether two calls may be one; "" is any."""
    return not call or not other or call == other
