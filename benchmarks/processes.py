"""Processes of the peers: started in a session of their own, measured as trees, and ended by their ids."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil


class Tree:
    """A process and all that it started.

    Attributes:
        process: its root.
    """

    def __init__(self, words: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self._log: IO[bytes] = tempfile.NamedTemporaryFile(dir=folder, prefix="log-")  # noqa: SIM115 (closed by `end`)
        self.process = subprocess.Popen(
            words,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the suite, which then ends this by itself.
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def _members(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cpu(self) -> float:
        """Seconds of CPU so far, those of children that have ended included."""
        total = 0.0
        for member in self._members():
            try:
                total += sum(member.cpu_times()[:4])
            except psutil.NoSuchProcess:
                pass
        return total

    def memory(self) -> int:
        """Bytes: what the processes have to themselves, and their parts of what they share, where the system tells."""
        total = 0
        for member in self._members():
            try:
                found = member.memory_full_info()
                total += getattr(found, "pss", found.rss)
            except psutil.NoSuchProcess:
                pass
        return total

    def last_words(self) -> str:
        """The last line that it logged."""
        self._log.seek(0)
        lines = [line for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else "it said nothing"

    def end(self) -> None:
        """Kill it and what it started, by their ids, and wait until they are gone."""
        try:
            self._end()
        except BaseException:
            # An impatient Ctrl-C while this ends is no reason to leave anything behind.
            self._end()
            raise

    def _end(self) -> None:
        while left := self._session():
            # All stop before any dies: a supervisor would start its children anew.
            for act in (psutil.Process.suspend, psutil.Process.kill):
                for member in left:
                    try:
                        act(member)
                    except psutil.NoSuchProcess:
                        pass
            time.sleep(0.01)
        self.process.wait(10)
        self._log.close()

    def _session(self) -> list[psutil.Process]:
        """All that live in its session: also those whose parents are dead."""
        found: list[psutil.Process] = []
        for pid in psutil.pids():
            try:
                member = psutil.Process(pid)
                if os.getsid(pid) == self.process.pid and member.status() != psutil.STATUS_ZOMBIE:
                    found.append(member)
            except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
                pass
        return found


@contextmanager
def running(words: list[str], environment: Mapping[str, str], folder: Path) -> Iterator[Tree]:
    """A tree that is ended at the end, however that comes."""
    tree = Tree(words, environment, folder)
    try:
        yield tree
    finally:
        tree.end()


def clean_environment(**more: str) -> dict[str, str]:
    """That of this process, without what would change a peer's behaviour."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIOQUEUE_", "PYTHON", "BENCHMARK_"))
    }
    return {**kept, **more}
