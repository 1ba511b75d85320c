"""Three schedulers, of which again and again one is killed or frozen: `CHAOS_SEED` repeats the choices of a run."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import NamedTuple

import pytest

from aioqueue import every

from .arena import Arena, until
from .due_times import KEPT, MARGIN, STALE, TAKE_OVER, DueTimes
from .workers import SchedulerProcess

_SCHEDULERS = 3


class Length(NamedTuple):
    """How long a run is.

    Attributes:
        schedules, runs: so many schedules whose due times all count, and of each so many due times.
        interval: of the first; the others have longer ones, each by a little.
        pause: seconds between strikes.
        lease, ask_again: of the schedulers.
    """

    schedules: int
    runs: int
    interval: float
    pause: float
    lease: int
    ask_again: float


_CODE = {"code": {"task": "work", "schedule": 0.1, "options": {"queue": KEPT}, "misfire": "all"}}
_SHORT = Length(schedules=10, runs=12, interval=0.2, pause=0.3, lease=900, ask_again=0.3)
_LONG = Length(schedules=10, runs=100, interval=0.4, pause=1.0, lease=3000, ask_again=1.25)


class Storm:
    """Schedulers, and strikes against one after the other.

    Attributes:
        strikes: how many of each kind.
        leaders: when one was struck that led, by the broker's clock.
        up: when the server was there again.
    """

    def __init__(self, arena: Arena, seed: int, length: Length) -> None:
        self._arena = arena
        self._length = length
        self._random = random.Random(seed)
        self._awake: list[SchedulerProcess] = []
        self._thawing: set[asyncio.Task[None]] = set()
        self.strikes: Counter[str] = Counter()
        self.leaders: list[int] = []
        self.up: list[int] = []
        self._is_down = False

    @asynccontextmanager
    async def raging(self) -> AsyncIterator[None]:
        """Three schedulers, and one strike after the other; in the end all that live are awake again."""
        for _ in range(_SCHEDULERS):
            await self._come(ready=True)
        raging = asyncio.create_task(self._rage())
        try:
            yield
            assert not raging.done(), raging.exception()
        finally:
            for task in (raging, *self._thawing):
                task.cancel()
            await asyncio.gather(raging, *self._thawing, return_exceptions=True)

    async def _rage(self) -> None:
        while True:
            await asyncio.sleep(self._length.pause)
            await self._strike()

    async def restart_the_server(self) -> None:
        server, broker = self._arena.server, await self._arena.app.broker()
        self._is_down = True
        server.kill()
        await asyncio.sleep(self._random.uniform(0.0, 0.5))
        await server.start()
        self._is_down = False
        self.up.append(broker.now())

    async def _come(self, *, ready: bool = False) -> None:
        constants = {
            "aioqueue.beat.scheduler.LEASE": self._length.lease,
            "aioqueue.beat.scheduler._ASK_AGAIN": self._length.ask_again,
        }
        self._awake.append(await self._arena.scheduler(ready=ready, constants=constants, beat_schedule=_CODE))

    async def _strike(self) -> None:
        """Kill one, or freeze one that is not the last."""
        victim = self._awake.pop(self._random.randrange(len(self._awake)))
        if self._awake and self._random.random() < 0.5:
            self.strikes["freeze"] += 1
            victim.freeze()
            # Mostly for longer than its lease.
            self._thawing.add(asyncio.create_task(self._thaw(victim, self._random.uniform(0.2, 2.0))))
        else:
            self.strikes["kill"] += 1
            await victim.kill()
        if not self._is_down and self._arena.leader() is victim:
            self.leaders.append(self._arena.now())
        if victim.exit_code is not None:
            await self._come()

    async def _thaw(self, victim: SchedulerProcess, leases: float) -> None:
        try:
            await asyncio.sleep(leases * self._length.lease / 1000)
        finally:
            victim.thaw()
            self._awake.append(victim)

    def longest_gap(self, times: DueTimes) -> int:
        """For how long after the one that led was struck nothing was fired, at most; ms.

        While the server is down nobody can; and if the next one is struck before it has fired, it is counted from then.
        """
        begins = sorted([*self.leaders, *self.up])
        gaps = [0]
        for earlier, later in pairwise(firing.at for firing in times.fired()):
            inside = [begin for begin in begins if earlier <= begin <= later]
            if inside:
                gaps.append(later - inside[-1])
        return max(gaps)


@pytest.mark.parametrize("restarts", [0, 3], ids=["", "server"])
@pytest.mark.parametrize(
    "length",
    [_SHORT, pytest.param(_LONG, marks=[pytest.mark.slow, pytest.mark.timeout(400)])],
    ids=["short", "long"],
)
async def test_struck_again_and_again(arena: Arena, length: Length, restarts: int) -> None:
    """Each due time is fired once and in its order, soon after each strike, and nothing stale."""
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**9))
    print(f"CHAOS_SEED={seed}")
    storm, times = Storm(arena, seed, length), DueTimes(arena)
    worker = await arena.worker()
    count = length.schedules * length.runs

    def fired() -> int:
        return sum(firing.name.startswith("all") for firing in times.fired())

    async with storm.raging():
        for number in range(length.schedules):
            interval = round(length.interval + 0.02 * number, 3)
            jitter = 0.1 if number % 3 == 0 else 0.0
            schedule = every(interval, jitter=jitter)
            await times.add(f"all{number}", interval, schedule=schedule, misfire="all", max_runs=length.runs)
        await times.add("skip", misfire="skip")
        await times.add("once", misfire="once")
        await times.follow("code")
        worked = arena.app.tasks["work"].s()
        await arena.app.schedules.add("worked", worked, length.interval, misfire="all", max_runs=length.runs)
        for restart in range(restarts):
            share = count * (restart + 1) // (restarts + 1)
            await until(lambda: fired() >= share, seconds=150, what="schedules to fire")  # noqa: B023 - awaited at once
            await storm.restart_the_server()
        await until(lambda: fired() >= count, seconds=150, what="all to be fired")
    await until(lambda: len(arena.score.runs()) == length.runs, what="all that is worked on to start")
    gap = storm.longest_gap(times)
    print(
        f"{count} due times; {dict(storm.strikes)}, {len(storm.leaders)} of one that led; the longest gap after one: "
        f"{gap} ms; the latest that could be skipped: {times.latest('skip')} ms"
    )
    assert gap < TAKE_OVER
    assert times.latest("skip") <= STALE + MARGIN
    await times.check()
    assert {len(runs) for runs in arena.score.runs().values()} == {1}
    assert worker.exit_code is None
