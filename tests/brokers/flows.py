"""Workflows built by hand, and a worker that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from support.waiting import PATIENCE

from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.protocol import Broker, Consumer, Delivery, Lengths, Verdict, WorkflowStatus
from aioqueue.brokers.redis import RedisBroker
from aioqueue.ids import new_id
from aioqueue.workflow import (
    DONE,
    FAILED,
    HANDLER,
    JOIN,
    LENIENT,
    PAGE,
    REVOKED,
    SOURCE,
    TASK,
    WAITING,
    Addition,
    Node,
    NoValue,
    Part,
    Start,
    Step,
    Told,
    Value,
)

from .halves import MemoryPair
from .steps import AN_HOUR, end, fetch, settle

PART = 400
"""How many nodes are sent at once."""


class Flow:
    """A workflow to be stored. Nodes are numbered in the order in which they are made; the last one is the end."""

    def __init__(self) -> None:
        self.id = new_id()
        self.nodes: dict[int, Node] = {SOURCE: Node(kind=TASK, id="")}
        self.to: dict[int, list[int]] = {SOURCE: []}
        self.members: dict[int, list[int]] = {}
        self.names: dict[str, int] = {}

    def _add(self, node: Node) -> int:
        n = len(self.nodes)
        node.id = node.id or f"{self.id}.{n}"
        node.data = f"{self.id} {n}".encode()
        self.nodes[n] = node
        self.to[n] = []
        return n

    def task(self, after: int = SOURCE, *, name: str = "", on_error: Sequence[int] = (), **about: Any) -> int:
        """A task after a node."""
        about = {"queue": "q", "wanted": True, "takes": after != SOURCE, **about}
        n = self._add(Node(kind=TASK, id=name, task=f"task{len(self.nodes)}", before=after, on_error=on_error, **about))
        self.to[after].append(n)
        if name:
            self.names[name] = n
        return n

    def chain(self, length: int, after: int = SOURCE) -> list[int]:
        """Tasks one after the other."""
        numbers: list[int] = []
        for _ in range(length):
            after = self.task(after)
            numbers.append(after)
        return numbers

    def join(self, members: Iterable[int], after: int = SOURCE, *, lenient: bool = False) -> int:
        """A group of nodes, which begins after a node."""
        members = list(members)
        n = self._add(Node(kind=LENIENT if lenient else JOIN, id="", before=after, members=len(members)))
        self.members[n] = members
        for member in members:
            self.to[member].append(n)
            self.nodes[member].group = n
        if not members:
            self.to[after].append(n)
        return n

    def group(self, size: int, after: int = SOURCE, *, lenient: bool = False) -> tuple[list[int], int]:
        """Tasks side by side, and their join."""
        members = [self.task(after) for _ in range(size)]
        return members, self.join(members, after, lenient=lenient)

    def handler(self) -> int:
        """An error handler."""
        return self._add(Node(kind=HANDLER, id="", queue="q"))

    def parts(self) -> list[Part]:
        """The workflow in parts."""
        parts = [Part()]

        def room() -> Part:
            if parts[-1].size >= PART:
                parts.append(Part(nodes=[], to=[], members=[], counts=[]))
            return parts[-1]

        for n, node in self.nodes.items():
            to = self.to[n]
            node.pages = -(-len(to) // PAGE) if len(to) > PAGE else 0
            node.to = () if node.pages else tuple(to)
            room().nodes.append((n, node))
            for page in range(node.pages):
                room().to.append((n, page, to[page * PAGE : (page + 1) * PAGE]))
        for n, members in self.members.items():
            for page in range(-(-len(members) // PAGE)):
                room().members.append((n, page, members[page * PAGE : (page + 1) * PAGE]))
            room().counts.append((n, len(members) or 1))
        return parts

    def start(self, **about: Any) -> Start:
        """What is said of it with its last part."""
        tasks = [n for n, node in self.nodes.items() if n and node.kind != HANDLER]
        return Start(
            **{
                "end": max(tasks),
                "total": len(self.nodes) - 1,
                "open": len(tasks),
                "keep": AN_HOUR,
                "names": self.names,
                "queues": {"q": sum(self.nodes[n].kind == TASK for n in self.to[SOURCE])},
                **about,
            }
        )

    async def put(self, broker: Broker, *, max_length: Lengths | None = None, **about: Any) -> str:
        """Put it into the broker, and begin it if it is not held."""
        *most, last = self.parts()
        for part in most:
            await broker.put_part(self.id, part, None, timeout=PATIENCE)
        await broker.put_part(self.id, last, self.start(**about), timeout=PATIENCE, max_length=max_length)
        return self.id

    def name(self, n: int) -> str:
        """A node's id."""
        return self.nodes[n].id


def place(delivery: Delivery) -> tuple[str, str]:
    """The workflow and the node that a message is about, as its step has them."""
    workflow, n = delivery.data.decode().split()
    _, _, subject = delivery.id.partition(f"{workflow}.{n}.")
    return workflow, f"{n}.{subject}" if subject else n


def number(delivery: Delivery) -> int:
    """The number of the node."""
    return int(delivery.data.split()[1])


def numbers(deliveries: Iterable[Delivery]) -> list[int]:
    """The numbers of the nodes."""
    return [number(delivery) for delivery in deliveries]


def step(delivery: Delivery, state: str = DONE, value: bytes | None = None, **about: Any) -> Step:
    """What the end of a task means for its workflow."""
    workflow, node = place(delivery)
    if state == DONE:
        return Step(workflow, node, DONE, f"value {node}".encode() if value is None else value, **about)
    if state == WAITING:
        return Step(workflow, node, WAITING, **about)
    return bad_step(node, state, workflow=workflow)


def bad_step(what: str, state: str = REVOKED, *, workflow: str = "", node: str | None = None) -> Step:
    """A bad end."""
    told = Told(*(f"{hears} {what}".encode() for hears in ("failure", "upstream", "chord")))
    return Step(workflow, what if node is None else node, state, told=told)


async def done(consumer: Consumer, delivery: Delivery, value: bytes | None = None, **about: Any) -> Verdict:
    """End a task well."""
    return await end(consumer, delivery, b"done", step=step(delivery, value=value, **about))


async def failed(consumer: Consumer, delivery: Delivery) -> Verdict:
    """End a task with a failure."""
    return await end(consumer, delivery, b"failed", step=step(delivery, FAILED))


async def becomes(consumer: Consumer, delivery: Delivery, graft: str) -> Verdict:
    """A task goes on as another workflow."""
    return await settle(consumer, delivery, step=step(delivery, WAITING, graft=graft))


async def adds(consumer: Consumer, delivery: Delivery, group: int, *workflows: str) -> Verdict:
    """A task ends, and adds workflows to its group."""
    workflow, _ = place(delivery)
    additions = [
        Addition(one, (workflow, group), Node(kind=TASK, id=f"{one}.added", task="added", to=[group], wanted=True))
        for one in workflows
    ]
    return await done(consumer, delivery, additions=additions)


async def next_tasks(consumer: Consumer, limit: int = 1000) -> list[Delivery]:
    """What can be run now, the workflows' left-over work done."""
    while await consumer.promote() == 0:
        pass
    found: list[Delivery] = []
    while more := await fetch(consumer, limit):
        found += more
    return found


async def drain(consumer: Consumer, fails: Callable[[Delivery], bool] | Iterable[int] = ()) -> list[int]:
    """Run all that comes; returns the numbers of the nodes, in order."""
    bad = fails if callable(fails) else {*fails}.__contains__
    ran: list[int] = []
    async with asyncio.timeout(6 * PATIENCE):
        while deliveries := await next_tasks(consumer):
            for delivery in deliveries:
                ran.append(number(delivery))
                fail = bad(delivery) if callable(fails) else bad(number(delivery))  # type: ignore[arg-type]
                await (failed if fail else done)(consumer, delivery)
    return ran


async def status(broker: Broker, workflow: str) -> WorkflowStatus:
    """A workflow that is there."""
    found = await broker.workflow(workflow)
    assert found is not None
    return found


async def states(broker: Broker, workflow: str) -> str:
    """The states of the nodes, one letter each, a point for what waits; that of a bad end upstream is `u`."""
    found = await status(broker, workflow)
    return "".join((found.states.get(n) or ".")[0] for n in sorted(found.nodes) if n)


def flat(value: Value | NoValue | None) -> Any:
    """A value as bytes, failures as text, and joins as lists."""
    if value is None:
        return None
    if isinstance(value, NoValue):
        return f"{value.kind or 'failed'}: {value.failure.decode()}"
    if value.members is not None:
        return [flat(member) for member in value.members]
    return value.data


async def leftovers(broker: Broker) -> list[str]:
    """What there is of workflows and tasks."""
    if isinstance(broker, MemoryPair):
        return await leftovers(broker.half)
    if isinstance(broker, MemoryBroker):
        store = broker._store
        left = {
            "workflows": len(store.shelf.flows),
            "places": len(store.shelf.places),
            "delayed": len(store._delayed),
            "revoked": len(store._revoked),
            "present": len(store._present),
        }
        return [name for name, many in left.items() if many]
    assert isinstance(broker, RedisBroker)
    found: list[bytes] = []
    cursor = b"0"
    while True:
        cursor, names = await broker._call("SCAN", cursor, "COUNT", 1000)
        found += names
        if cursor == b"0":
            break
    kinds = [name.decode().partition(":0}:")[2] for name in found]
    return sorted(
        kind for kind in kinds if kind.startswith(("wf", "work", "r:", "revoked", "delayed")) and kind != "workers"
    )


async def revoke_node(broker: Broker, id: str, *, terminate: bool = False) -> bool:
    """Revoke a task, and what comes after it."""
    [answer] = await broker.revoke(
        [id], b"revoked", expires=AN_HOUR, terminate=terminate, told=bad_step("by hand").told
    )
    return answer
