"""Ends of tasks that come from outside: revoked, and dropped with what waits in a queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aioqueue.brokers.protocol import Broker
from aioqueue.message import Record, State, encode_record
from aioqueue.workflow import Told, revoked_call, told

if TYPE_CHECKING:
    from aioqueue.core import Core


async def revoke(
    app: Core, broker: Broker, ids: Sequence[str], about: str, name: str, terminate: bool, reason: str | None
) -> list[bool]:
    """End tasks as revoked; see `AsyncResult.revoke`. `about` is the id that those after them are told of."""
    record, keep, hear = _revocation(app, broker, about, name, reason or "revoked")
    return await broker.revoke(ids, record, expires=keep, terminate=terminate, told=hear)


async def purge(app: Core, queue: str) -> int:
    """Drop what waits in a queue, and end its tasks as revoked, so that nobody waits for them; returns how many."""
    broker = await app.broker()
    record, keep, hear = _revocation(app, broker, "", "", "purged")
    return await broker.purge(queue, record, expires=keep, told=hear)


def _revocation(app: Core, broker: Broker, id: str, name: str, why: str) -> tuple[bytes, int, Told]:
    """The record of a revoked task, for how long it is kept, and what those hear that come after the task."""
    now = broker.now()
    record = Record(state=State.REVOKED, task=name, reason=why, ended=now)
    hear = told(revoked_call(id, name, why), now=now)
    return encode_record(record), int((app.conf.result_expires or 0) * 1000), hear
