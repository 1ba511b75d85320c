"""A record of what ran that is independent of the queue: a file to which all workers append.

A line is written when a run begins and another one when it ends, by one `write` each to a file opened with O_APPEND,
so that lines of several processes do not mix, and what was written survives the SIGKILL of its writer.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import NamedTuple

_BEGUN, _ENDED = "begun", "ended"


class LedgerWriter:
    """The ledger in a worker."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._pid = os.getpid()

    @contextmanager
    def run(self, id: str, retries: int, deliveries: int) -> Generator[None]:
        """Around a run of a task."""
        about = f"{self._pid} {id} {retries} {deliveries}"
        self._write(_BEGUN, about)
        try:
            yield
        finally:
            self._write(_ENDED, about)

    def _write(self, what: str, about: str) -> None:
        os.write(self._file, f"{what} {time_ns()} {about}\n".encode())

    def __enter__(self) -> LedgerWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)


class BodyRun(NamedTuple):
    """One run of a task's body, told from the others by these."""

    pid: int
    id: str
    retries: int
    deliveries: int


class Ledger:
    """What the ledger says so far.

    Attributes:
        running: the runs that have begun and not ended, with their begin in ns.
        begun: the processes of the runs that have begun, by task and retries: more than one is a task that ran twice.
        first: when each task ran first, in ns.
        ended: when each task last ended a run, in ns.
        finished: tasks that have ended a run since `take_finished` was called.
        by_pid: how many runs each process has ended.
        seconds: how long each run took.
        recovered: tasks that were delivered again after their worker was gone, and ran to an end.
        retried: runs that were retries.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self.running: dict[BodyRun, int] = {}
        self.begun: dict[tuple[str, int], list[int]] = {}
        self.first: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.finished: list[str] = []
        self.by_pid: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.recovered: set[str] = set()
        self._killed: set[int] = set()
        self.retried = 0

    def read(self) -> None:
        """Take in what was written since."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            what, when, pid, id, retries, deliveries = line.decode().split(" ")
            run, at = BodyRun(int(pid), id, int(retries), int(deliveries)), int(when)
            if what == _BEGUN:
                self._begin(run, at)
            elif (began := self.running.pop(run, None)) is not None:
                self._end(run, began, at)

    def _begin(self, run: BodyRun, at: int) -> None:
        self.running[run] = at
        self.begun.setdefault((run.id, run.retries), []).append(run.pid)
        self.first.setdefault(run.id, at)
        self.retried += run.retries > 0

    def _end(self, run: BodyRun, began: int, at: int) -> None:
        self.ended[run.id] = at
        self.finished.append(run.id)
        self.by_pid[run.pid] += 1
        self.seconds.append((at - began) / 1e9)
        if run.deliveries > 1:
            self.recovered.add(run.id)

    def take_finished(self) -> list[str]:
        """The tasks that have ended a run since the last time."""
        finished, self.finished = self.finished, []
        return finished

    def running_in(self, pid: int) -> list[BodyRun]:
        """What a process is running."""
        return [run for run in self.running if run.pid == pid]

    def bury(self, pid: int) -> int:
        """The process was killed: its runs will not end. Returns how many there are."""
        cut_off = self.running_in(pid)
        for run in cut_off:
            del self.running[run]
        self._killed.add(pid)
        return len(cut_off)

    def twice(self) -> tuple[int, int]:
        """How many tasks ran more often than their retries say, and for how many of them no killed process is why."""
        again = [pids for pids in self.begun.values() if len(pids) > 1]
        return len(again), sum(len([pid for pid in pids if pid not in self._killed]) > 1 for pids in again)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
