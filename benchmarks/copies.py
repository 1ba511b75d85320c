"""A deep queue in seconds, for any peer: one task that it sent itself, copied inside the server.

Sending a million tasks takes some peers a quarter of an hour, and is not what is asked here. So one is sent, what that
left in the server is looked up by the task's id, and as many copies are made as are wanted, each with an id of its own
of the same length. That the copies are real tasks shows when the worker runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import redis

_MARK = 8
_AT_ONCE = 5000


def copy(client: redis.Redis, id: str, count: int, progress: Callable[[int], None] = lambda done: None) -> None:
    """Make `count` copies of the task with that id, which waits and is the only one.

    Raises:
        LookupError: the id is nowhere in the server.
    """
    commands = _commands(client, id.encode())
    if not commands:
        raise LookupError(f"the id of the sent task, {id}, is nowhere in the server")
    # Ids are hexadecimal at their ends. Those of the copies begin at 0, far from that of a real one.
    mark = id[-_MARK:]
    script = client.register_script((Path(__file__).parent / "copies.lua").read_text())
    plan = [word for words in commands for word in (len(words), *words)]
    for start in range(0, count, _AT_ONCE):
        script(args=[mark, start, min(_AT_ONCE, count - start), *plan])
        progress(min(count, start + _AT_ONCE))


def _commands(client: redis.Redis, id: bytes) -> list[list[bytes]]:
    """Commands that would make again what the server holds of the task."""
    made: list[list[bytes]] = []
    for key in sorted(client.scan_iter(count=1000)):
        mine, kind = id in key, client.type(key)
        if kind == b"string" and mine:
            made.append([b"SET", key, client.get(key)])
        elif kind == b"hash":
            pairs = [pair for pair in client.hgetall(key).items() if mine or id in pair[0]]
            if pairs:
                made.append([b"HSET", key, *(part for pair in pairs for part in pair)])
        elif kind == b"list":
            made += [[b"RPUSH", key, element] for element in client.lrange(key, 0, -1) if mine or id in element]
        elif kind == b"set":
            made += [[b"SADD", key, member] for member in client.smembers(key) if mine or id in member]
        elif kind == b"zset":
            found = client.zrange(key, 0, -1, withscores=True)
            made += [[b"ZADD", key, repr(score).encode(), member] for member, score in found if mine or id in member]
        elif kind == b"stream":
            for _, fields in client.xrange(key):
                flat = [part for pair in fields.items() for part in pair]
                if mine or any(id in part for part in flat):
                    made.append([b"XADD", key, b"*", *flat])
        if mine and (left := client.pttl(key)) > 0:
            made.append([b"PEXPIRE", key, str(left).encode()])
    return made
