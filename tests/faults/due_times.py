"""Fast schedules, and the ledger of what they have sent."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple, cast

from aioqueue import Schedule
from aioqueue.brokers.redis import keys

from .arena import Arena, until

KEPT = "kept"
"""A queue on which nobody works: what was sent stays there as it came."""
TAKE_OVER = 5000
"""ms after its death within which another scheduler takes the place of the one that led."""
STALE = 3000
"""ms by which what is skipped when it is missed is never later: on time for a second, and a claim is good for two."""
MARGIN = 100
"""ms by which what a process knows of the broker's clock may be wrong on a busy machine."""

_STREAM = keys.Keys("faults").stream(keys.stream(KEPT, 0))


class Firing(NamedTuple):
    """A message of a schedule.

    Attributes:
        name: the schedule's.
        due: its due time, which is in the message's id with the name.
        at: when it was sent: a stream keeps that, by the broker's clock. Both are ms since the epoch.
    """

    name: str
    due: int
    at: int


class DueTimes:
    """Schedules of an arena, and what they send into `KEPT`."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._grids: dict[str, tuple[int, int]] = {}
        self._fired: list[Firing] = []
        self._read = "-"

    async def add(self, name: str, interval: float = 0.1, *, schedule: Schedule | None = None, **terms: Any) -> None:
        """Add a schedule of that interval; or one that has more to it, too."""
        sent = self._arena.app.tasks["work"].s().set(queue=KEPT)
        await self._arena.app.schedules.add(name, sent, schedule or interval, **terms)
        await self.follow(name, interval)

    async def follow(self, name: str, interval: float = 0.1) -> None:
        """Keep an eye on a schedule that is there."""
        [stored] = await (await self._arena.app.broker()).schedules([name])
        step = round(interval * 1000)
        assert stored.due is not None
        self._grids[name] = stored.due - (stored.runs + stored.misfires) * step, step

    def fired(self, name: str | None = None) -> list[Firing]:
        """What was sent so far, in that order."""
        for id, fields in cast("list[Any]", self._arena.server.client.xrange(_STREAM, min=self._read)):
            schedule, _, due = fields[b"i"].decode().partition(":")
            moment = datetime.fromisoformat(due.removesuffix("Z")).replace(tzinfo=UTC)
            self._fired.append(Firing(schedule, round(moment.timestamp() * 1000), int(id.partition(b"-")[0])))
            self._read = f"({id.decode()}"
        return [firing for firing in self._fired if name in (None, firing.name)]

    async def go_on(self, count: int = 10) -> None:
        """Wait until so many more are sent."""
        since = self._arena.now()
        await until(lambda: len([one for one in self.fired() if one.at > since]) >= count, what="schedules to fire")

    def longest_gap(self, since: int) -> int:
        """For how long nothing was sent after a moment, at most; ms."""
        moments = [since, *(firing.at for firing in self.fired() if firing.at > since)]
        return max(later - earlier for earlier, later in pairwise(moments))

    async def check(self) -> None:
        """Judge what became of every due time, and fire no more."""
        app = self._arena.app
        for name in self._grids:
            await app.schedules.pause(name)
        stored = {one.name: one for one in await (await app.broker()).schedules(list(self._grids))}
        assert {firing.name for firing in self.fired()} <= set(self._grids)
        for name, (first, step) in self._grids.items():
            info = await app.schedules.get(name)
            assert info is not None
            known, fired = stored[name], self.fired(name)
            due = [firing.due for firing in fired]
            passed = [first + number * step for number in range(known.runs + known.misfires)]
            assert due == sorted(set(due)), f"{name}: a due time was fired twice, or after a later one"
            assert set(due) <= set(passed), f"{name}: what was fired was not due"
            assert len(due) == known.runs, f"{name}: {known.runs} runs are counted, and {len(due)} were sent"
            assert known.due in (None, first + len(passed) * step), f"{name}: some due times are lost"
            assert info.max_runs is None or known.due is not None or known.runs == info.max_runs
            assert all(firing.at >= firing.due - MARGIN for firing in fired), f"{name}: one was fired early"
            if info.misfire == "all":
                assert due == passed, f"{name}: due times were left out"
        for process in self._arena.processes:
            for word in ("ERROR", "Traceback"):
                assert word not in process.log, process.log[-3000:]

    def latest(self, name: str) -> int:
        """By how much the latest of a schedule was late, ms."""
        return max(firing.at - firing.due for firing in self.fired(name))
