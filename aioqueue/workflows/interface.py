"""What the rules of workflows need of a store: a shelf for workflows, and a hand on tasks.

Both are called inside of one atomic step of the store. None of it waits: a store in another process runs the step where
it may block (SQLAlchemy's `run_sync` is such a place), and has a shelf for each step.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from aioqueue.brokers.protocol.data import Outgoing
from aioqueue.workflows.flow import Flow


class Shelf(Protocol):
    """Where workflows are kept, and the ids that senders chose for their tasks."""

    def get(self, id: str) -> Flow | None:
        """A workflow; the same object for as long as the step goes on. It may be changed: a store that keeps bytes
        (`encode_flow`) writes at the step's end what it gave out."""
        ...

    def set(self, flow: Flow, expires: int) -> None:
        """Keep a workflow for so many ms from now on; 0 is for ever."""
        ...

    def remove(self, id: str) -> None:
        """Forget a workflow."""
        ...

    def place(self, id: str) -> tuple[str, int] | None:
        """The workflow and the node of a task whose id the sender chose; also after its end."""
        ...

    def take(self, id: str, place: tuple[str, int], expires: int) -> None:
        """For so many ms from now on that is the place of the id; 0 is for ever."""
        ...

    def release(self, id: str) -> None:
        """The id has no place any more."""
        ...


class Tasks(Protocol):
    """What workflows ask of a store."""

    def put(self, message: Outgoing, value: bytes | None) -> None:
        """Queue a task, now or when it is due."""
        ...

    def conclude(self, id: str, record: bytes, *, expires: int) -> None:
        """Store the record of a task that will not run."""
        ...

    def keep(self, id: str, *, expires: int) -> None:
        """Keep the record of a task for so long from now on; `UNKEPT` is no longer."""
        ...

    def stop(self, id: str, *, expires: int) -> bool:
        """Take out a task's message, or have it thrown away when it is met: then True."""
        ...

    def tell_revoked(self, ids: Collection[str], *, terminate: bool) -> None:
        """Tell the workers which tasks to throw away."""
        ...

    def readmit(self, id: str) -> bool:
        """Forget a task's end. True: a message of it that was to be thrown away is there, and runs."""
        ...
