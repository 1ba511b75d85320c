"""Asking workers over channels: nothing of it is stored, and whose rights reach a channel may ask on it.

What steers workers has a channel of its own, apart from what only looks: on which of them a question came says what it
may do, and not what it says of itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
from msgspec.structs import replace
from redis.exceptions import RedisError

from aioqueue.brokers.protocol import Answer, Question
from aioqueue.brokers.redis.requests import Requests
from aioqueue.brokers.redis.subscription import listen
from aioqueue.exceptions import BrokerUnavailable
from aioqueue.logs import logger

_decode_question = msgspec.msgpack.Decoder(Question).decode
_decode_answer = msgspec.msgpack.Decoder(Answer).decode
_BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class RedisAsking(Requests):
    """The workers of a namespace, asked."""

    async def ask(self, question: Question) -> AsyncGenerator[Answer]:
        channel = self._keys.control if question.steers else self._keys.inspect
        try:
            async for news in listen(self._server, self._keys.answers(question.id)):
                if news is None:
                    await self._call("PUBLISH", channel, msgspec.msgpack.encode(question))
                    continue
                try:
                    answer = _decode_answer(news.data)
                except _BROKEN:  # anybody may publish anything
                    logger.debug("An answer could not be understood: %r", news.data[:200])
                else:
                    yield answer
        except (RedisError, OSError) as error:
            raise BrokerUnavailable(f"{self._label}: workers cannot be asked ({error}).") from None


def read_question(data: bytes, *, steers: bool) -> Question | None:
    """What was published on a channel for questions; None if it is none."""
    try:
        return replace(_decode_question(data), steers=steers)
    except _BROKEN:
        logger.debug("A question could not be understood: %r", data[:200])
        return None
