"""Workflows from their coming to their end: all that happens to them from outside."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from aioqueue.brokers.protocol.data import UNKEPT
from aioqueue.brokers.protocol.workflows import UNBEGUN_FOR
from aioqueue.workflow import DONE, HANDLER, QUEUED, REVOKED, SOURCE, TASK, Addition, Part, Start, Step
from aioqueue.workflows.flow import BadEnd, Flow, Revocation
from aioqueue.workflows.resuming import missing, recounted, reset, undone
from aioqueue.workflows.rules import Rules


class Engine(Rules):
    """All workflows of a store, each until its time after its end is over.

    Each method does the whole of what it means, for all workflows that it reaches, before it returns: a store calls it
    inside of one atomic step of its own.
    """

    # They come

    def put_part(self, workflow: str, part: Part, start: Start | None) -> None:
        """Keep a part of a workflow, and begin it with the last one."""
        flow = self.get(workflow) or Flow(workflow)
        flow.add(part, start)
        self._shelf.set(flow, UNBEGUN_FOR)
        if start is not None and not start.held:
            self._begin(flow, None)
            self.work()

    def drop(self, workflow: str) -> None:
        """Forget a workflow that has not begun."""
        self._shelf.remove(workflow)

    def _begin(self, flow: Flow | None, place: tuple[str, str] | None) -> None:
        """Queue the first tasks of a stored workflow, in the place of a node if one is named."""
        if flow is None or flow.begun:
            return
        flow.begun = True
        flow.states[SOURCE] = DONE
        outer = self.get(place[0]) if place else None
        if place and outer:
            flow.stands_for = place
            outer.grafts[place[1]] = flow.id
        self.reopen(flow)
        self._each(flow, SOURCE, partial(self._go, flow, None))

    def reopen(self, flow: Flow) -> None:
        """Keep a workflow until it ends, and let its tasks be found by the ids that their sender chose."""
        self._shelf.set(flow, 0)
        for name, n in flow.names.items():
            self._shelf.take(name, (flow.id, n), 0)

    def _join(self, addition: Addition) -> None:
        """A stored workflow becomes one more member of a group."""
        workflow, join = addition.group
        outer = self.get(workflow)
        if outer is not None and join in outer.nodes:
            n = outer.new_member(join, addition.node)
            self._begin(self.get(addition.workflow), (workflow, str(n)))

    def release(self, id: str) -> None:
        """The id is another task's from now on."""
        self._shelf.release(id)

    # They go on

    def step(self, step: Step) -> None:
        """A task has ended, or goes on as another workflow."""
        if self.is_untimely(step):
            return
        for addition in step.additions:
            self._join(addition)
        if step.graft:
            place = (step.workflow, step.node) if step.workflow else None
            self._begin(self.get(step.graft), place)
        else:
            flow = self.get(step.workflow)
            if flow is not None and step.state == DONE:
                self._end_place(flow, step.node, step.value)
            elif flow is not None:
                end = BadEnd(step.state, step.told)
                self._fail_place(flow, step.node, end, quiet=False)
        self.work()

    def abandon(self, id: str, end: BadEnd) -> None:
        """The message of a task was dropped: it ends as revoked."""
        found = self.find(id)
        if found is None:
            self._revoke_call(id)
        else:
            self._failed(*found, end, quiet=False)
        self.work()

    # They are revoked

    def revoke(self, id: str, revocation: Revocation, end: BadEnd) -> None:
        """A task is revoked: so what comes after it does not run, nor what goes on in its place."""
        found = self.find(id)
        if found is None:
            self._revoke_call(id)
        elif self.is_whole(id):
            self._revoke_all(found[0], revocation, end)
        else:
            flow, n = found
            graft = self.graft(flow, n)
            if graft is not None and not flow.has_ended(n):
                self._revoke_all(graft, revocation, end)
            self._failed(flow, n, end, quiet=False)
        self.work()

    def _revoke_call(self, id: str) -> None:
        workflow, _, token = id.partition(".")
        flow = self.get(workflow)
        if flow is not None:
            self._handler_ended(flow, token)

    def _revoke_all(self, flow: Flow, revocation: Revocation, end: BadEnd) -> None:
        outer = self.outer(flow)
        if outer:
            self._fail_place(*outer, end, quiet=False)
        self._revoke_rest(flow, revocation)

    def _revoke_rest(self, flow: Flow, revocation: Revocation) -> None:
        """Everything that has not ended is revoked."""
        flow.bad = True
        stopped: list[str] = []
        count = 0
        for n, node in sorted(flow.nodes.items()):
            if n == SOURCE or node.kind == HANDLER or flow.has_ended(n):
                continue
            count += 1
            queued = flow.is_queued(n)
            flow.states[n] = REVOKED
            graft = self.graft(flow, n)
            if graft is not None:
                self._todo.append(partial(self._revoke_rest, graft, revocation))
            elif node.kind == TASK:
                self._tasks.conclude(node.id, revocation.record, expires=self.keeping(flow.id) or 0)
                if queued and self._tasks.stop(node.id, expires=max(flow.keep, 0)):
                    stopped.append(node.id)
        if stopped:
            self._tasks.tell_revoked(stopped, terminate=revocation.terminate)
        if count:
            self._less(flow, count)

    # They run again

    def resume(self, workflow: str, only: int | None) -> int:
        """Run again what failed or was revoked, and what was to come after it; returns how many nodes."""
        flow = self.get(workflow)
        if flow is None:
            return 0
        # What went on in the place of a node goes on there: from the outside in, and begun again from the inside out.
        levels = [(flow, undone(flow, only))]
        for outer, again in levels:
            grafts = [self.graft(outer, n) for n in again]
            levels.extend((graft, undone(graft, None)) for graft in grafts if graft is not None)
        for inner, again in reversed(levels):
            if again:
                self._restart(inner, again)
        self.work()
        return sum(len(again) for _, again in levels)

    def _restart(self, flow: Flow, again: Collection[int]) -> None:
        self.reopen(flow)
        for id in flow.ids():
            self._tasks.keep(id, expires=0)
        reset(flow, again)
        for n in again:
            self._restart_node(flow, n)
        for n in recounted(flow, again):
            flow.counts[n] = missing(flow, n)

    def _restart_node(self, flow: Flow, n: int) -> None:
        node = flow.nodes[n]
        graft = self.graft(flow, n)
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
        elif flow.letter(node.before) == DONE:
            self._todo.append(partial(self._go, flow, None, n))

    # They are forgotten

    def forget(self, id: str) -> bool:
        """Forget a workflow: what has ended now, all else when the last of it ends. False: it is no workflow's end."""
        found = self.find(id)
        if found is None or found[0].end != found[1]:
            return False
        flow = found[0]
        # An id that the sender chose is found in the innermost of those that went on for it, each in another's place.
        while (outer := self.outer(flow)) is not None and outer[1] == str(outer[0].end):
            flow = outer[0]
        self._release(flow, UNKEPT)
        return True
