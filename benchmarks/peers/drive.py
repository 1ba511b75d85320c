"""Runs in a peer's environment: `python -m benchmarks.peers.drive PEER COMMAND`; the last line it prints is JSON.

    worker                   becomes the worker
    scheduler                becomes the scheduler
    one-by-one COUNT         sends COUNT no-ops, each after the other
    many TASK COUNT          sends COUNT of a task as fast as the peer can
    round-trips COUNT SECONDS  sends a no-op and waits for its result, COUNT times or for SECONDS
    submit                   sends one no-op, and prints its id

Each of the senders sends one no-op before the clock starts, so that connections and scripts are there.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def _timed(call: Callable[[], Any], sent: int) -> dict[str, float]:
    started, cpu = time.perf_counter(), time.process_time()
    await _settled(call())
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu, "timed": sent, "sent": sent + 1}


async def _round_trips(sender: Any, count: int, seconds: float) -> dict[str, Any]:
    """How long each took until its result was here, and until its function had run."""
    taken: list[float] = []
    started: list[float] = []
    until = time.monotonic() + seconds
    while len(taken) < count and time.monotonic() < until:
        began = time.monotonic_ns()
        value = await _settled(sender.round_trip())
        taken.append((time.monotonic_ns() - began) / 1e9)
        assert value == 1, f"the result is {value!r}, not 1"
        started.append((_last_end() - began) / 1e9)
    return {"results": taken, "ends": started, "sent": len(taken) + 1}


def _last_end() -> int:
    """When the last task ended, in any process."""
    import mmap

    from benchmarks.peers import tally

    last = 0
    for path in Path(os.environ["BENCHMARK_TALLY"]).iterdir():
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 8 * tally.SLOTS:
                numbers = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)).cast("Q")
                last = max(last, numbers[tally.LAST])
    return last


async def _send(peer: Any, command: str, arguments: list[str]) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        sender = peer.Sender()
        if hasattr(sender, "__aenter__"):
            await stack.enter_async_context(sender)
        else:
            stack.enter_context(sender)
        if command == "submit":
            return {"id": await _settled(sender.submit()), "sent": 1}
        if command == "round-trips":
            await _settled(sender.round_trip())
            return await _round_trips(sender, int(arguments[0]), float(arguments[1]))
        await _settled(sender.one_by_one(1))
        if command == "one-by-one":
            count = int(arguments[0])
            return await _timed(lambda: sender.one_by_one(count), count)
        task, count = arguments[0], int(arguments[1])
        return await _timed(lambda: sender.many(task, count), count)


def _run(main: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def main() -> None:
    name, command, *arguments = sys.argv[1:]
    peer = importlib.import_module(f"benchmarks.peers.{name}")
    if command in ("worker", "scheduler"):
        words = peer.worker_command() if command == "worker" else peer.scheduler_command()
        os.execv(words[0], words)
    print(json.dumps(_run(_send(peer, command, arguments))), flush=True)
    # Some peers leave threads behind that would take seconds to end.
    os._exit(0)


if __name__ == "__main__":
    main()
