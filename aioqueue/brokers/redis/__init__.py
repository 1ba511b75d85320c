"""The broker on Redis Streams: Redis 7.0 and later, Valkey 7.2 and later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aioqueue.brokers.redis.broker import RedisBroker

__all__ = ["RedisBroker"]


def __getattr__(name: str) -> Any:
    # What only needs the names of keys, as a probe does, does without the client library.
    if name == "RedisBroker":
        from aioqueue.brokers.redis.broker import RedisBroker

        return RedisBroker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
