"""The score, kept outside of everything that is broken on purpose: a file for each process, appended to line by line.

A line is written with one `write` and survives the SIGKILL of its writer. Times are CLOCK_MONOTONIC, which all
processes of a machine share.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import msgspec

from aioqueue import TaskContext


class Line(msgspec.Struct, omit_defaults=True):
    """Something that happened in a worker.

    Attributes:
        event: "ready", "start", "end", or "broken" for a body that was left by an exception.
        pid: the process.
        at: when, in seconds.
        id, deliveries, retries: which run of which task.
        note: what the body has to say.
    """

    event: str
    pid: int
    at: float
    id: str = ""
    deliveries: int = 0
    retries: int = 0
    note: str = ""


class Writer:
    """One process's file."""

    def open(self, folder: Path) -> None:
        """Begin to write, in a folder that all processes share."""
        self.folder = folder
        self._file = os.open(folder / f"{os.getpid()}.record", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(self, event: str, ctx: TaskContext | None = None, note: str = "") -> None:
        """Append a line."""
        line = Line(event, os.getpid(), monotonic(), note=note)
        if ctx is not None:
            line.id, line.deliveries, line.retries = ctx.id, ctx.deliveries, ctx.retries
        os.write(self._file, msgspec.json.encode(line) + b"\n")

    @contextmanager
    def body(self, ctx: TaskContext) -> Iterator[None]:
        """Around what a task does."""
        self.write("start", ctx)
        try:
            yield
        except BaseException as error:
            self.write("broken", ctx, type(error).__name__)
            raise
        self.write("end", ctx)


class Run(msgspec.Struct):
    """One run of a body.

    Attributes:
        start: its first line.
        end: its last line, if it came so far.
    """

    start: Line
    end: Line | None = None


class Reader:
    """All files of a folder, read as they grow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._lines: list[Line] = []

    def lines(self) -> list[Line]:
        """All lines so far; those of one process are in order."""
        for path in self._folder.glob("*.record"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole, newline, _ = file.read().rpartition(b"\n")
            self._read[path] = self._read.get(path, 0) + len(whole) + len(newline)
            self._lines += [msgspec.json.decode(line, type=Line) for line in whole.splitlines()]
        return self._lines

    def forget(self) -> None:
        """Go on with what will be written from now on."""
        self._lines.clear()

    def select(self, event: str, *, pid: int | None = None, id: str | None = None) -> list[Line]:
        """The lines of one kind."""
        return [
            line for line in self.lines() if line.event == event and pid in (None, line.pid) and id in (None, line.id)
        ]

    def runs(self, where: Callable[[Line], bool] = lambda line: True) -> dict[tuple[str, int], list[Run]]:
        """The runs of each task, by id and number of retries, in the order in which they started."""
        found: dict[tuple[str, int], list[Run]] = defaultdict(list)
        unended: dict[tuple[str, int, int, int], Run] = {}
        for line in self.lines():
            if line.event == "start" and where(line):
                run = unended[line.id, line.retries, line.pid, line.deliveries] = Run(line)
                found[line.id, line.retries].append(run)
            elif line.event in ("end", "broken"):
                run_or_none = unended.pop((line.id, line.retries, line.pid, line.deliveries), None)
                if run_or_none is not None:
                    run_or_none.end = line
        for runs in found.values():
            runs.sort(key=lambda run: run.start.at)
        return found

    def running(self, pid: int) -> list[Line]:
        """The runs that a process has started and not ended."""
        return [run.start for runs in self.runs(lambda line: line.pid == pid).values() for run in runs if not run.end]
