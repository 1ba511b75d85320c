"""What a worker may use up before it stops: memory, and how many tasks it runs."""

from __future__ import annotations

import asyncio
from logging import INFO, WARNING
from typing import TYPE_CHECKING

from aioqueue.exceptions import ConfigurationError
from aioqueue.wording import counted
from aioqueue.worker.memory import resident_memory
from aioqueue.worker.runner import Runner

if TYPE_CHECKING:
    from aioqueue.worker.worker import Worker

_LOOK_EVERY = 1.0


def check_memory(most: int | None) -> None:
    """A process that has more than its limit before the first task would stop at once, again and again.

    Raises:
        ConfigurationError: it would.
    """
    if most is not None and (memory := resident_memory()) > most:
        raise ConfigurationError(
            f"worker_max_memory is {most} bytes, and this process has {memory} before its first task: it would be "
            'replaced again and again. Say the unit, as in "200MB": worker_max_memory counts bytes, and Celery\'s '
            "worker_max_memory_per_child and --max-memory-per-child count KiB. No task was taken."
        )


async def stop_when_used_up(worker: Worker, runner: Runner, stop: asyncio.Event) -> None:
    """Stop the worker when it has run as many tasks, or taken as much memory, as it may; until cancelled. One that has
    a successor goes on until that is ready."""
    conf = worker.app.conf
    if conf.worker_max_tasks is None and conf.worker_max_memory is None:
        return
    level = WARNING if worker.is_embedded else INFO  # else something starts another one in its place
    retire = worker.stopping.retire
    goes = "it stops" if retire is None else "it stops when the next one is ready"
    while not stop.is_set():
        if conf.worker_max_tasks is not None and runner.started_count >= conf.worker_max_tasks:
            done = counted(runner.started_count, "task")
            worker.life.say(" has run %s, its limit; %s", done, goes, level=level)
        elif conf.worker_max_memory is not None and (memory := resident_memory()) > conf.worker_max_memory:
            worker.life.say(" has %d MB of memory, over its limit; %s", memory // 1_000_000, goes, level=level)
        else:
            await asyncio.sleep(_LOOK_EVERY)
            continue
        stop.set() if retire is None else retire()
        return
