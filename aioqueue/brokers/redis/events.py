"""The stream of events: an entry holds what one program told in a moment, packed, so that it costs one command.

Redis counts entries where it cuts a stream, and users count events: how many entries make up as many events as are to
be kept is looked up now and then, in the newest ones.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from time import monotonic
from typing import Any, cast

import msgspec
from redis.exceptions import RedisError

from aioqueue.brokers.protocol import StoredEvent
from aioqueue.brokers.redis.link import Link, pairs
from aioqueue.brokers.redis.requests import Requests
from aioqueue.exceptions import BrokerUnavailable
from aioqueue.logs import logger

# For how long they are kept when no more come, in ms.
_KEPT_FOR = 24 * 3600 * 1000
# So often, and in so many entries, it is looked up how many events an entry has.
_LOOK_EVERY = 10.0
_LOOK_AT = 5
# So many entries are read at once, and waited for so long at most.
_AT_ONCE = 100
_WAIT = 5.0

_decode = msgspec.msgpack.Decoder(list[bytes]).decode


class RedisEvents(Requests):
    """The events of a namespace."""

    _event_entries = 0
    _look_at_events = 0.0

    async def put_events(self, events: Sequence[bytes], *, keep: int) -> None:
        looks = monotonic() >= self._look_at_events
        if looks:
            newest: list[Any] = await self._call("XREVRANGE", self._keys.events, "+", "-", "COUNT", _LOOK_AT)
            counts = [len(_unpacked(fields)) for _, fields in newest] or [len(events)]
            self._event_entries = max(1, keep * len(counts) // max(1, sum(counts)))
        cut = ("MAXLEN", "~", self._event_entries)
        await self._call("XADD", self._keys.events, *cut, "*", "e", msgspec.msgpack.encode(events))
        if looks:
            await self._call("PEXPIRE", self._keys.events, _KEPT_FOR)
            self._look_at_events = monotonic() + _LOOK_EVERY

    async def last_event(self) -> str:
        newest: list[Any] = await self._call("XREVRANGE", self._keys.events, "+", "-", "COUNT", 1)
        return _stored(newest)[-1].cursor if _stored(newest) else ""

    async def events_after(self, cursor: str) -> AsyncGenerator[Sequence[StoredEvent]]:
        link = Link(self._server)
        entry, _, index = cursor.partition(".")
        seen = int(index) if index else -1
        after = _before(entry) if entry else "0-0"  # for the rest of that entry
        block = ("COUNT", _AT_ONCE, "BLOCK", int(_WAIT * 1000))
        try:
            while True:
                reply: Any = await link.call("XREAD", *block, "STREAMS", self._keys.events, after, timeout=2 * _WAIT)
                if not reply:
                    continue
                entries: list[Any] = next(iter(pairs(reply[0] if isinstance(reply, list) else reply).values()))
                found = _stored(entries)
                after = cast("bytes", entries[-1][0]).decode()
                if entry:
                    found = [one for one in found if not _is_seen(one.cursor, entry, seen)]
                    entry = ""
                if found:
                    yield found
        except (RedisError, OSError) as error:
            raise BrokerUnavailable(f"{self._label}: events cannot be read ({error}).") from None
        finally:
            await link.close()

    async def events_wanted(self) -> bool | None:
        said = await self._call("GET", self._keys.events_on)
        return None if said is None else said == b"1"

    async def want_events(self, wanted: bool) -> None:
        await self._call("SET", self._keys.events_on, int(wanted))


def _stored(entries: Iterable[Any]) -> list[StoredEvent]:
    return [
        StoredEvent(f"{entry.decode()}.{index}", data)
        for entry, fields in entries
        for index, data in enumerate(_unpacked(fields))
    ]


def _unpacked(fields: Any) -> list[bytes]:
    """The events of an entry; none where somebody else has written it."""
    try:
        return _decode(fields[1])
    except (msgspec.MsgspecError, IndexError, TypeError):
        logger.debug("An entry of the events could not be understood: %r", fields)
        return []


def _before(entry: str) -> str:
    """The id that comes right before that of an entry."""
    moment, _, number = entry.partition("-")
    if int(number or 0) > 0:
        return f"{moment}-{int(number) - 1}"
    return f"{max(0, int(moment) - 1)}-{2**64 - 1 if int(moment) else 0}"


def _is_seen(cursor: str, entry: str, index: int) -> bool:
    place, _, number = cursor.partition(".")
    return place == entry and int(number) <= index
