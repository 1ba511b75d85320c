"""Task ids: UUIDs of version 7 (RFC 9562, section 5.7) as text, which sort by the time they were made.

The random parts come from a pool that one system call fills for many ids. Taking from it is atomic, so threads
never share one, and a forked child starts with an empty pool, so processes don't either.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque

_IDS_PER_POOL = 256
_DIGITS = 20

_pool: deque[str] = deque()
_moment: tuple[int, str] = (0, "")  # a millisecond and its text, of which many ids are made


def new_id() -> str:
    """A new id: 36 characters, unique, and larger than those made in earlier milliseconds."""
    global _moment
    try:
        random = _pool.popleft()
    except IndexError:
        random = _refill()
    now = time.time_ns() // 1_000_000
    made, text = _moment
    if made != now:
        digits = f"{now:012x}"
        text = f"{digits[:8]}-{digits[8:]}"
        _moment = now, text
    return text + random


_MADE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def is_new_id(id: str) -> bool:
    """Whether it looks as if `new_id` had made it, so that nobody knew it before it was sent."""
    return _MADE.fullmatch(id) is not None


def age(id: str) -> float:
    """Seconds since an id was made, by this process's clock; of one that `new_id` has made."""
    return time.time() - int(id[:8] + id[9:13], 16) / 1000


def short_id() -> str:
    """12 hexadecimal digits, for the incarnation of a worker or of a client."""
    return os.urandom(6).hex()


_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def _refill() -> str:
    digits = os.urandom(_IDS_PER_POOL * _DIGITS // 2).hex()
    made = [_random_part(digits[start : start + _DIGITS]) for start in range(0, len(digits), _DIGITS)]
    _pool.extend(made[1:])
    return made[0]


def _random_part(digits: str) -> str:
    """What follows the moment: the version, the variant, and 74 random bits."""
    return f"-7{digits[:3]}-{_VARIANT[digits[3]]}{digits[4:7]}-{digits[7:19]}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.clear)
