"""Stamps that were revoked: what carries one, and was sent before that, does not run any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from aioqueue.message import Message
from aioqueue.payload.codec import decode

_NO_LIMIT = 2**31


class RevokedStamps:
    """What is known of them."""

    def __init__(self) -> None:
        self._moments: dict[str, list[tuple[Any, int]]] = {}

    def set(self, stamps: Sequence[tuple[bytes, int]]) -> None:
        """Take over what the broker says: (key and value, encoded; when, ms since the epoch)."""
        self._moments = {}
        for data, moment in stamps:
            key, value = decode(data, "msgpack", max_size=_NO_LIMIT)
            self._moments.setdefault(key, []).append((value, moment))

    def cover(self, message: Message) -> bool:
        """Whether a message carries one of them, and was sent before it was revoked."""
        if not self._moments or not message.stamps:
            return False
        return any(
            message.sent <= moment and _matches(message.stamps[key], value)
            for key, revoked in self._moments.items()
            if key in message.stamps
            for value, moment in revoked
        )


def _matches(stamp: Any, value: Any) -> bool:
    return stamp == value or (isinstance(stamp, list) and value in cast("list[Any]", stamp))
