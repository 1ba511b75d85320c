"""Workflows on a Redis server, as a client stores and sees them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import msgspec

from aioqueue.brokers.protocol import UNBEGUN_FOR, Lengths, WorkflowStatus, most_of
from aioqueue.brokers.redis import plans
from aioqueue.brokers.redis.link import Argument, pairs, text, whole_number
from aioqueue.brokers.redis.requests import Requests
from aioqueue.exceptions import AioQueueError, DuplicateTask, QueueFull
from aioqueue.workflow import JOIN, LENIENT, PAGE, QUEUED, TASK, Node, Part, Start, decode_node, encode_node

_PAGE_FIELD = re.compile(r"^(\d+)([<>])(\d+)$")
_FIELDS_AT_ONCE = 500
_STEPS_AT_ONCE = 500


class RedisWorkflows(Requests):
    """The workflows of a namespace."""

    async def put_part(
        self, workflow: str, part: Part, start: Start | None, *, timeout: float, max_length: Lengths | None = None
    ) -> str:
        fields: list[Argument] = []
        for number, node in part.nodes:
            fields += (number, encode_node(node))
        for sign, pages in ((">", part.to), ("<", part.members)):
            for number, page, numbers in pages:
                fields += (f"{number}{sign}{page}", msgspec.msgpack.encode(numbers))
        begin = 0 if start is None else _start_row(start, max_length)
        counts = [plans.Count(join, ends) for join, ends in part.counts]
        async with self._one_by_one:
            self._number += 1
            client, hold = f"{self._client}:c", UNBEGUN_FOR
            plan = plans.PutPart(client, self._number, self._clock.shift, workflow, hold, counts, begin)
            answer: bytes = await self._run("put_part", msgspec.msgpack.encode(plan), *fields, within=timeout)
        if answer[:1] == b"d":
            raise DuplicateTask.of(answer[1:].decode())
        if answer[:1] == b"f":
            queue = answer[1:].decode()
            raise QueueFull.of(queue, most_of(max_length, queue))
        return answer[1:].decode() if answer[:1] == b"s" else workflow

    async def discard(self, workflow: str) -> None:
        await self._call("UNLINK", self._keys.nodes(workflow), self._keys.states(workflow))

    async def workflow(self, workflow: str) -> WorkflowStatus | None:
        key, states = self._keys.nodes(workflow), self._keys.states(workflow)
        end: bytes | None = await self._call("HGET", key, "end")
        if end is None:
            return None
        status = WorkflowStatus(id=workflow, end=whole_number(end) or 0, nodes={}, members={}, to={}, states={})
        pages: list[tuple[str, int, int, list[int]]] = []
        async for field, value in self._fields(key):
            if field.isdigit():
                status.nodes[int(field)] = _node(f"{workflow}.{field}", value)
            elif match := _PAGE_FIELD.match(field):
                pages.append((match[2], int(match[1]), int(match[3]), _numbers(value)))
        for sign, number, _, numbers in sorted(pages, key=lambda page: page[2]):
            (status.to if sign == ">" else status.members).setdefault(number, []).extend(numbers)
        for number, node in status.nodes.items():
            if node.to:
                status.to[number] = list(node.to)
        async for field, value in self._fields(states):
            if field.isdigit():
                # More than that it is queued is of use to the scripts only.
                status.states[int(field)] = QUEUED if value.startswith(QUEUED.encode()) else text(value)
            elif field[:1] == "g" and field[1:].isdigit():
                status.grafts[int(field[1:])] = text(value)
            elif field[:1].isdigit():
                status.calls[field] = text(value)
        # It takes several commands: what has expired between them was read in part.
        return status if await self._call("EXISTS", key, states) == 2 else None

    async def _fields(self, key: str) -> AsyncIterator[tuple[str, bytes]]:
        cursor: bytes = b"0"
        seen: set[bytes] = set()
        while True:
            cursor, found = await self._call("HSCAN", key, cursor, "COUNT", _FIELDS_AT_ONCE)
            for field, value in pairs(found).items():
                if field not in seen:
                    seen.add(field)
                    yield text(field), value
            if cursor == b"0":
                return

    async def place(self, id: str) -> tuple[str, int] | None:
        name: bytes | None = await self._call("HGET", self._keys.names, id)
        if name is None:
            name = await self._call("GET", self._keys.past_place(id))
        if name is None:
            return None
        workflow, _, node = text(name).partition(".")
        return (workflow, int(node)) if node.isdecimal() and node.isascii() else None

    async def members(self, workflow: str, node: int) -> list[Node] | None:
        key = self._keys.nodes(workflow)
        packed: bytes | None = await self._call("HGET", key, node)
        join = _node("", packed) if packed is not None else None
        if join is None or join.kind not in (JOIN, LENIENT):
            return None
        found: list[Node] = []
        for page in range(-(-join.members // PAGE)):
            numbers: bytes | None = await self._call("HGET", key, f"{node}<{page}")
            asked = _numbers(numbers) if numbers is not None else []
            nodes: list[bytes | None] = await self._call("HMGET", key, *asked) if asked else []
            found += [
                _node(f"{workflow}.{number}", one) for number, one in zip(asked, nodes, strict=True) if one is not None
            ]
        # It takes several commands: what has expired between them was read in part.
        return found if await self._call("EXISTS", key) else None

    async def resume(self, workflow: str, node: int | None = None) -> int:
        while True:
            count = int(await self._run_once("resume", self._clock.shift, workflow, "" if node is None else str(node)))
            if count >= 0:
                return count
            if problem := await self._work():
                raise AioQueueError(
                    f"The workflow {workflow} cannot be resumed yet: what workflows have left over is not done "
                    f"({problem}). Nothing was changed."
                )

    async def _work(self) -> str:
        """Do what workflows have left over, so that nobody has to wait for a worker. Returns what it could not do."""
        while await self._call("EXISTS", self._keys.work):
            _, _, junk, _, problem = await self._run("promote", self._clock.shift, _STEPS_AT_ONCE)
            if junk or problem:  # a worker sets it aside, or goes on trying
                return problem.decode(errors="backslashreplace") or "something in it cannot be read"
        return ""


def _start_row(start: Start, max_length: Lengths | None) -> plans.Start:
    """What is said of the whole of a workflow, as put_part.lua takes it."""
    return plans.Start(
        finish=str(start.end),
        total=start.total,
        open=start.open,
        keep=start.keep,
        names=start.names,
        held=int(start.held),
        queues=start.queues,
        most=max_length or 0,
        claims=start.claims,
        call=start.call,
    )


def _node(id: str, packed: bytes) -> Node:
    """A node without its message; where that cannot be read, a task of that id of which nothing is known."""
    try:
        node = decode_node(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError):
        return Node(kind=TASK, id=id, task="(cannot be read)")
    node.data = b""
    return node


def _numbers(packed: bytes) -> list[int]:
    """A page of nodes' numbers; none where it cannot be read."""
    try:
        return msgspec.msgpack.decode(packed, type=list[int])
    except (msgspec.MsgspecError, RecursionError):
        return []
