"""Workflows: what the end of one node means for the others.

Nothing here calls itself along a workflow: what is to be done next is put on a list, so that a workflow may be as long,
and grafts as deep, as memory allows. Each method that is called from outside does the whole of the list before it
returns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from typing import Protocol

from aioqueue.brokers.memory.flow import BadEnd, Flow, Revocation, is_body
from aioqueue.brokers.memory.resuming import missing, recounted, reset, undone
from aioqueue.brokers.memory.timeline import Expiring
from aioqueue.brokers.protocol import Outgoing
from aioqueue.workflow import (
    DONE,
    FAILED,
    HANDLER,
    LENIENT,
    QUEUED,
    REVOKED,
    START,
    TASK,
    UPSTREAM,
    Addition,
    Node,
    Part,
    Start,
    Step,
    Value,
)

_HOLD = 24 * 3600 * 1000
"""For how long a workflow is kept of which only a part has arrived, or that nobody begins; ms."""


class Tasks(Protocol):
    """What workflows ask of the store."""

    def put(self, message: Outgoing, value: bytes | None) -> None:
        """Queue a task, now or when it is due."""
        ...

    def conclude(self, id: str, record: bytes, *, expires: int) -> None:
        """Store the record of a task that will not run."""
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


class Workflows:
    """All workflows, each until its time after its end is over."""

    def __init__(self, tasks: Tasks, now: Callable[[], int]) -> None:
        self._tasks = tasks
        self._flows: Expiring[Flow] = Expiring(now)
        self._places: dict[str, tuple[str, int]] = {}
        self._todo: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        return len(self._flows)

    def get(self, id: str) -> Flow | None:
        """A workflow."""
        return self._flows.get(id)

    def place(self, id: str) -> tuple[str, int] | None:
        """The workflow and the node of a task whose id the sender chose."""
        return self._places.get(id)

    def find(self, id: str) -> tuple[Flow, int] | None:
        """The workflow and the node of any task."""
        workflow, _, node = id.rpartition(".")
        flow = self._flows.get(workflow)
        if flow is not None and node.isdecimal() and int(node) in flow.nodes:
            return flow, int(node)
        workflow, n = self._places.get(id, ("", START))
        flow = self._flows.get(workflow)
        return None if flow is None else (flow, n)

    def value(self, workflow: str, n: int) -> Value | None:
        """What a node gave."""
        flow = self._flows.get(workflow)
        return None if flow is None else flow.value(n)

    def failure(self, workflow: str, subject: str) -> Value | None:
        """The failure of a node, for an error handler."""
        flow = self._flows.get(workflow)
        return None if flow is None else flow.failure(subject)

    # They come

    def store(self, workflow: str, part: Part, start: Start | None) -> None:
        """Keep a part of a workflow, and begin it with the last one."""
        flow = self._flows.get(workflow) or Flow(workflow)
        flow.add(part, start)
        self._flows.set(workflow, flow, _HOLD)
        if start is not None and not start.held:
            self._begin(flow, None)
            self._work()

    def drop(self, workflow: str) -> None:
        """Forget a workflow that has not begun."""
        self._flows.remove(workflow)

    def _begin(self, flow: Flow | None, parent: tuple[str, str] | None) -> None:
        """Queue the first tasks of a stored workflow, in the place of a node if one is named."""
        if flow is None or flow.begun:
            return
        flow.begun = True
        flow.states[START] = DONE
        outer = self._flows.get(parent[0]) if parent else None
        if parent and outer:
            flow.parent = parent
            outer.grafts[parent[1]] = flow.id
        self.reopen(flow)
        self._each(flow, START, partial(self._go, flow, None))

    def reopen(self, flow: Flow) -> None:
        """Keep a workflow until it ends, and let its tasks be found by the ids that their sender chose."""
        self._flows.set(flow.id, flow, 0)
        for name, n in flow.names.items():
            self._places[name] = (flow.id, n)

    def _join(self, addition: Addition) -> None:
        """A stored workflow becomes one more member of a group."""
        workflow, join = addition.group
        outer = self._flows.get(workflow)
        if outer is not None and join in outer.nodes:
            n = outer.new_member(join, addition.node)
            self._begin(self._flows.get(addition.workflow), (workflow, str(n)))

    # They go on

    def step(self, step: Step) -> None:
        """A task has ended, or goes on as another workflow."""
        for addition in step.additions:
            self._join(addition)
        if step.graft:
            parent = (step.workflow, step.node) if step.workflow else None
            self._begin(self._flows.get(step.graft), parent)
        else:
            flow = self._flows.get(step.workflow)
            if flow is not None and step.state == DONE:
                self._end_place(flow, step.node, step.value)
            elif flow is not None:
                end = BadEnd(step.state, step.value or b"", step.upstream, step.chord)
                self._fail_place(flow, step.node, end, quiet=False)
        self._work()

    def _work(self) -> None:
        while self._todo:
            self._todo.popleft()()

    def _each(self, flow: Flow, n: int, then: Callable[[int], None]) -> None:
        """What is to happen to the nodes after one."""
        self._todo.extend(partial(then, m) for m in flow.successors(n))

    def _end_place(self, flow: Flow, place: str, value: bytes | None) -> None:
        if "." in place:
            self._handled(flow, place)
        else:
            self._done(flow, int(place), value)

    def _fail_place(self, flow: Flow, place: str, end: BadEnd, *, quiet: bool) -> None:
        if "." in place:
            self._handled(flow, place)
        else:
            self._failed(flow, int(place), end, quiet=quiet)

    def _done(self, flow: Flow, n: int, value: bytes | None) -> None:
        """A node has ended well."""
        node = flow.open_node(n)
        if node is None:
            return
        flow.states[n] = DONE
        if node.wanted and value is not None:
            flow.values[n] = value
        self._each(flow, n, partial(self._go, flow, value if node.wanted else None))
        outer = self._outer(flow)
        if outer and flow.end == n:
            self._todo.append(partial(self._end_place, *outer, value))
        self._less(flow, 1)

    def _go(self, flow: Flow, value: bytes | None, n: int) -> None:
        """It is the turn of a node, as far as the one before it is concerned."""
        node = flow.nodes.get(n)
        if node is None:
            return
        if node.kind != TASK:
            flow.counts[n] = flow.counts.get(n, 0) - 1
            if flow.counts[n] == 0:
                self._done(flow, n, None)
        elif n not in flow.states:
            flow.states[n] = QUEUED
            self._tasks.put(_message(node, node.id), value if node.after else None)

    def _less(self, flow: Flow, count: int) -> None:
        """So many nodes less are open; after the last one the workflow is kept for as long as results are."""
        flow.open -= count
        if flow.open > 0:
            return
        if not flow.bad:
            flow.values.clear()
            flow.heard.clear()
        if flow.keep:
            self._flows.set(flow.id, flow, flow.keep)
        for name, n in flow.names.items():
            if self._places.get(name) == (flow.id, n):  # it may have been sent again meanwhile
                del self._places[name]

    def _outer(self, flow: Flow) -> tuple[Flow, str] | None:
        """The workflow and the place there that a graft takes."""
        if flow.parent is None:
            return None
        workflow, place = flow.parent
        outer = self._flows.get(workflow)
        return None if outer is None else (outer, place)

    # They end badly

    def _failed(self, flow: Flow, n: int, end: BadEnd, *, quiet: bool) -> None:
        """A node has ended badly by itself. Quiet: its handlers have heard of it."""
        node = flow.open_node(n)
        if node is None:
            return
        flow.states[n] = end.letter
        flow.bad = True
        flow.ends[n] = end
        if end.letter == FAILED and not quiet:
            self._call_handlers(flow, node, str(n), end.failure)
            self._call_outer_handlers(flow, node, str(n), end.failure)
        self._each(flow, n, partial(self._upstream, flow, n, n))
        outer = self._outer(flow)
        if outer and flow.end == n:
            self._todo.append(partial(self._fail_place, *outer, end, quiet=True))
        self._less(flow, 1)

    def _upstream(self, flow: Flow, before: int, origin: int, n: int) -> None:
        """A node cannot run, since the end of `origin` was a bad one."""
        node = flow.nodes.get(n)
        if node is not None and node.kind == LENIENT:
            self._go(flow, None, n)
            return
        node = flow.open_node(n)
        if node is None:
            return
        flow.states[n] = f"{UPSTREAM}{origin}"
        end = flow.ends[origin]
        if node.kind == TASK:
            body = is_body(flow.nodes.get(before))
            self._tasks.conclude(node.id, end.chord if body else end.upstream, expires=flow.keep)
            if body and end.letter == FAILED:
                self._call_handlers(flow, node, str(n), None, heard=flow.nodes[origin].on_error)
        self._each(flow, n, partial(self._upstream, flow, n, origin))
        outer = self._outer(flow)
        if outer and flow.end == n:
            self._todo.append(partial(self._fail_place, *outer, end, quiet=True))
        self._less(flow, 1)

    def _call_handlers(
        self, flow: Flow, node: Node, subject: str, failure: bytes | None, heard: Collection[int] = ()
    ) -> None:
        """The handlers of a node are called for the failure of `subject`, but for those that heard of it elsewhere."""
        for h in node.on_error:
            token = f"{h}.{subject}"
            if h in heard or token in flow.calls or h not in flow.nodes:
                continue
            flow.calls[token] = QUEUED
            flow.open += 1
            handler = flow.nodes[h]
            self._tasks.put(_message(handler, f"{handler.id}.{subject}"), failure)

    def _call_outer_handlers(self, flow: Flow, node: Node | None, subject: str, failure: bytes) -> None:
        """Those of the nodes whose place a graft takes are called for what fails in it, but not in a link there."""
        while node is not None and not node.linked and (outer := self._outer(flow)) is not None:
            flow, place = outer
            node = flow.nodes.get(int(place)) if place.isdecimal() else None
            subject = f"{place}.{subject}"
            if node is not None and node.on_error:
                flow.heard[subject] = failure
                self._call_handlers(flow, node, subject, failure)

    def _handled(self, flow: Flow, token: str) -> None:
        """The call of an error handler has ended, in whatever way."""
        if flow.calls.get(token) == QUEUED:
            flow.calls[token] = DONE
            self._less(flow, 1)

    # They are revoked

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

    def revoke(self, id: str, revocation: Revocation, end: BadEnd) -> None:
        """A task is revoked: so what comes after it does not run, nor what goes on in its place."""
        found = self.find(id)
        if found is None:
            self._revoke_call(id)
        elif self.is_whole(id):
            self._revoke_all(found[0], revocation, end)
        else:
            flow, n = found
            graft = self._flows.get(flow.grafts.get(str(n), ""))
            if graft is not None and not flow.has_ended(n):
                self._revoke_all(graft, revocation, end)
            self._failed(flow, n, end, quiet=False)
        self._work()

    def abandon(self, id: str, end: BadEnd) -> None:
        """The message of a task was dropped: it ends as revoked."""
        found = self.find(id)
        if found is None:
            self._revoke_call(id)
        else:
            self._failed(*found, end, quiet=False)
        self._work()

    def _revoke_call(self, id: str) -> None:
        workflow, _, token = id.partition(".")
        flow = self._flows.get(workflow)
        if flow is not None:
            self._handled(flow, token)

    def _revoke_all(self, flow: Flow, revocation: Revocation, end: BadEnd) -> None:
        outer = self._outer(flow)
        if outer:
            self._fail_place(*outer, end, quiet=False)
        self._revoke_rest(flow, revocation)

    def _revoke_rest(self, flow: Flow, revocation: Revocation) -> None:
        """Everything that has not ended is revoked."""
        flow.bad = True
        stopped: list[str] = []
        count = 0
        for n, node in sorted(flow.nodes.items()):
            if n == START or node.kind == HANDLER or flow.has_ended(n):
                continue
            count += 1
            queued = flow.is_queued(n)
            flow.states[n] = REVOKED
            graft = self._flows.get(flow.grafts.get(str(n), ""))
            if graft is not None:
                self._todo.append(partial(self._revoke_rest, graft, revocation))
            elif node.kind == TASK:
                self._tasks.conclude(node.id, revocation.record, expires=flow.keep)
                if queued and self._tasks.stop(node.id, expires=flow.keep):
                    stopped.append(node.id)
        if stopped:
            self._tasks.tell_revoked(stopped, terminate=revocation.terminate)
        if count:
            self._less(flow, count)

    # They run again

    def resume(self, workflow: str, only: int | None) -> int:
        """Run again what failed or was revoked, and what was to come after it; returns how many nodes."""
        flow = self._flows.get(workflow)
        if flow is None:
            return 0
        # What went on in the place of a node goes on there: from the outside in, and begun again from the inside out.
        levels = [(flow, undone(flow, only))]
        for outer, again in levels:
            grafts = [self._flows.get(outer.grafts.get(str(n), "")) for n in again]
            levels.extend((graft, undone(graft, None)) for graft in grafts if graft is not None)
        for inner, again in reversed(levels):
            if again:
                self._restart(inner, again)
        self._work()
        return sum(len(again) for _, again in levels)

    def _restart(self, flow: Flow, again: Collection[int]) -> None:
        self.reopen(flow)
        reset(flow, again)
        for n in again:
            self._restart_node(flow, n)
        for n in recounted(flow, again):
            flow.counts[n] = missing(flow, n)

    def _restart_node(self, flow: Flow, n: int) -> None:
        node = flow.nodes[n]
        graft = self._flows.get(flow.grafts.get(str(n), ""))
        if graft is not None and not graft.has_ended(graft.end):
            flow.states[n] = QUEUED
            return
        flow.grafts.pop(str(n), None)
        if node.kind != TASK:
            flow.counts[n] = missing(flow, n)
            if not flow.counts[n]:
                self._todo.append(partial(self._done, flow, n, None))
        elif self._tasks.readmit(node.id):
            flow.states[n] = QUEUED
        elif flow.letter(node.after) == DONE:
            self._todo.append(partial(self._go, flow, None, n))


def _message(node: Node, id: str) -> Outgoing:
    return Outgoing(
        id, node.queue, node.priority, node.data, due=None if node.delay else node.due, delay=node.delay or None
    )
