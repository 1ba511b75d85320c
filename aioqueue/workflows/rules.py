"""What the end of one node means for the others.

Nothing here calls itself along a workflow: what is to be done next is put on a list, so that a workflow may be as long,
and grafts as deep, as memory allows. Who adds to the list does the whole of it (`work`) before it returns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from functools import partial

from aioqueue.brokers.protocol.data import UNKEPT, Outgoing
from aioqueue.workflow import DONE, FAILED, INLINE_VALUE, LENIENT, QUEUED, TASK, UPSTREAM, Node
from aioqueue.workflows.flow import BadEnd, Flow, is_body
from aioqueue.workflows.interface import Shelf, Tasks
from aioqueue.workflows.lookup import Lookup


class Rules(Lookup):
    """The ends of nodes, well or badly, and what each of them brings about."""

    def __init__(self, tasks: Tasks, shelf: Shelf) -> None:
        super().__init__(shelf)
        self._tasks = tasks
        self._todo: deque[Callable[[], None]] = deque()

    def work(self) -> None:
        """Do all that is to be done."""
        while self._todo:
            self._todo.popleft()()

    def _each(self, flow: Flow, n: int, then: Callable[[int], None]) -> None:
        """What is to happen to the nodes after one."""
        self._todo.extend(partial(then, m) for m in flow.successors(n))

    def _end_place(self, flow: Flow, place: str, value: bytes | None) -> None:
        if "." in place:
            self._handler_ended(flow, place)
        else:
            self._done(flow, int(place), value)

    def _fail_place(self, flow: Flow, place: str, end: BadEnd, *, quiet: bool) -> None:
        if "." in place:
            self._handler_ended(flow, place)
        else:
            self._failed(flow, int(place), end, quiet=quiet)

    # They end well

    def _done(self, flow: Flow, n: int, value: bytes | None) -> None:
        """A node has ended well."""
        node = flow.open_node(n)
        if node is None:
            return
        flow.states[n] = DONE
        if node.wanted and value is not None:
            flow.values[n] = value
        given = _inline(value, len(flow.successors(n))) if node.wanted else None
        self._each(flow, n, partial(self._go, flow, given))
        outer = self.outer(flow)
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
            self._tasks.put(_message(node, node.id), value if node.takes else None)

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
            self._call_handlers(flow, node, str(n), end.told.failure)
            self._call_outer_handlers(flow, node, str(n), end.told.failure)
        self._each(flow, n, partial(self._upstream, flow, n, n))
        outer = self.outer(flow)
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
            record = end.told.chord if body else end.told.upstream
            self._tasks.conclude(node.id, record, expires=self.keeping(flow.id) or 0)
            if body and end.letter == FAILED:
                self._call_handlers(flow, node, str(n), None, heard=flow.nodes[origin].on_error)
        self._each(flow, n, partial(self._upstream, flow, n, origin))
        outer = self.outer(flow)
        if outer and flow.end == n:
            self._todo.append(partial(self._fail_place, *outer, end, quiet=True))
        self._less(flow, 1)

    def _call_handlers(
        self, flow: Flow, node: Node, subject: str, failure: bytes | None, heard: Collection[int] = ()
    ) -> None:
        """The handlers of a node are called for the failure of `subject`, but for those that heard of it elsewhere."""
        given = _inline(failure, len(node.on_error))
        for h in node.on_error:
            token = f"{h}.{subject}"
            if h in heard or token in flow.calls or h not in flow.nodes:
                continue
            flow.calls[token] = QUEUED
            flow.open += 1
            handler = flow.nodes[h]
            self._tasks.put(_message(handler, f"{handler.id}.{subject}"), given)

    def _call_outer_handlers(self, flow: Flow, node: Node | None, subject: str, failure: bytes) -> None:
        """Those of the nodes whose place a graft takes are called for what fails in it, but not in a link there."""
        while node is not None and not node.linked and (outer := self.outer(flow)) is not None:
            flow, place = outer
            node = flow.nodes.get(int(place)) if place.isdecimal() else None
            subject = f"{place}.{subject}"
            if node is not None and node.on_error:
                flow.heard[subject] = failure
                self._call_handlers(flow, node, subject, failure)

    def _handler_ended(self, flow: Flow, token: str) -> None:
        """The call of an error handler has ended, in whatever way."""
        if flow.calls.get(token) == QUEUED:
            flow.calls[token] = DONE
            self._less(flow, 1)

    # All of a workflow has ended

    def _less(self, flow: Flow, count: int) -> None:
        """So many nodes less are open; after the last one the workflow is kept for as long as results are."""
        flow.open -= count
        if flow.open > 0:
            return
        if not flow.bad:
            flow.values.clear()
            flow.heard.clear()
        if flow.keep and not self._survived(flow):
            self._release(flow, flow.keep)

    def _survived(self, flow: Flow) -> bool:
        """Whether a workflow belongs to another one that is open."""
        outer = self.outer(flow)
        while outer is not None and "." not in outer[1]:
            if outer[0].open > 0:
                return True
            outer = self.outer(outer[0])
        return False

    def _release(self, flow: Flow, keep: int) -> None:
        """From now on the records of a workflow, and it itself, are kept for so many ms; `UNKEPT` is no longer, but for
        what has to go on until it ends. So are those that went on in places of it."""
        pending = [flow]
        for one in pending:
            for id in one.ids() + (one.call_ids() if keep == UNKEPT else []):
                if id not in one.names or self.place(id) == (one.id, one.names[id]):  # else it is another's by now
                    self._tasks.keep(id, expires=keep)
            grafts = [self.get(graft) for place, graft in one.grafts.items() if "." not in place]
            pending += [graft for graft in grafts if graft is not None and (keep == UNKEPT or graft.open <= 0)]
            if one.open > 0:
                one.keep = keep
            else:
                self._put_by(one, keep)

    def _put_by(self, flow: Flow, keep: int) -> None:
        """A workflow has ended: it is kept for so long, and found by the ids that are its own still."""
        own = [(name, (flow.id, n)) for name, n in flow.names.items() if self.place(name) == (flow.id, n)]
        if keep == UNKEPT:
            self._shelf.remove(flow.id)
            for name, _ in own:
                self._shelf.release(name)
        else:
            self._shelf.set(flow, keep)
            for name, place in own:
                self._shelf.take(name, place, keep)


def _inline(value: bytes | None, copies: int) -> bytes | None:
    """A value, if so many copies of it may go along with messages; None is asked for by those that take it."""
    return value if value is not None and len(value) * copies <= INLINE_VALUE else None


def _message(node: Node, id: str) -> Outgoing:
    return Outgoing(
        id, node.queue, node.priority, node.data, due=None if node.delay else node.due, delay=node.delay or None
    )
