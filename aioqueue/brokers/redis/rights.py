"""The commands that a worker runs, each as a call that can be looked up in the server's access rights."""

from __future__ import annotations

from typing import Final

# After an "@" stands what follows the namespace's prefix: the name of a key or of a channel.
_WORDS: Final = """
    get @queues
    set @r:x 1
    type @queues
    mget @r:x
    getrange @r:x 0 0
    exists @queues
    del @sent:x
    unlink @wf:x
    pexpire @wf:x 1
    persist @wf:x
    incr @dead:count
    xadd @q:default:0 * i x
    xlen @q:default:0
    xrange @q:default:0 - +
    xrevrange @q:default:0 + -
    xack @q:default:0 workers 0-1
    xdel @q:default:0 0-1
    xpending @q:default:0 workers
    xread streams @events 0
    xreadgroup group workers x streams @q:default:0 >
    xgroup create @q:default:0 workers 0
    xgroup delconsumer @q:default:0 workers x
    xinfo groups @q:default:0
    xinfo consumers @q:default:0 workers
    xinfo stream @q:default:0
    zadd @delayed 0 x
    zrem @delayed x
    zcard @delayed
    zscore @delayed x
    zmscore @revoked x
    zrange @leases 0 -1
    zrevrange @dead 0 -1
    zrangebyscore @leases 0 1
    zremrangebyscore @revoked:stamps 0 1
    zscan @schedules:due 0
    hget @workers x
    hset @workers x x
    hdel @workers x
    hmget @dead:data x
    hgetall @workers
    hincrby @delayed:count x 1
    hexists @wf:x x
    hkeys @wf:x
    hlen @wf:x
    hscan @wf:x 0
    hsetnx @wf:x x x
    lpop @work
    rpush @work x
    sadd @queues x
    srem @queues x
    scard @queues
    sismember @queues x
    smembers @queues
    srandmember @queues
    time
    publish @notices x
    subscribe @notices
    subscribe @schedules:changes
    subscribe @done:x
"""
OF_WORKERS: Final[tuple[tuple[str, ...], ...]] = tuple(tuple(line.split()) for line in _WORDS.strip().splitlines())
"""All that a worker may have to do, as the access rights in docs/reference/redis.md give it."""


def named(words: tuple[str, ...]) -> str:
    """The right that a command needs, as it stands in an access list."""
    command, *rest = words
    return f"+{command}|{rest[0]}" if command in ("xgroup", "xinfo") else f"+{command}"
