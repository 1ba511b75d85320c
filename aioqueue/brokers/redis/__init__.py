"""The broker on Redis Streams: Redis 7.0 and later, Valkey 7.2 and later."""

from aioqueue.brokers.redis.broker import RedisBroker

__all__ = ["RedisBroker"]
