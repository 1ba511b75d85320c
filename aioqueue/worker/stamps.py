"""Stamps that were revoked: what carries one, and was sent before that, does not run any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from aioqueue.exceptions import PayloadError
from aioqueue.logs import logger
from aioqueue.message import Message, decode_stamp, stamps_of

_ROWS = (list, tuple, set, frozenset)


class RevokedStamps:
    """What is known of them."""

    def __init__(self) -> None:
        self._moments: dict[str, list[tuple[Any, int]]] = {}

    def set(self, stamps: Sequence[tuple[bytes, int]]) -> None:
        """Take over what the broker says: (key and value, encoded; when, ms since the epoch)."""
        self._moments = {}
        for data, moment in stamps:
            try:
                key, value = decode_stamp(data)
            except PayloadError:  # none of ours
                logger.debug("A revoked stamp cannot be read: %r", data[:200])
            else:
                self._moments.setdefault(key, []).append((value, moment))

    def known(self) -> list[tuple[str, Any]]:
        """Their keys and values."""
        return [(key, value) for key, revoked in self._moments.items() for value, _ in revoked]

    def cover(self, message: Message) -> bool:
        """Whether a message carries one of them, and was sent before it was revoked."""
        if not self._moments or not message.stamps:
            return False
        stamps = stamps_of(message)
        return any(
            message.sent <= moment and _matches(stamps[key], value)
            for key, revoked in self._moments.items()
            if key in stamps
            for value, moment in revoked
        )


def _matches(stamp: Any, value: Any) -> bool:
    rows = cast("list[Any]", stamp) if isinstance(stamp, _ROWS) else ()
    return _equal(stamp, value) or any(_equal(item, value) for item in rows)


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # an enum's own code, and Decimal("sNaN"), may raise here
        return False
