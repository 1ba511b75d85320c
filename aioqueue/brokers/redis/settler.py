"""How ends are applied: many in one request, by a script, each at most once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from time import monotonic

import msgspec
from redis.exceptions import NoPermissionError, NoScriptError, RedisError, ResponseError

from aioqueue.brokers import shares
from aioqueue.brokers.protocol import Settlement, Verdict
from aioqueue.brokers.redis import link, plans
from aioqueue.brokers.redis.complaints import Complaints, problem_of
from aioqueue.brokers.redis.keys import Keys
from aioqueue.brokers.redis.link import Argument, Backoff, Link, is_transient
from aioqueue.brokers.redis.outbox import rows, weight_of
from aioqueue.brokers.redis.reader import Handle
from aioqueue.brokers.redis.scripts import Script, script
from aioqueue.brokers.redis.server import Server
from aioqueue.logs import logger
from aioqueue.shortcuts import nothing_beside
from aioqueue.wording import counted
from aioqueue.workflow import FAILED, REVOKED, WRECKED, Step, encode_node

# How many entries a worker may hold in one stream is not limited by this, only one look-up's answer.
_ALL = 100_000

# For how long an end waits for a stream that takes no more; then it is refused, so that its worker is free of it.
_BLOCKED_FOR = 10.0

# Refused whatever is settled, until somebody mends it: wait, and lose nothing.
NOT_THE_DATA = (NoPermissionError, NoScriptError)
# What a script is not allowed to do is an ERR, not a NOPERM.
_NO_RIGHTS = re.compile("ACL failure in script|The user executing the script")
# Before a record as it is stored: whether it is the end.
_FINAL, _NEWS = b"1", b"0"
_VERDICTS = {verdict.value: verdict for verdict in Verdict}


class _Span(msgspec.Struct):
    """A stream of which entries are settled: where it stands in the plan, and the first and the last of them."""

    position: int
    first: Handle
    last: Handle


class Settler:
    """Applies the ends of what a worker holds, over a connection of its own.

    Args:
        worker: its id.
        most_dead: how many dead letters are kept.
        offset: ms to add to the server's clock.
    """

    def __init__(
        self,
        server: Server,
        keys: Keys,
        worker: str,
        most_dead: int,
        offset: Callable[[], int],
        complaints: Complaints,
    ) -> None:
        self._link = Link(server)
        self._keys = keys
        self._worker = worker
        self._most_dead = most_dead
        self._offset = offset
        self._complaints = complaints
        self._number = 0

    async def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        """As of a consumer."""
        verdicts: list[Verdict] = []
        while len(verdicts) < len(settlements):
            verdicts += await self._settle(settlements[len(verdicts) :] if verdicts else settlements)
        return verdicts

    async def _settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        """Settle as many of them as go in one request, the first one at least."""
        self._number += 1
        try:
            applied, arguments, count = self._request(settlements)
        except Exception as error:  # one that cannot be encoded must not hold up the others
            return await self._settle_apart(settlements, error)
        backoff = Backoff()
        while True:
            try:
                letters: bytes = await self._link.run(
                    applied, self._keys.prefix, *arguments, timeout=link.ANSWER_WITHIN
                )
                return [_VERDICTS[letter] for letter in letters.decode()]
            except (RedisError, OSError) as error:
                if (
                    isinstance(error, ResponseError)
                    and not isinstance(error, NOT_THE_DATA)
                    and not _NO_RIGHTS.search(str(error))
                    and not is_transient(error)
                ):
                    return await self._settle_apart(settlements[:count], error)
                if backoff.failures in (1, 5) or backoff.failures % 20 == 19:
                    logger.warning(
                        "The end of %s waits for the broker: %s. It is kept, and tried again.",
                        counted(count, "task"),
                        str(error).rstrip("."),
                    )
                await backoff.wait()

    async def _settle_apart(self, settlements: Sequence[Settlement], error: Exception) -> list[Verdict]:
        """One of them cannot be applied, and must not hold up the others."""
        if len(settlements) > 1:
            middle = len(settlements) // 2
            return await self.settle(settlements[:middle]) + await self.settle(settlements[middle:])
        [settlement] = settlements
        settlement.problem = problem_of(error)
        return [self._judged(settlement, error)]

    def _judged(self, settlement: Settlement, error: Exception) -> Verdict:
        """Whether one that was not applied can be, later."""
        about = str(error)
        if not isinstance(error, RedisError) or about.startswith("REFUSED"):
            return Verdict.REFUSED
        now = monotonic()
        if settlement.blocked is None:
            settlement.blocked = now
        if about.startswith("BLOCKED") and now - settlement.blocked > _BLOCKED_FOR:
            return Verdict.REFUSED
        self._complaints.tell(
            "The end of task %s waits for the broker: %s. It is kept, and tried again.",
            settlement.delivery.id,
            settlement.problem,
        )
        return Verdict.BLOCKED

    def _request(self, settlements: Sequence[Settlement]) -> tuple[Script, list[Argument], int]:
        """What applies those at the front that go in one request, its arguments, and how many they are."""
        if len(settlements) == 1 and _is_plain(settlements[0]):
            return script("settle_one"), self._single(settlements[0]), 1
        arguments, count = self._plan(settlements)
        return script("settle"), arguments, count

    def _single(self, settlement: Settlement) -> list[Argument]:
        """ARGV of the script for a plain one: see settle_one.lua."""
        handle: Handle = settlement.delivery.handle
        arguments: list[Argument] = [self._worker, self._number, self._offset(), handle.stream, handle.entry]
        return [*arguments, settlement.delivery.id, settlement.expires, _stored(settlement)]

    def _plan(self, settlements: Sequence[Settlement]) -> tuple[list[Argument], int]:
        """ARGV of the script, see settle.lua, and for how many of them."""
        data: list[Argument] = []
        spans: dict[str, _Span] = {}
        ends: list[plans.End] = []
        size, most = 0, shares.MOST_BYTES
        for settlement in settlements[: shares.MOST_ITEMS]:
            delivery, kept, is_short = settlement.delivery, settlement.record, _is_short(settlement)
            size += len(kept) if is_short and kept is not None and settlement.step is None else _weight(settlement)
            if size > most and ends:
                break
            handle: Handle = delivery.handle
            span = spans.get(handle.stream)
            if span is None:
                span = spans[handle.stream] = _Span(len(spans) + 1, handle, handle)
            elif handle.serial > span.last.serial:  # they end in about the order in which they were read
                span.last = handle
            elif handle.serial < span.first.serial:
                span.first = handle
            record = 0
            if kept is not None:
                data.append(_FINAL + kept if settlement.final else _NEWS + kept)
                record = len(data) + 1
            end = plans.End(
                span.position,
                handle.entry,
                delivery.id,
                1 if settlement.acknowledge else 0,
                record,
                1 if settlement.final else 0,
                settlement.expires,
                _step(settlement.step, data) if settlement.step is not None else 0,
            )
            ends.append(end if is_short else _whole(end, settlement, data))
        streams = [plans.Stream(name, span.first.entry, span.last.entry, _ALL) for name, span in spans.items()]
        plan = plans.Settle(self._worker, self._number, self._offset(), self._most_dead, streams, ends)
        return [msgspec.msgpack.encode(plan), *data], len(ends)

    async def close(self) -> None:
        """Disconnect."""
        await self._link.close()


def _weight(settlement: Settlement) -> int:
    """How many bytes go to the broker with it, all but."""
    step = settlement.step
    size = len(settlement.record or b"") + len(settlement.dead or b"")
    if step is not None:
        told = step.told
        size += len(step.value or b"") + len(told.failure) + len(told.upstream) + len(told.chord)
    return size + sum(map(weight_of, settlement.sends)) if settlement.sends else size


# What the broker notes of a settlement itself is not a part of it.
_NOTES = ("problem", "blocked")
# Whether what settle_one.lua takes is all there is of a settlement.
_is_end_alone = nothing_beside(Settlement, "delivery", "record", "expires", *_NOTES, final=True)
# Whether the first eight parts of a row of settle.lua are.
_is_short = nothing_beside(Settlement, "delivery", "acknowledge", "record", "final", "expires", "step", *_NOTES)
# Whether a step says of its task only that it has ended well.
_is_done = nothing_beside(Step, "workflow", "node", "value")


def _is_plain(settlement: Settlement) -> bool:
    """Whether it acknowledges a message and keeps a record, and that is all."""
    return settlement.record is not None and settlement.expires >= 0 and _is_end_alone(settlement)


def _stored(settlement: Settlement) -> bytes:
    """A record as it is stored, which says first whether it is the end."""
    return (_FINAL if settlement.final else _NEWS) + (settlement.record or b"")


def _whole(end: plans.End, settlement: Settlement, data: list[Argument]) -> plans.WholeEnd:
    """All that a row can say of a settlement; its data are added to `data`."""
    letter = 0
    if settlement.dead is not None:
        data.append(settlement.dead)
        letter = len(data) + 1
    return plans.WholeEnd(
        *msgspec.structs.astuple(end),
        sends=rows(settlement.sends, data),
        letter=letter,
        if_revoked=int(settlement.if_revoked),
        own=int(settlement.own_id),
        early=int(settlement.early),
    )


def _step(step: Step, data: list[Argument]) -> plans.Done:
    """A step as settle.lua takes it; its data are added to `data`."""

    def index(part: bytes) -> int:
        data.append(part)
        return len(data) + 1

    upstream = chord = 0
    if step.state in (FAILED, REVOKED, WRECKED):
        value, upstream, chord = index(step.told.failure), index(step.told.upstream), index(step.told.chord)
    else:
        value = index(step.value) if step.value is not None else 0
        if _is_done(step):
            return plans.Done(step.workflow, step.node, step.state, value)
    additions = [
        plans.Addition(addition.workflow, addition.group[0], str(addition.group[1]), index(encode_node(addition.node)))
        for addition in step.additions
    ]
    return plans.Step(step.workflow, step.node, step.state, value, upstream, chord, step.graft, additions)
