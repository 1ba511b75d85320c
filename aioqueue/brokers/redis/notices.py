"""What workers are told at once, on channels."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
from redis.exceptions import RedisError

from aioqueue.brokers.protocol import Asked, Connected, Due, Notice, QueuesPaused, StampRevoked, TasksRevoked
from aioqueue.brokers.protocol.data import tag_of
from aioqueue.brokers.redis.asking import read_question
from aioqueue.brokers.redis.keys import Keys
from aioqueue.brokers.redis.link import Backoff
from aioqueue.brokers.redis.server import Server
from aioqueue.brokers.redis.subscription import listen
from aioqueue.logs import logger

# What is published is the word of a kind: as it is, or packed, with ids and whether to terminate.
_DUE, PAUSED = tag_of(Due).encode(), tag_of(QueuesPaused).encode()
_decode = msgspec.msgpack.Decoder(tuple[str, tuple[str, ...], bool]).decode


async def notices(server: Server, keys: Keys) -> AsyncGenerator[Notice]:
    """What workers are told; subscribes again whenever the connection is lost, for ever."""
    backoff = Backoff()
    while True:
        try:
            async for news in listen(server, keys.notices, keys.inspect, keys.control):
                backoff.reset()
                if news is None:
                    yield Connected()
                elif news.channel == keys.notices:
                    if (notice := _read(news.data)) is not None:
                        yield notice
                elif (question := read_question(news.data, steers=news.channel == keys.control)) is not None:
                    yield Asked(question)
        except (RedisError, OSError):
            await backoff.wait()


def of_stamp(terminate: bool) -> bytes:
    """What is published when a stamp was revoked."""
    return msgspec.msgpack.encode((tag_of(StampRevoked), (), terminate))


def _read(news: bytes) -> Notice | None:
    """What the news say; None if they are none of ours, for anybody may publish anything."""
    if news == _DUE:
        return Due()
    if news == PAUSED:
        return QueuesPaused()
    try:
        word, ids, terminate = _decode(news)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        logger.debug("A notice could not be understood: %r", news[:200])
        return None
    if word == tag_of(TasksRevoked):
        return TasksRevoked(ids, terminate)
    return StampRevoked(terminate) if word == tag_of(StampRevoked) else None
