"""What may be left in Redis when all workflows have ended."""

from __future__ import annotations

from typing import Any

import redis

from aioqueue.brokers.redis import keys
from aioqueue.workflow import DONE, FAILED, REVOKED, TASK, UPSTREAM, decode_node

PREFIX = keys.prefix("faults")

_LEFT = """
local left = redis.call('ZCARD', ARGV[1] .. 'delayed') + redis.call('LLEN', ARGV[1] .. 'work')
for _, key in ipairs(redis.call('KEYS', ARGV[2] .. 'q:*')) do left = left + redis.call('XLEN', key) end
return left
"""


def is_quiet(client: redis.Redis) -> bool:
    """No message waits, runs or is delayed, and no work is left over: as of one moment."""
    escaped = PREFIX.replace("[", "\\[").replace("*", "\\*").replace("?", "\\?")
    return client.eval(_LEFT, 0, PREFIX, escaped) == 0


def check_ended(client: redis.Redis) -> None:
    """All workflows have ended, each node once, and each task has its record; nothing stays for ever."""
    found = [key.decode().removeprefix(PREFIX) for key in client.scan_iter(PREFIX + "*", count=1000)]
    assert "work" not in found
    for name in found:
        if name.startswith("wf:") and name.count(":") == 1 and name != "wf:names":
            _check_workflow(client, PREFIX + name)
    for name in found:
        if name.startswith(("wf:", "r:")):
            assert client.pttl(PREFIX + name) != -1, f"{name} would stay for ever"
    assert "wf:names" not in found, client.hgetall(PREFIX + "wf:names")


def sweep(client: redis.Redis) -> None:
    """Forget what has ended."""
    if found := list(client.scan_iter(PREFIX + "wf:*", count=1000)) + list(
        client.scan_iter(PREFIX + "r:*", count=1000)
    ):
        client.unlink(*found)


def _check_workflow(client: redis.Redis, key: str) -> None:
    states: dict[str, str] = {k.decode(): v.decode(errors="replace") for k, v in client.hgetall(key + ":s").items()}
    if "0" not in states:  # held, and never begun, as the task that was to go on with it was run again
        return
    assert states["open"] == "0", f"{key}: {states}"
    fields: dict[bytes, Any] = client.hgetall(key)
    for field, packed in fields.items():
        name = field.decode()
        if name == "0" or not name.isdigit():
            continue
        node = decode_node(packed)
        state = states.get(name, "")
        assert node.kind == "h" or state[:1] in (DONE, FAILED, UPSTREAM, REVOKED), f"{key}: {name} is {state!r}"
        if node.kind == TASK:
            record = client.getrange(PREFIX + "r:" + node.id, 0, 0)
            assert record == b"1", f"{node.id} has the record {record!r}"
    assert "bad" in states or not client.exists(key + ":v"), f"the values of {key} are kept"
