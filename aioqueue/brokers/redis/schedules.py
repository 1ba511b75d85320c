"""Schedules on a Redis server, as a client sees them; each step is a script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from redis.exceptions import RedisError

from aioqueue import clock
from aioqueue.brokers.protocol import (
    Claim,
    Claimed,
    ClaimVerdict,
    Lead,
    Lengths,
    StoredSchedule,
    unfit,
)
from aioqueue.brokers.redis import plans
from aioqueue.brokers.redis.link import Argument, Backoff, text
from aioqueue.brokers.redis.outbox import rows, weight_of
from aioqueue.brokers.redis.requests import Requests
from aioqueue.brokers.redis.schedule_state import decode_schedule, encode_state, false_or
from aioqueue.brokers.redis.subscription import listen
from aioqueue.brokers.shares import MOST_BYTES, MOST_ITEMS, shares
from aioqueue.exceptions import DuplicateTask

_PAGE = 500


class RedisSchedules(Requests):
    """The schedules of a namespace."""

    # What there is

    async def put_schedule(self, schedule: StoredSchedule, *, replace: bool) -> bool:
        about = (schedule.name, encode_state(schedule), schedule.definition)
        return await self._run_once("put_schedule", self._clock.shift, int(replace), *about) == b"1"

    async def schedules(self, names: Sequence[str] | None = None) -> list[StoredSchedule]:
        if names is None:
            known: list[bytes] = await self._call("HKEYS", self._keys.schedule_states)
            names = sorted(map(text, known))
        found: list[StoredSchedule] = []
        start = 0
        while start < len(names):
            stored = await self._run("schedules", *names[start : start + _PAGE])
            about = zip(names[start:], stored, strict=False)
            found += [decode_schedule(name, one[0], one[1], text(one[2])) for name, one in about if one]
            start += len(stored)
        return found

    async def remove_schedule(self, name: str) -> bool:
        return await self._run_once("remove_schedule", name) == b"1"

    async def pause_schedule(
        self, name: str, paused: bool, *, due: int | None = None, at: int | None = None, revision: int | None = None
    ) -> bool:
        times = [("" if value is None else value) for value in (due, at, revision)]
        return await self._run_once("pause_schedule", self._clock.shift, name, int(paused), *times) == b"1"

    # What programs declare

    async def declare_schedules(self, scheduler: str, schedules: Sequence[StoredSchedule], *, lease: int) -> list[str]:
        left_alone: list[bytes] = []
        for share in list(shares(schedules, lambda one: len(one.definition))) or [()]:
            about: list[Argument] = []
            for one in share:
                about += (one.name, encode_state(one), one.definition)
            left_alone += await self._run("declare_schedules", self._clock.shift, scheduler, lease, *about)
        return list(map(text, left_alone))

    async def sweep_schedules(self) -> list[str]:
        dropped: list[str] = []
        began, position = b"", b"states 0"
        while position:
            answer = await self._run_once("sweep_schedules", self._clock.shift, began, position)
            began, position, names = answer.split(b"\n", 2)
            dropped += _lengths_and_texts(names)
        return sorted(dropped)

    # What is due

    async def due_schedules(self, limit: int, *, skip: int = 0) -> tuple[list[StoredSchedule], int | None]:
        asked, shift = clock.seconds(), self._clock.shift
        found, next_at, now = await self._run("due_schedules", shift, min(limit, MOST_ITEMS), skip)
        # Somebody may have set the server's clock: what becomes of them is decided by what it says now.
        self._clock.learn(now - shift, asked)
        due = [decode_schedule(text(name), state, definition, text(why)) for name, state, definition, why in found]
        return due, int(float(next_at)) if next_at else None

    async def claim_schedules(
        self, claims: Sequence[Claim], *, until: int, max_length: Lengths | None = None
    ) -> list[Claimed]:
        claimed: list[Claimed] = []
        for share in shares(claims, _weight):
            claimed += await self._claim(share, until, max_length or 0)
        return claimed

    async def _claim(self, claims: Sequence[Claim], until: int, max_length: Lengths) -> list[Claimed]:
        data: list[Argument] = []
        packed: list[tuple[Any, ...]] = []
        refused: dict[int, Claimed] = {}
        for index, claim in enumerate(claims):
            reason = unfit(claim)
            if reason:
                refused[index] = Claimed(ClaimVerdict.REFUSED, reason)
            else:
                packed.append(_row(claim, data))
        async with self._one_by_one:
            self._number += 1
            plan = plans.Claims(f"{self._client}:c", self._number, self._clock.shift, until, max_length, packed)
            answer: bytes = await self._run("claim_schedules", msgspec.msgpack.encode(plan), *data)
        letters, *reasons = text(answer).split("\n")
        made = iter([_claimed(letter, reasons) for letter in letters])
        return [refused[index] if index in refused else next(made) for index in range(len(claims))]

    # Who sees to it

    async def lead_schedules(self, scheduler: str, *, lease: int) -> Lead:
        leads, wait, known, untidy = await self._run("lead_schedules", self._clock.shift, scheduler, lease)
        return Lead(leads=bool(leads), wait=wait, known=bool(known), untidy=bool(untidy))

    async def resign_schedules(self, scheduler: str) -> None:
        await self._run("resign_schedules", scheduler)

    async def schedulers(self) -> list[str]:
        alive: list[bytes] = await self._call("ZRANGEBYSCORE", self._keys.schedulers, f"({self.now()}", "+inf")
        return list(map(text, alive))

    async def schedule_changes(self) -> AsyncIterator[None]:
        backoff = Backoff()
        while True:
            try:
                async with aclosing(listen(self._server, self._keys.schedule_changes)) as news:
                    async for _ in news:
                        backoff.reset()
                        yield
            except (RedisError, OSError):
                await backoff.wait()


def _row(claim: Claim, data: list[Argument]) -> tuple[Any, ...]:
    """A claim as the script takes it, which knows the fields by name (`CLAIM`). Names are no part of the plan: what is
    no text has no place in it."""
    data.append(claim.name)
    values = msgspec.structs.asdict(claim) | {"name": len(data) + 1, "messages": rows(claim.messages, data)}
    return tuple(map(false_or, values.values()))


def _weight(claim: Claim) -> int:
    """So that there are not too many messages in a share either."""
    return max(sum(map(weight_of, claim.messages)), len(claim.messages) * (MOST_BYTES // MOST_ITEMS))


def _claimed(letter: str, reasons: list[str]) -> Claimed:
    """What became of a claim; what is said of some comes in their order."""
    if letter == "d":
        return Claimed(ClaimVerdict.REFUSED, str(DuplicateTask.of(reasons.pop(0))))
    verdict = ClaimVerdict(letter)
    return Claimed(verdict, reasons.pop(0) if verdict is ClaimVerdict.BLOCKED else "")


def _lengths_and_texts(packed: bytes) -> list[str]:
    """Texts, each after its length and a colon."""
    found: list[str] = []
    while packed:
        length, _, rest = packed.partition(b":")
        found.append(text(rest[: int(length)]))
        packed = rest[int(length) :]
    return found
