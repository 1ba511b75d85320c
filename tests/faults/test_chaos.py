"""Everything at once, at random: `CHAOS_SEED` repeats the choices of a run."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import suppress
from time import monotonic

import pytest
import redis

from aioqueue import AsyncResult
from aioqueue.exceptions import BrokerUnavailable

from .arena import Arena, until
from .proxy import Loss, Proxy
from .workers import WorkerProcess

_WORKERS = 3


class Chaos:
    """A run: a sender that keeps a ledger, and faults, one after the other.

    Attributes:
        acknowledged: the tasks whose sending was answered, by kind.
        unknown: the ids of those whose sending failed; they may have been sent, or not.
        faults: what was done, and when.
    """

    def __init__(self, arena: Arena, proxy: Proxy, seed: int) -> None:
        self.arena = arena
        self.proxy = proxy
        self.rng = random.Random(seed)
        self.acknowledged: dict[str, list[AsyncResult[None]]] = {"work": [], "again": [], "reject": [], "delayed": []}
        self.unknown: list[str] = []
        self.faults: list[str] = []
        self.workers: list[WorkerProcess] = []

    async def worker(self) -> None:
        through = self.proxy.url if self.rng.random() < 0.5 else ""
        self.workers.append(await self.arena.worker(url=through, concurrency=10, ready=False))

    async def send(self, until: float) -> None:
        """Send in small batches; what is not acknowledged is not owed."""
        app = self.arena.app
        while monotonic() < until:
            kind = self.rng.choice(list(self.acknowledged))
            seconds = self.rng.choice([0.0, 0.01, 0.05, 0.3])
            arguments: tuple[object, ...] = (seconds, 1) if kind == "again" else (seconds,)
            task = app.tasks["work" if kind == "delayed" else kind]
            if kind == "delayed":
                task = task.options(countdown=self.rng.uniform(0.1, 3.0))
            try:
                self.acknowledged[kind].append(await task.send(*arguments))
            except BrokerUnavailable:
                self.unknown.append(kind)
            # Slowly enough for what is left of the workers to keep up.
            await asyncio.sleep(0.01)

    async def strike(self, until: float) -> None:
        """One fault after the other."""
        while monotonic() < until:
            fault = self.rng.choice(
                [self.kill, self.freeze, self.drop_clients, self.restart, self.forget_scripts, self.lose, self.stop]
            )
            self.faults.append(f"{fault.__name__} at {monotonic():.3f}")
            await fault()
            await asyncio.sleep(self.rng.uniform(0.1, 0.6))
        self.proxy.heal()

    async def kill(self) -> None:
        victim = self.workers.pop(self.rng.randrange(len(self.workers)))
        await victim.kill()
        await self.worker()

    async def stop(self) -> None:
        victim = self.workers.pop(self.rng.randrange(len(self.workers)))
        victim.terminate()
        await self.worker()

    async def freeze(self) -> None:
        victim = self.rng.choice(self.workers)
        victim.freeze()
        await asyncio.sleep(self.rng.choice([0.2, 0.9, 1.5, 2.5]))
        victim.thaw()

    async def restart(self) -> None:
        server = self.arena.server
        server.kill()
        await asyncio.sleep(self.rng.choice([0.0, 0.3, 1.5]))
        await server.start()

    async def drop_clients(self) -> None:
        with suppress(redis.RedisError):
            self.arena.server.drop_clients()

    async def forget_scripts(self) -> None:
        with suppress(redis.RedisError):
            self.arena.server.client.script_flush()

    async def lose(self) -> None:
        self.proxy.heal()
        if self.rng.random() < 0.7:
            loss = self.rng.choice([Loss.REPLY, Loss.REQUEST])
            self.proxy.lose(loss, times=None, chance=0.1, seed=self.rng.randrange(10**6))


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(6.0), pytest.param(180.0, marks=[pytest.mark.slow, pytest.mark.timeout(400)])],
    ids=["short", "long"],
)
async def test_chaos(arena: Arena, proxy: Proxy, seconds: float) -> None:
    """Every task that was acknowledged has one end, no end happened twice, and nothing is left over."""
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**9))
    print(f"CHAOS_SEED={seed}")
    chaos = Chaos(arena, proxy, seed)
    for _ in range(_WORKERS):
        await chaos.worker()
    end = monotonic() + seconds
    await asyncio.gather(chaos.send(end), chaos.strike(end))
    print(f"faults: {chaos.faults}")
    # D1: each has an end. Only the innocent are here: nothing of it is for killing workers.
    results = [result for kind in chaos.acknowledged.values() for result in kind]
    ends = await arena.ended(results, 60)
    print(f"{len(results)} tasks, {len(chaos.unknown)} unknown, {len(arena.repeated())} runs repeated")
    assert len(results) > 20 * seconds
    rejected = {result.id for result in chaos.acknowledged["reject"]}
    buried = {id for id, record in ends.items() if record.state == "FAILURE" and id not in rejected}
    assert not buried, "tasks that harm nobody do not end among the dead letters"
    # D2: as counted by the step itself; what was sent without our knowing it may have ended, too.
    await until(lambda: not any(arena.contents().values()), seconds=60, what="the rest to end")
    count = int(arena.server.client.get(arena.key("dead:count")) or 0)
    assert len(rejected) <= count <= len(rejected) + chaos.unknown.count("reject")
    assert count == arena.server.client.zcard(arena.key("dead"))
    # What has ended is settled late when the broker is away, and its worker may be killed before that.
    # D3: neither restarts of the broker nor a bad network nor a stop in good order is a reason to run anything again.
    arena.check_repeats(often=True, settling=5.0)
    # Those that still live work.
    living = [worker for worker in chaos.workers if worker.exit_code is None]
    assert len(living) == _WORKERS, [worker.log[-2000:] for worker in chaos.workers if worker.exit_code is not None]
    await arena.ended(await arena.send("work", 0.1, count=100))
    await arena.at_rest()
