"""Processes of workers and schedulers, as the tests handle them."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from time import monotonic
from typing import Self

import msgspec
from support.nursery import TESTS, Child, Nursery

_IMPORTED = ("faults.tasks", "aioqueue.beat.running", "aioqueue.brokers.redis.broker", "aioqueue.worker.worker")


def worker_nursery() -> Nursery:
    """Where they come from."""
    return Nursery(*_IMPORTED)


class ChildProcess:
    """A worker or a scheduler in a process of its own.

    Attributes:
        pid: the process.
        log_path: what it writes.
        broken_at: when something was first done to it that no process can help.
    """

    def __init__(self, child: Child, log_path: Path) -> None:
        self._child = child
        self.pid = child.pid
        self.log_path = log_path
        self.broken_at: float | None = None

    @classmethod
    def begin(cls, nursery: Nursery, order: dict[str, object]) -> Self:
        """One that has just begun to start; `order` is what `run_worker` reads."""
        words = [msgspec.json.encode({"kind": cls.__name__, **order}).decode()]
        log_path = Path(str(order["log"]))
        with Path(os.devnull).open("rb") as nothing, log_path.open("ab") as log:
            streams = {"stdin": nothing, "stdout": log, "stderr": log}
            child = nursery.start("faults.run_worker", words, folder=TESTS, environment=os.environ, **streams)
        return cls(child, log_path)

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._child.poll()

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    async def kill(self) -> None:
        """End it at whatever it does, and return when it is no more."""
        self._break(signal.SIGKILL)
        await self.ended()

    def freeze(self) -> None:
        self._break(signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to stop."""
        os.kill(self.pid, signal.SIGTERM)

    async def ended(self, seconds: float = 30.0) -> int:
        """Wait for its end; returns its exit code."""
        deadline = monotonic() + seconds
        while self.exit_code is None:
            assert monotonic() < deadline, f"process {self.pid} still runs after {seconds:g} s:\n{self.log[-3000:]}"
            await asyncio.sleep(0.005)
        return self.exit_code

    def _break(self, how: signal.Signals) -> None:
        if self.exit_code is None:
            os.kill(self.pid, how)
        self.broken_at = self.broken_at or monotonic()


class WorkerProcess(ChildProcess):
    """A worker; it may be a scheduler, too."""


class SchedulerProcess(ChildProcess):
    """A scheduler alone, as `aioqueue beat` runs it."""
