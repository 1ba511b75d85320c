"""Processes of workers and schedulers, as the tests handle them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import TypeVar

import msgspec

_RUN_WORKER = Path(__file__).parent / "run_worker.py"


class ChildProcess:
    """A worker or a scheduler in a process of its own.

    Attributes:
        pid: the process.
        log_path: what it writes.
        broken_at: when something was first done to it that no process can help.
    """

    def __init__(self, nursery: Nursery, pid: int, log_path: Path) -> None:
        self._nursery = nursery
        self.pid = pid
        self.log_path = log_path
        self.broken_at: float | None = None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._nursery.ends.get(self.pid)

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


_Kind = TypeVar("_Kind", WorkerProcess, SchedulerProcess)


class Nursery:
    """Where they come from: a process with everything imported, which forks."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}
        """Exit codes by process."""
        self._made: SimpleQueue[int] = SimpleQueue()
        # Not in the terminal's process group: Ctrl-C is for pytest.
        self._process = subprocess.Popen(
            [sys.executable, str(_RUN_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def make(self, kind: type[_Kind], order: dict[str, object]) -> _Kind:
        """A process that has just begun to start."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode({"kind": kind.__name__, **order}) + b"\n")
        self._process.stdin.flush()
        pid = self._made.get(timeout=30)
        return kind(self, pid, Path(str(order["log"])))

    def close(self) -> None:
        """End it, and with it all that it made."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._listener.join(timeout=10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            kind, *numbers = line.split()
            if kind == b"pid":
                self.ends.pop(int(numbers[0]), None)
                self._made.put(int(numbers[0]))
            else:
                self.ends[int(numbers[0])] = int(numbers[1])
