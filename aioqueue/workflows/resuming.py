"""What runs again when a workflow is resumed."""

from __future__ import annotations

from collections.abc import Collection

from aioqueue.workflow import DONE, FAILED, HANDLER, LENIENT, REVOKED, SOURCE, TASK, UPSTREAM
from aioqueue.workflows.flow import Flow


def undone(flow: Flow, only: int | None) -> list[int]:
    """The nodes whose ends are undone: those that ended badly by themselves (or one of them), and what comes after
    them; a join only if no member of it has ended badly any more, or, as it has let failures through, for what takes
    them again."""
    again = [
        n
        for n in sorted(flow.nodes)
        if n != SOURCE and flow.nodes[n].kind != HANDLER and flow.letter(n) in (FAILED, REVOKED) and only in (None, n)
    ]
    known = set(again)
    bad_members: dict[int, int] = {}
    let_through: list[int] = []
    for n in again:  # it grows
        for m in flow.successors(n):
            node = flow.nodes.get(m)
            if node is None or m in known:
                continue
            if node.kind == TASK:
                free = flow.letter(m) == UPSTREAM
            else:
                if m not in bad_members:
                    bad_members[m] = sum(map(flow.is_bad, flow.members[m]))
                bad_members[m] -= 1
                free = flow.is_bad(m) and bad_members[m] <= 0
            if free:
                known.add(m)
                again.append(m)
            elif node.kind == LENIENT and flow.letter(m) == DONE:
                let_through.append(m)
    # What runs again after them waits for what they are to be given now. No end of theirs undoes others.
    for m in dict.fromkeys(let_through):
        if not known.isdisjoint(flow.successors(m)):
            known.add(m)
            again.append(m)
    return again


def reset(flow: Flow, again: Collection[int]) -> None:
    """Take back the ends of nodes, and the calls of handlers for them: for another failure they are called again."""
    for n in again:
        flow.states.pop(n, None)
        flow.ends.pop(n, None)
    flow.open += len(again)
    flow.bad = any(map(flow.is_bad, flow.nodes))
    known = {str(n) for n in again}
    for token, state in list(flow.calls.items()):
        if state == DONE and token.split(".")[1] in known:
            del flow.calls[token]


def missing(flow: Flow, join: int) -> int:
    """For how many ends a join waits."""
    node = flow.nodes[join]
    members = flow.members[join]
    if not members:
        return int(flow.letter(node.before) != DONE)
    if node.kind == LENIENT:
        return sum(not flow.has_ended(member) for member in members)
    return sum(flow.letter(member) != DONE for member in members)


def recounted(flow: Flow, again: Collection[int]) -> list[int]:
    """Lenient joins that have not ended, to which bad ends had been given that are undone."""
    after = {m for n in again for m in flow.successors(n)}
    return [
        m
        for m in after.difference(again)
        if m in flow.nodes and flow.nodes[m].kind == LENIENT and not flow.has_ended(m)
    ]
