"""What nodes of workflows gave, read for those that take it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from aioqueue.brokers.redis.keys import Keys
from aioqueue.workflow import DONE, JOIN, LENIENT, PAGE, REVOKED, TASK, UPSTREAM, Node, NoValue, Value, decode_node

Call = Callable[..., Awaitable[Any]]

_decode_numbers = msgspec.msgpack.Decoder(list[int]).decode


async def load(call: Call, keys: Keys, workflow: str, node: str) -> Value | None:
    """The value of a node: a task's result, or those of all members of a join.

    It takes a few round trips for each level of groups in groups, and one more for each 500 members.
    """
    packed: bytes | None = await call("HGET", keys.nodes(workflow), node)
    if packed is None:
        return None
    about = decode_node(packed)
    if about.kind in (JOIN, LENIENT):
        return await _members(call, keys, workflow, node, about)
    return await _single(call, keys, workflow, node)


async def load_failure(call: Call, keys: Keys, workflow: str, subject: str) -> NoValue | None:
    """The failure of a node, for an error handler."""
    state = _text(await call("HGET", keys.states(workflow), subject))
    if state.startswith(UPSTREAM):
        failed: bytes | None = await call("HGET", keys.values(workflow), "f" + state[1:])
        packed: bytes | None = await call("HGET", keys.nodes(workflow), subject)
        if failed is None or packed is None:
            return None
        about = decode_node(packed)
        return NoValue(failed, kind="chord", id=about.id, task=about.task)
    failed = await call("HGET", keys.values(workflow), "f" + subject)
    return NoValue(failed) if failed is not None else None


async def _members(call: Call, keys: Keys, workflow: str, node: str, about: Node) -> Value | None:
    """What the members of a join gave; None when that is gone, as the workflow has ended."""
    found: list[Value | NoValue] = []
    for page in range(-(-about.members // PAGE)):
        packed: bytes | None = await call("HGET", keys.nodes(workflow), f"{node}<{page}")
        if packed is None:
            return None
        numbers = [str(number) for number in _decode_numbers(packed)]
        if not numbers:
            return None  # every page that there is has some
        states: list[bytes | None] = await call("HMGET", keys.states(workflow), *numbers)
        results: list[bytes | None] = await call("HMGET", keys.values(workflow), *numbers)
        for number, state, result in zip(numbers, states, results, strict=True):
            if _text(state) == DONE and result is not None:
                found.append(Value(data=result))
            else:
                other = await _other(call, keys, workflow, number, _text(state))
                if other is None:
                    return None
                found.append(other)
    return Value(members=tuple(found))


async def _single(call: Call, keys: Keys, workflow: str, node: str) -> Value | None:
    result: bytes | None = await call("HGET", keys.values(workflow), node)
    return Value(data=result) if result is not None else None


async def _other(call: Call, keys: Keys, workflow: str, node: str, state: str) -> Value | NoValue | None:
    """A member that is a join itself, or ended badly."""
    if state.startswith(UPSTREAM):
        failed: bytes | None = await call("HGET", keys.values(workflow), "f" + state[1:])
        return NoValue(failed or b"", kind="chord" if await _is_body(call, keys, workflow, node) else "upstream")
    if state != DONE:
        failed = await call("HGET", keys.values(workflow), "f" + node)
        return NoValue(failed or b"") if failed is not None or state == REVOKED else None
    packed: bytes | None = await call("HGET", keys.nodes(workflow), node)
    about = decode_node(packed) if packed is not None else None
    if about is not None and about.kind in (JOIN, LENIENT):
        return await _members(call, keys, workflow, node, about)
    return None


async def _is_body(call: Call, keys: Keys, workflow: str, node: str) -> bool:
    """Whether a node is a task that comes after a join."""
    packed: bytes | None = await call("HGET", keys.nodes(workflow), node)
    about = decode_node(packed) if packed is not None else None
    if about is None or about.kind != TASK:
        return False
    before: bytes | None = await call("HGET", keys.nodes(workflow), about.before)
    return before is not None and decode_node(before).kind in (JOIN, LENIENT)


def _text(value: bytes | None) -> str:
    return value.decode() if value is not None else ""
