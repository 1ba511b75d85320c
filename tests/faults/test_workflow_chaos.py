"""Random canvases while everything breaks at random: `CHAOS_SEED` repeats the choices of a run."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter, defaultdict
from time import monotonic
from typing import Any

import pytest
import redis
from canvas.drawing import canvases
from canvas.interpreter import Interpreter, check
from canvas.leftovers import check_ended, is_quiet
from canvas.plays import Spec, build
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from aioqueue.exceptions import BrokerUnavailable
from aioqueue.ids import short_id

from .arena import PATIENCE, Arena, until
from .proxy import Loss, Proxy
from .tasks import make_app
from .workers import WorkerProcess

_WORKERS = 3
_AT_ONCE = 30
"""Canvases under way."""


def drawn(seed: int, count: int) -> list[Spec]:
    """Canvases, the same ones for the same seed."""
    found: list[Spec] = []

    @seeded(seed)
    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(canvases())
    def draw(spec: Spec) -> None:
        found.append(spec)

    draw()
    return found


class Season:
    """A run: somebody who sends canvases and waits for what they give, and faults, one after the other.

    Attributes:
        plays: what was sent, and what must come of it.
        given: what they gave.
        unknown: how many were not acknowledged, and may have been sent or not.
        faults: what was done.
    """

    def __init__(self, arena: Arena, proxy: Proxy, seed: int, specs: list[Spec]) -> None:
        self.arena = arena
        self.proxy = proxy
        self.rng = random.Random(seed)
        self.specs = specs
        self.app = make_app(proxy.url, send_timeout=PATIENCE)
        self.plays: dict[str, Interpreter] = {}
        self.given: dict[str, Any] = {}
        self.unknown = 0
        self.faults: Counter[str] = Counter()
        self.workers: list[WorkerProcess] = []

    async def worker(self) -> None:
        through = self.proxy.url if self.rng.random() < 0.3 else ""
        self.workers.append(await self.arena.worker(url=through, concurrency=10, ready=False))

    async def play(self, until: float) -> None:
        """Send one after the other, and wait for those that are under way."""
        under_way: set[asyncio.Task[None]] = set()
        async with self.app:
            for spec in self.specs:
                if monotonic() > until:
                    break
                under_way.add(asyncio.create_task(self.play_one(spec)))
                if len(under_way) >= _AT_ONCE:
                    done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.gather(*done)
            await asyncio.gather(*under_way)

    async def play_one(self, spec: Spec) -> None:
        play = short_id()
        canvas = build(spec, self.app, play)
        if canvas.known_app() is None:  # nothing in it says which of the apps here is meant
            return
        try:
            result = await canvas.send()
        except BrokerUnavailable:
            self.unknown += 1
            return
        self.plays[play] = Interpreter(spec, [])
        try:
            self.given[play] = await result.get(timeout=3 * PATIENCE)
        except TimeoutError:
            raise
        except Exception as error:
            self.given[play] = error

    async def strike(self, until: float) -> None:
        """One fault after the other."""
        while monotonic() < until:
            fault = self.rng.choice(
                [self.kill, self.kill, self.freeze, self.cut, self.drop_clients, self.lose, self.forget_scripts]
            )
            self.faults[fault.__name__] += 1
            await fault()
            await asyncio.sleep(self.rng.uniform(0.1, 0.5))
        self.proxy.heal()

    async def kill(self) -> None:
        await self.workers.pop(self.rng.randrange(len(self.workers))).kill()
        await self.worker()

    async def freeze(self) -> None:
        victim = self.rng.choice(self.workers)
        victim.freeze()
        await asyncio.sleep(self.rng.choice([0.2, 0.9, 1.5, 2.5]))
        victim.thaw()

    async def cut(self) -> None:
        self.proxy.drop_all()

    async def drop_clients(self) -> None:
        self.arena.server.drop_clients()

    async def lose(self) -> None:
        self.proxy.heal()
        loss = self.rng.choice([Loss.REPLY, Loss.REQUEST])
        self.proxy.lose(loss, times=None, chance=0.1, seed=self.rng.randrange(10**6))

    async def forget_scripts(self) -> None:
        self.arena.server.client.script_flush()

    def check(self) -> None:
        """Each play has ended as it must, and each of its ends had its effect once."""
        ran: dict[str, Counter[str]] = defaultdict(Counter)
        queued: Counter[tuple[str, str, int]] = Counter()
        for line in self.arena.score.select("played"):
            play, what = json.loads(line.note)
            ran[play][json.dumps(what)] += 1
            queued[play, json.dumps(what), line.deliveries] += 1
        for play, model in self.plays.items():
            check(model, self.given[play], ran[play], once=False)
        # What was queued twice would be delivered for the first time twice.
        for (play, what, deliveries), count in queued.items():
            if (model := self.plays.get(play)) is not None:
                assert count <= model.ran[what] + (what in model.maybe), f"{what}: {count} times delivery {deliveries}"


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(3.0), pytest.param(180.0, marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
    ids=["short", "long"],
)
async def test_any_canvas_ends_once_and_as_it_must_whatever_breaks(arena: Arena, proxy: Proxy, seconds: float) -> None:
    """D1, D2, D8: no waiter hangs, each join and each body fires once, and nothing is left over."""
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**9))
    print(f"CHAOS_SEED={seed}")
    season = Season(arena, proxy, seed, drawn(seed, int(40 * seconds)))
    for _ in range(_WORKERS):
        await season.worker()
    end = monotonic() + seconds
    await asyncio.gather(season.play(end), season.strike(end))
    client: redis.Redis = arena.server.client
    await until(lambda: is_quiet(client), what="the queues to be empty")
    print(f"{len(season.plays)} canvases, {season.unknown} unknown; {dict(season.faults)}")
    assert len(season.plays) > 2 * seconds
    season.check()
    check_ended(client)
    assert not client.zcard(arena.key("dead")), "tasks that harm nobody do not end among the dead letters"
