"""Ends of tasks that come from outside: revoked, and dropped with what waits in a queue."""

from __future__ import annotations

from collections.abc import Sequence

from aioqueue.brokers.protocol import Broker
from aioqueue.message import Record, State, encode_record
from aioqueue.settings import Settings
from aioqueue.workflow import Told, revoked_call, told

_PAGE = 500


async def revoke(
    broker: Broker, conf: Settings, ids: Sequence[str], about: str, name: str, terminate: bool, reason: str | None
) -> list[bool]:
    """End tasks as revoked; see `AsyncResult.revoke`. `about` is the id that those after them are told of."""
    record, keep, hear = _revocation(broker, conf, about, name, reason or "revoked")
    return await broker.revoke(ids, record, expires=keep, terminate=terminate, told=hear)


async def purge(broker: Broker, conf: Settings, queue: str, *, delayed: bool = False) -> int:
    """Drop what waits in a queue, and end its tasks as revoked, so that nobody waits for them; returns how many.

    Args:
        delayed: also what waits for its time to go there.
    """
    record, keep, hear = _revocation(broker, conf, "", "", "purged")
    dropped = await broker.purge(queue, record, expires=keep, told=hear)
    known: set[str] = set()
    while delayed and (ids := [one.id for one in await broker.delayed(queue, limit=_PAGE) if one.id not in known]):
        known.update(ids)
        dropped += sum(await broker.revoke(ids, record, expires=keep, terminate=False, told=hear))
    return dropped


def _revocation(broker: Broker, conf: Settings, id: str, name: str, why: str) -> tuple[bytes, int, Told]:
    """The record of a revoked task, for how long it is kept, and what those hear that come after the task."""
    now = broker.now()
    record = Record(state=State.REVOKED, task=name, reason=why, ended=now)
    hear = told(revoked_call(id, name, why), now=now)
    return encode_record(record), int((conf.result_expires or 0) * 1000), hear
