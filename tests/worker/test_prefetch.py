"""How much a worker holds ready."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aioqueue import AioQueue
from aioqueue.worker.fetcher import Fetcher
from aioqueue.worker.supply import Supply
from aioqueue.worker.turns import Turns


async def held_ready(turns: Turns | None, prefetch: int | None = None) -> int:
    """Where a million tasks have ended within a second."""
    runner: Any = SimpleNamespace(ended_count=0)
    none: Any = None
    fetcher = Fetcher(
        AioQueue("shop"),
        none,
        none,
        none,
        runner,
        concurrency=5,
        prefetch=prefetch,
        hostname="w",
        burst=None,
        supply=Supply(none, turns, none, none),
        pauses=none,
    )
    runner.ended_count = 1_000_000
    fetcher._measured_at -= 1.0
    return fetcher._allowance()


async def test_it_holds_less_where_queues_take_turns() -> None:
    """For there it runs before all that comes into a queue that is first."""
    assert await held_ready(None) == 1000
    assert await held_ready(Turns(["urgent", "bulk"], None, {}, lambda queues: {})) == 100
    assert await held_ready(Turns(["urgent", "bulk"], None, {}, lambda queues: {}), prefetch=500) == 500
