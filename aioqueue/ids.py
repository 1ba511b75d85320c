"""Task ids: UUIDs of version 7 (RFC 9562, section 5.7) as text, which sort by the time they were made.

The random digits come from a pool that one system call fills for many ids. Taking from it is atomic, so threads
never share digits, and a forked child starts with an empty pool, so processes don't either.
"""

from __future__ import annotations

import os
import time
from collections import deque

_IDS_PER_POOL = 256
_DIGITS = 20

_pool: deque[str] = deque()


def new_id() -> str:
    """A new id: 36 characters, unique, and larger than those made in earlier milliseconds."""
    try:
        random = _pool.popleft()
    except IndexError:
        random = _refill()
    moment = f"{time.time_ns() // 1_000_000:012x}"
    return f"{moment[:8]}-{moment[8:]}-7{random[:3]}-{_VARIANT[random[3]]}{random[4:7]}-{random[7:19]}"


def short_id() -> str:
    """12 hexadecimal digits, for the incarnation of a worker or of a client."""
    return os.urandom(6).hex()


_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def _refill() -> str:
    digits = os.urandom(_IDS_PER_POOL * _DIGITS // 2).hex()
    _pool.extend(digits[start : start + _DIGITS] for start in range(_DIGITS, len(digits), _DIGITS))
    return digits[:_DIGITS]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.clear)
